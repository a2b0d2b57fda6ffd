//! How long orders take.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// So many of the latest outcomes count.
const LATEST_MAX: usize = 8_192;

/// The latest durations.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    micros: Vec<u64>,
    next: usize,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Percentiles {
    /// Of so many.
    pub count: usize,
    /// Half took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if self.micros.len() < LATEST_MAX {
            self.micros.push(took);
        } else {
            self.micros[self.next] = took;
        }
        self.next = (self.next + 1) % LATEST_MAX;
    }

    /// The percentiles of the latest.
    pub fn percentiles(mut self) -> Percentiles {
        self.micros.sort_unstable();
        let count = self.micros.len();
        let at = |percent: usize| {
            // nearest rank
            let rank = (count * percent).div_ceil(100).max(1) - 1;
            let micros = self.micros.get(rank).copied().unwrap_or(0);
            super::as_f64(micros) / 1_000.0
        };
        Percentiles {
            count,
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_latest_by_nearest_rank() {
        let mut latency = Latency::default();
        assert_eq!(latency.clone().percentiles().count, 0);
        for _ in 0..LATEST_MAX {
            latency.add(Duration::from_secs(9));
        }
        for ms in (1..=100).cycle().take(LATEST_MAX) {
            latency.add(Duration::from_millis(ms));
        }
        let percentiles = latency.percentiles();
        assert_eq!(percentiles.count, LATEST_MAX);
        assert!(
            (percentiles.max - 100.0).abs() < f64::EPSILON,
            "{percentiles:?}"
        );
        assert!((49.0..=51.0).contains(&percentiles.p50), "{percentiles:?}");
        assert!((98.0..=99.0).contains(&percentiles.p99), "{percentiles:?}");
    }
}
