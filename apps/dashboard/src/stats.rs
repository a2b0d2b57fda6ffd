//! What is counted, sampled once a second while the page is seen.

use std::time::Duration;

use dashboard_model::Series;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::{Moment, Stats};

use crate::{api, browser};

/// created, finished, p50, p95, p99, lag, in flight, dead letters
pub(crate) const FIGURES: usize = 8;

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) struct Sampled {
    pub(crate) latest: RwSignal<Option<Stats>>,
    pub(crate) failure: RwSignal<Option<String>>,
    pub(crate) series: RwSignal<Series<FIGURES>>,
    pub(crate) now: RwSignal<Moment>,
    is_asked: StoredValue<bool>,
}

impl Sampled {
    pub(crate) fn begin() -> Self {
        let sampled = Self {
            latest: RwSignal::new(None),
            failure: RwSignal::new(None),
            series: RwSignal::new(Series::default()),
            now: RwSignal::new(browser::now()),
            is_asked: StoredValue::new(false),
        };
        sampled.sample();
        set_interval(
            move || {
                sampled.now.set(browser::now());
                if browser::is_visible() {
                    sampled.sample();
                }
            },
            Duration::from_secs(1),
        );
        sampled
    }

    fn sample(self) {
        // One at a time: a later answer is never overtaken by an earlier one, and who is slow is not asked more.
        if self.is_asked.get_value() {
            return;
        }
        self.is_asked.set_value(true);
        spawn_local(async move {
            let answer = api::get::<Stats>(&format!("{}/stats", api::READ_MODEL)).await;
            self.is_asked.set_value(false);
            match answer {
                Ok(stats) => {
                    self.series
                        .update(|series| series.add(js_sys::Date::now() / 1_000.0, row(&stats)));
                    self.latest.set(Some(stats));
                    if self.failure.get_untracked().is_some() {
                        self.failure.set(None);
                    }
                }
                Err(failure) => self.failure.set(Some(failure.what)),
            }
        });
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn row(stats: &Stats) -> [f64; FIGURES] {
    [
        stats.throughput.created.second,
        stats.throughput.finished.second,
        stats.latency_ms.p50,
        stats.latency_ms.p95,
        stats.latency_ms.p99,
        stats.projector.lag_ms,
        stats.in_flight as f64,
        stats.dead_letters.waiting as f64,
    ]
}

pub(crate) fn use_stats() -> Sampled {
    expect_context::<Sampled>()
}
