//! How many per second.

use std::time::Duration;

use sagaline_contracts::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

const SECONDS: usize = 64;

/// Counts per second over the last minute.
#[derive(Debug)]
pub struct Throughput {
    slots: [(i64, u64); SECONDS],
}

/// Per second, over the last full second, ten and sixty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Rates {
    /// The last second.
    #[serde(rename = "1s")]
    pub second: f64,
    /// The last ten.
    #[serde(rename = "10s")]
    pub ten: f64,
    /// The last sixty.
    #[serde(rename = "60s")]
    pub sixty: f64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self {
            slots: [(i64::MIN, 0); SECONDS],
        }
    }
}

impl Throughput {
    /// So many more, now.
    pub fn add(&mut self, now: Timestamp, count: u64) {
        let second = second(now);
        let slot = &mut self.slots[slot(second)];
        if slot.0 == second {
            slot.1 += count;
        } else {
            *slot = (second, count);
        }
    }

    /// The rates over full seconds: the one that is running would make every rate look low.
    pub fn rates(&self, now: Timestamp) -> Rates {
        let over = |seconds| self.over(now, Duration::from_secs(seconds));
        Rates {
            second: over(1),
            ten: over(10),
            sixty: over(60),
        }
    }

    /// The rate over so many full seconds, a minute at most.
    pub fn over(&self, now: Timestamp, span: Duration) -> f64 {
        let current = second(now);
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX).min(60);
        let first = current - seconds;
        let counts = self
            .slots
            .iter()
            .filter(|(at, _)| (first..current).contains(at));
        super::as_f64(counts.map(|(_, count)| count).sum()) / span.as_secs_f64()
    }
}

fn second(now: Timestamp) -> i64 {
    now.micros().div_euclid(1_000_000)
}

fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000 + 500_000)
    }

    #[test]
    fn rates_are_of_full_seconds_and_forget_what_is_long_ago() {
        let mut throughput = Throughput::default();
        for second in 0..100 {
            throughput.add(at(second), 10);
        }
        throughput.add(at(100), 1_000);
        let steady = Rates {
            second: 10.0,
            ten: 10.0,
            sixty: 10.0,
        };
        assert_eq!(throughput.rates(at(100)), steady);
        let burst = throughput.rates(at(101));
        assert_eq!((burst.second, burst.ten), (1_000.0, 109.0));
        let silence = Rates {
            second: 0.0,
            ten: 0.0,
            sixty: 0.0,
        };
        assert_eq!(throughput.rates(at(300)), silence);
    }
}
