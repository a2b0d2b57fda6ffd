//! What was counted before: a sample every few seconds, so that a chart need not begin empty when somebody opens it.

use std::collections::VecDeque;
use std::time::Duration;

use sagaline_contracts::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// How often a sample is kept.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// How far back they go: the longest time that the dashboard shows.
pub const SPAN_MAX: Duration = Duration::from_hours(1);
/// As many as there are in that time.
const KEPT_MAX: usize = 720;

/// The samples of the last hour, in memory: they begin with the process.
#[derive(Debug, Default)]
pub struct History {
    /// The earliest first.
    samples: VecDeque<(Timestamp, Sample)>,
}

/// What was counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// Orders placed per second, over the five seconds before.
    pub created: f64,
    /// Orders that reached an outcome, per second, over the five seconds before.
    pub finished: f64,
    /// Events projected per second, over the five seconds before.
    pub events: f64,
    /// Half of the latest outcomes took no longer, in milliseconds. Null before the first, as are the next two.
    pub p50_ms: Option<f64>,
    /// 95 of 100 took no longer.
    pub p95_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// How far the projector was behind, in milliseconds.
    pub projector_lag_ms: f64,
    /// Orders without an outcome. Null while orders were being counted, as are the next three.
    pub in_flight: Option<u64>,
    /// Orders in flight for longer than the saga timeout.
    pub stalled: Option<u64>,
    /// Orders that were confirmed.
    pub confirmed: Option<u64>,
    /// Orders that were cancelled.
    pub cancelled: Option<u64>,
    /// Messages that waited for an operator. Null when the store did not tell.
    pub dead_letters: Option<u64>,
    /// Messages that the consumer groups had yet to read, all together. Null when nobody knew.
    pub messages_behind: Option<u64>,
}

impl History {
    /// It is so now.
    pub fn add(&mut self, now: Timestamp, sample: Sample) {
        // The clock was set back: of what it called later nobody can say how long ago it is.
        while self.samples.back().is_some_and(|(at, _)| *at >= now) {
            self.samples.pop_back();
        }
        if self.samples.len() == KEPT_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now, sample));
    }

    /// The samples of so long before now, the earliest first.
    pub fn report(&self, now: Timestamp, span: Duration) -> Vec<Sample> {
        let aged = self.samples.iter().map(|(at, sample)| {
            let age = now.since(*at);
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            (age, Sample { age_ms, ..*sample })
        });
        let span = span.min(SPAN_MAX);
        aged.filter(|(age, _)| *age <= span)
            .map(|(_, sample)| sample)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u32) -> Timestamp {
        Timestamp::from_micros(i64::from(seconds) * 1_000_000)
    }

    fn sample(created: u32) -> Sample {
        Sample {
            age_ms: 0,
            created: created.into(),
            finished: 0.0,
            events: 0.0,
            p50_ms: None,
            p95_ms: None,
            p99_ms: None,
            projector_lag_ms: 0.0,
            in_flight: Some(0),
            stalled: Some(0),
            confirmed: Some(0),
            cancelled: Some(0),
            dead_letters: None,
            messages_behind: None,
        }
    }

    fn seen(history: &History, now: u32, span_s: u64) -> Vec<(u64, f64)> {
        let samples = history.report(at(now), Duration::from_secs(span_s));
        samples.iter().map(|it| (it.age_ms, it.created)).collect()
    }

    #[test]
    fn given_samples_when_they_are_asked_for_then_those_of_that_time_are_told_the_earliest_first() {
        let mut history = History::default();
        for second in [0, 5, 10] {
            history.add(at(second), sample(second));
        }
        let all = [(12_000, 0.0), (7_000, 5.0), (2_000, 10.0)];
        assert_eq!(seen(&history, 12, 3_600), all);
        assert_eq!(seen(&history, 12, 7), all[1..]);
    }

    #[test]
    fn given_a_day_of_samples_then_an_hour_of_them_is_kept_and_no_more() {
        let mut history = History::default();
        for second in (0..86_400).step_by(5) {
            history.add(at(second), sample(second));
        }
        assert_eq!(history.samples.len(), KEPT_MAX);
        let seen = seen(&history, 86_400, u64::MAX);
        assert_eq!(seen.first(), Some(&(3_600_000, 82_800.0)));
        assert_eq!(seen.last(), Some(&(5_000, 86_395.0)));
    }

    #[test]
    fn given_a_process_that_stood_still_then_what_is_older_than_an_hour_is_not_told() {
        let mut history = History::default();
        history.add(at(0), sample(1));
        history.add(at(4_000), sample(2));
        assert_eq!(seen(&history, 4_001, 3_600), [(1_000, 2.0)]);
    }

    #[test]
    fn given_a_clock_that_was_set_back_then_what_it_called_later_is_forgotten() {
        let mut history = History::default();
        for second in [100, 105, 50] {
            history.add(at(second), sample(second));
        }
        assert_eq!(seen(&history, 51, 3_600), [(1_000, 50.0)]);
    }
}
