//! What is counted, sampled once a second while the page is seen; what was before comes from the read model.

use std::time::Duration;

use dashboard_model::{Figures, Series, figures_now, figures_then};
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::{History, Moment, Stats};

use crate::api::{self, READ_MODEL};
use crate::browser;

const FIGURES: usize = size_of::<Figures>() / size_of::<f64>();
const NOT_FOUND: u16 = 404;

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) struct Sampled {
    pub(crate) latest: RwSignal<Option<Stats>>,
    pub(crate) failure: RwSignal<Option<String>>,
    pub(crate) series: RwSignal<Series<FIGURES>>,
    pub(crate) now: RwSignal<Moment>,
    is_asked: StoredValue<bool>,
    /// Since when nobody looked, until that is told.
    unseen_since_s: StoredValue<Option<f64>>,
    is_looking_back: StoredValue<bool>,
}

impl Sampled {
    pub(crate) fn begin() -> Self {
        let sampled = Self {
            latest: RwSignal::new(None),
            failure: RwSignal::new(None),
            series: RwSignal::new(Series::default()),
            now: RwSignal::new(browser::now()),
            is_asked: StoredValue::new(false),
            unseen_since_s: StoredValue::new(None),
            is_looking_back: StoredValue::new(false),
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

    /// Asks how it is now.
    pub(crate) fn sample(self) {
        // One at a time: a later answer is never overtaken by an earlier one, and who is slow is not asked more.
        if self.is_asked.get_value() {
            return;
        }
        self.is_asked.set_value(true);
        spawn_local(async move {
            let answer = api::get::<Stats>(&format!("{READ_MODEL}/stats")).await;
            self.is_asked.set_value(false);
            match answer {
                Ok(stats) => {
                    self.series
                        .update(|series| series.add(now_s(), figures_now(&stats)));
                    self.latest.set(Some(stats));
                    if self.failure.get_untracked().is_some() {
                        self.failure.set(None);
                    }
                    self.look_back();
                }
                Err(failure) => self.failure.set(Some(failure.what)),
            }
        });
    }

    /// Asks how it was while nobody looked, if there was such a time: before the page was opened, while it was hidden, while nobody
    /// answered. A question that fails is asked again with the next sample.
    fn look_back(self) {
        let unseen = self.series.with_untracked(Series::unseen_since);
        let since = self.unseen_since_s.get_value().or(unseen);
        self.unseen_since_s.set_value(since);
        let Some(since) = since.filter(|_| !self.is_looking_back.get_value()) else {
            return;
        };
        self.is_looking_back.set_value(true);
        spawn_local(async move {
            let seconds = (now_s() - since).max(1.0).ceil();
            let url = format!("{READ_MODEL}/stats/history?seconds={seconds}");
            let answer = api::get::<History>(&url).await;
            self.is_looking_back.set_value(false);
            let rows = match answer {
                Ok(history) => history.samples,
                // A read model of an earlier version keeps nothing.
                Err(failure) if failure.status == NOT_FOUND => Vec::new(),
                Err(_) => return,
            };
            self.unseen_since_s.set_value(None);
            let now_s = now_s();
            let rows = rows.iter().map(figures_then);
            self.series
                .update(|series| series.fill(rows.map(|(ago_s, row)| (now_s - ago_s, row))));
        });
    }
}

fn now_s() -> f64 {
    js_sys::Date::now() / 1_000.0
}

pub(crate) fn use_stats() -> Sampled {
    expect_context::<Sampled>()
}
