//! The one place that reads the machine's clocks. Everything else takes time as an input.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole seconds since the Unix epoch, from wherever the caller wants time to come.
pub type UnixSeconds = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The wall clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Microseconds since the Unix epoch.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where wall time is read"
    )]
    pub fn now_micros(self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        }
    }

    /// Whole seconds since the Unix epoch.
    pub fn now_seconds(self) -> i64 {
        self.now_micros().div_euclid(1_000_000)
    }

    /// This clock as a function of seconds, as sign-in takes it.
    pub fn seconds(self) -> UnixSeconds {
        Arc::new(move || self.now_seconds())
    }
}

/// An instant in microseconds since the Unix epoch as RFC 3339 in UTC.
pub fn rfc3339(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Measures how long something takes, untouched by changes of the wall clock. Where time is simulated, it measures that.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(tokio::time::Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since the start, as histograms want them.
    pub fn elapsed_seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_are_rendered_as_rfc3339_in_utc() {
        assert_eq!(
            rfc3339(1_700_000_000_123_456),
            "2023-11-14T22:13:20.123456Z"
        );
    }

    #[test]
    fn an_instant_outside_of_the_calendar_is_rendered_as_the_epoch() {
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_wall_clock_is_after_the_year_2024_and_never_in_milliseconds() {
        let now = SystemClock.now_micros();
        assert!(now > 1_704_067_200_000_000, "{now} is before 2024");
        assert_eq!(
            now / 1_000_000_000_000_000,
            1,
            "{now} is not in microseconds"
        );
    }
}
