//! What happened in each second of a run.

use hdrhistogram::Histogram;
use hdrhistogram::errors::CreationError;
use serde::Serialize;

/// Ten minutes in microseconds: a longer latency is recorded as this one.
const LONGEST_US: u64 = 600_000_000;

/// Latencies, to three digits.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Result<Self, CreationError> {
        Histogram::new_with_max(LONGEST_US, 3).map(Self)
    }

    pub(crate) fn record(&mut self, latency_us: u64) {
        self.0.saturating_record(latency_us);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latency that this share of all stayed at or below, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.is_empty()).then(|| milliseconds(self.0.value_at_quantile(quantile)))
    }

    pub(crate) fn max_ms(&self) -> Option<f64> {
        (!self.is_empty()).then(|| milliseconds(self.0.max()))
    }

    pub(crate) fn mean_ms(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.0.mean() / 1_000.0)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ten minutes in microseconds are far below 2^53"
)]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// One second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// Seconds since the start.
    pub at: u64,
    /// Orders that were due in it.
    pub due: u64,
    /// Orders accepted in it.
    pub accepted: u64,
    /// Orders refused, failed or not sent in it.
    pub failed: u64,
    /// Orders that came to their outcome in it.
    pub concluded: u64,
    /// From due time to the answer of `POST /orders`, 99th percentile in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_p99_ms: Option<f64>,
    /// From due time to the outcome, median in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_to_end_p50_ms: Option<f64>,
    /// From due time to the outcome, 99th percentile in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_to_end_p99_ms: Option<f64>,
}

/// Cuts a run into seconds, by the time at which things happened.
#[derive(Debug)]
pub(crate) struct Seconds {
    done: Vec<Second>,
    current: Second,
    post: Latencies,
    end_to_end: Latencies,
}

impl Seconds {
    pub(crate) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            done: Vec::new(),
            current: Second::default(),
            post: Latencies::new()?,
            end_to_end: Latencies::new()?,
        })
    }

    /// The second in which `now_us` lies. Seconds in which nothing happened are there as well, empty.
    pub(crate) fn at(&mut self, now_us: u64) -> &mut Second {
        let second = now_us / 1_000_000;
        while self.current.at < second {
            self.close();
        }
        &mut self.current
    }

    pub(crate) fn accepted(&mut self, now_us: u64, latency_us: u64) {
        self.at(now_us).accepted += 1;
        self.post.record(latency_us);
    }

    pub(crate) fn concluded(&mut self, now_us: u64, latency_us: u64) {
        self.at(now_us).concluded += 1;
        self.end_to_end.record(latency_us);
    }

    fn close(&mut self) {
        let next = Second {
            at: self.current.at + 1,
            ..Second::default()
        };
        let mut closed = std::mem::replace(&mut self.current, next);
        closed.post_p99_ms = self.post.quantile_ms(0.99);
        closed.end_to_end_p50_ms = self.end_to_end.quantile_ms(0.5);
        closed.end_to_end_p99_ms = self.end_to_end.quantile_ms(0.99);
        self.done.push(closed);
        if !self.post.is_empty() {
            self.post.0.reset();
        }
        if !self.end_to_end.is_empty() {
            self.end_to_end.0.reset();
        }
    }

    /// All seconds, the last one as far as it went.
    pub(crate) fn finish(&mut self) -> Vec<Second> {
        self.close();
        std::mem::take(&mut self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_in_its_second_and_quiet_seconds_are_there_too() {
        let mut seconds = Seconds::new().unwrap();
        seconds.at(0).due += 2;
        seconds.accepted(900_000, 4_000);
        seconds.concluded(2_100_000, 8_000);
        let all = seconds.finish();
        assert_eq!(all.iter().map(|s| s.at).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((all[0].due, all[0].accepted, all[0].concluded), (2, 1, 0));
        assert_eq!(
            all[1],
            Second {
                at: 1,
                ..Second::default()
            }
        );
        assert_eq!(all[2].concluded, 1);
        assert!((all[2].end_to_end_p99_ms.unwrap() - 8.0).abs() < 0.01);
        assert_eq!(all[2].post_p99_ms, None);
    }

    #[test]
    fn a_latency_beyond_ten_minutes_is_recorded_as_ten_minutes() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(u64::MAX);
        assert!((latencies.max_ms().unwrap() - 600_000.0).abs() < 1_000.0);
    }
}
