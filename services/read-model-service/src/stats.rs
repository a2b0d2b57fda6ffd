//! What is counted: orders by status and outcome, throughput, latency, lag.

mod counts;
mod history;
mod lag;
mod latency;
mod throughput;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Gauge;
use parking_lot::Mutex;
use sagaline_commands::Outcome;
use sagaline_contracts::Timestamp;
use sagaline_service_kit::telemetry;
use schemars::JsonSchema;
use serde::Serialize;

pub use counts::{Counts, Total};
pub use history::{History, SAMPLE_INTERVAL, SPAN_MAX, Sample};
pub use lag::{ConsumerLag, Lags};
pub use latency::{Latency, Percentiles};
pub use throughput::{Rates, Throughput};

use crate::projection::{Head, PROJECTOR};

/// How an order has changed.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// The order.
    pub id: &'a str,
    /// How it stood, unless it was not there.
    pub before: Option<Head>,
    /// How it stands.
    pub after: Head,
    /// The current attempt.
    pub attempt: u32,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When the current attempt ended.
    pub ended_at: Option<Timestamp>,
}

/// Counters in memory: filled by a scan at start, then kept up by what the projector saves.
pub struct Stats {
    /// Orders by status and outcome.
    pub counts: Counts,
    /// How far consumer groups are behind.
    pub lags: Lags,
    created: Mutex<Throughput>,
    finished: Mutex<Throughput>,
    events: Mutex<Throughput>,
    latency: Mutex<Latency>,
    history: Mutex<History>,
    lag_us: AtomicU64,
    lag: Gauge,
}

/// Everything that is counted, at one moment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Orders.
    #[serde(flatten)]
    pub total: Total,
    /// Per second, over the last second, ten and sixty.
    pub throughput: ThroughputReport,
    /// From the placing of an order to its outcome, for the latest outcomes.
    pub latency_ms: Percentiles,
    /// How far the projector is behind.
    pub projector: ProjectorReport,
    /// How far each service's consumer group is behind, as the broker told it last.
    pub lag: Vec<ConsumerLag>,
}

/// Per second, over the last second, ten and sixty.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ThroughputReport {
    /// Orders placed.
    pub created: Rates,
    /// Orders that reached an outcome.
    pub finished: Rates,
    /// Events projected.
    pub events: Rates,
}

/// How far the projector is behind.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectorReport {
    /// The age of the oldest event of the latest batch, in milliseconds.
    pub lag_ms: f64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            lags: Lags::default(),
            created: Mutex::default(),
            finished: Mutex::default(),
            events: Mutex::default(),
            latency: Mutex::default(),
            history: Mutex::default(),
            lag_us: AtomicU64::new(0),
            lag: telemetry::projector_event_lag(PROJECTOR),
        }
    }
}

impl Stats {
    /// Nothing is counted yet; these consumer groups are watched.
    pub fn watching(groups: Vec<String>) -> Self {
        Self {
            lags: Lags::of(groups),
            ..Self::default()
        }
    }

    /// Orders have changed, and that is saved.
    pub fn note<'a>(
        &self,
        now: Timestamp,
        transitions: impl Iterator<Item = Transition<'a>> + Clone,
    ) {
        self.counts.note(transitions.clone());
        let (mut created, mut finished) = (0, 0);
        for transition in transitions {
            let was_listed = transition.before.is_some_and(|head| head.status.is_some());
            created += u64::from(!was_listed && transition.after.status.is_some());
            let had_ended = transition
                .before
                .is_some_and(|h| h.outcome != Outcome::Pending);
            if !had_ended && transition.after.outcome != Outcome::Pending {
                finished += 1;
                self.ended(&transition);
            }
        }
        self.created.lock().add(now, created);
        self.finished.lock().add(now, finished);
    }

    fn ended(&self, transition: &Transition<'_>) {
        // A later attempt began when an operator wanted it: how long that took says nothing about us.
        let Some(ended_at) = transition.ended_at.filter(|_| transition.attempt <= 1) else {
            return;
        };
        self.latency
            .lock()
            .add(ended_at.since(transition.created_at));
    }

    /// A batch was projected; its oldest event is of `oldest`.
    pub fn batch(&self, now: Timestamp, events: u64, oldest: Option<Timestamp>) {
        self.events.lock().add(now, events);
        if let Some(oldest) = oldest {
            let lag = now.since(oldest);
            self.lag_us.store(
                u64::try_from(lag.as_micros()).unwrap_or(u64::MAX),
                Ordering::Relaxed,
            );
            self.lag.set(lag.as_secs_f64());
        }
    }

    /// When nothing has come for a while the projector is not behind.
    pub fn rest(&self, now: Timestamp) {
        if self.events.lock().rates(now).second <= 0.0 {
            self.lag_us.store(0, Ordering::Relaxed);
            self.lag.set(0.0);
        }
    }

    /// Everything, at this moment.
    pub fn report(&self, now: Timestamp) -> Report {
        let percentiles = self.latency.lock().clone().percentiles();
        Report {
            total: self.counts.total(),
            throughput: ThroughputReport {
                created: self.created.lock().rates(now),
                finished: self.finished.lock().rates(now),
                events: self.events.lock().rates(now),
            },
            latency_ms: percentiles,
            projector: ProjectorReport {
                lag_ms: as_f64(self.lag_us.load(Ordering::Relaxed)) / 1_000.0,
            },
            lag: self.lags.report(now),
        }
    }

    /// Keeps how it is now, for who looks later. So many messages wait for an operator, if that is known.
    pub fn remember(&self, now: Timestamp, dead_letters: Option<u64>) {
        let Report {
            total,
            latency_ms,
            projector,
            lag,
            ..
        } = self.report(now);
        let counted = |count: u64| (!total.counting).then_some(count);
        let of_outcome = |outcome: Outcome| {
            let count = total.by_outcome.get(outcome.as_str());
            counted(count.copied().unwrap_or(0))
        };
        let took = |ms: f64| (latency_ms.count > 0).then_some(ms);
        let since_before =
            |throughput: &Mutex<Throughput>| throughput.lock().over(now, SAMPLE_INTERVAL);
        let sample = Sample {
            age_ms: 0,
            created: since_before(&self.created),
            finished: since_before(&self.finished),
            events: since_before(&self.events),
            p50_ms: took(latency_ms.p50),
            p95_ms: took(latency_ms.p95),
            p99_ms: took(latency_ms.p99),
            projector_lag_ms: projector.lag_ms,
            in_flight: counted(total.in_flight),
            stalled: counted(total.stalled),
            confirmed: of_outcome(Outcome::Confirmed),
            cancelled: of_outcome(Outcome::Cancelled),
            dead_letters,
            messages_behind: lag
                .iter()
                .filter_map(|lag| lag.messages)
                .reduce(|sum, messages| sum + messages),
        };
        self.history.lock().add(now, sample);
    }

    /// How it was in so long a time before now.
    pub fn history(&self, now: Timestamp, span: Duration) -> Vec<Sample> {
        self.history.lock().report(now, span)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds are far below 2^53"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}
