//! A rate limit per key that keeps a bounded amount of memory, whatever is thrown at it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Stopwatch;

/// How many keys are remembered at most. Beyond it, new keys share one allowance.
const MAX_KEYS: usize = 16_384;

/// How much one key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests per second in the long run, at least 1.
    pub per_second: u32,
    /// Requests at once, at least 1.
    pub burst: u32,
}

/// Limits the rate per key (a client's address, a token's subject) by the generic cell rate algorithm:
/// one number per key, no timers.
#[derive(Debug, Clone)]
pub struct RateLimiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    interval_us: u64,
    tolerance_us: u64,
    max_keys: usize,
    epoch: Stopwatch,
    // Keyed with a random seed: nobody can choose keys that share an allowance with somebody else's.
    hasher: RandomState,
    arrivals: Mutex<HashMap<u64, u64>>,
}

/// The key that all newcomers share while the table is full.
const OVERFLOW: u64 = 0;

impl RateLimiter {
    /// A limiter that grants each key this allowance.
    pub fn new(allowance: Allowance) -> Self {
        Self::with_max_keys(allowance, MAX_KEYS)
    }

    fn with_max_keys(allowance: Allowance, max_keys: usize) -> Self {
        let interval_us = 1_000_000 / u64::from(allowance.per_second.max(1));
        Self(Arc::new(Inner {
            interval_us,
            tolerance_us: interval_us * u64::from(allowance.burst.max(1) - 1),
            max_keys,
            epoch: Stopwatch::start(),
            hasher: RandomState::new(),
            arrivals: Mutex::default(),
        }))
    }

    /// Takes one request out of the key's allowance, or says how long to wait.
    pub fn check(&self, key: impl std::hash::Hash) -> Result<(), Duration> {
        let now_us = u64::try_from(self.0.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.check_at(key, now_us)
    }

    fn check_at(&self, key: impl std::hash::Hash, now_us: u64) -> Result<(), Duration> {
        let inner = &*self.0;
        let mut key = inner.hasher.hash_one(key);
        let mut arrivals = inner.arrivals.lock();
        if arrivals.len() >= inner.max_keys && !arrivals.contains_key(&key) {
            // A key whose next arrival is due has its whole allowance back: forgetting it changes nothing.
            arrivals.retain(|_, due_us| *due_us > now_us);
            if arrivals.len() >= inner.max_keys {
                key = OVERFLOW;
            }
        }
        let due_us = arrivals.get(&key).copied().unwrap_or(now_us).max(now_us);
        let early_us = (due_us - now_us).saturating_sub(inner.tolerance_us);
        if early_us > 0 {
            return Err(Duration::from_micros(early_us));
        }
        arrivals.insert(key, due_us + inner.interval_us);
        Ok(())
    }
}

/// A wait as whole seconds for `Retry-After`, never 0.
pub fn retry_after_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_BURST_THREE: Allowance = Allowance {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let limiter = RateLimiter::new(TEN_BURST_THREE);
        for _ in 0..3 {
            assert_eq!(limiter.check_at("a", 0), Ok(()));
        }
        assert_eq!(limiter.check_at("a", 0), Err(Duration::from_millis(100)));
        assert_eq!(limiter.check_at("a", 100_000), Ok(()));
        assert!(limiter.check_at("a", 100_000).is_err());
    }

    #[test]
    fn one_key_does_not_spend_what_is_another_s() {
        let limiter = RateLimiter::new(Allowance {
            per_second: 1,
            burst: 1,
        });
        assert!(limiter.check_at("a", 0).is_ok());
        assert!(limiter.check_at("a", 0).is_err());
        assert!(limiter.check_at("b", 0).is_ok());
    }

    #[test]
    fn memory_stays_bounded_and_newcomers_beyond_it_share_one_allowance() {
        let limiter = RateLimiter::with_max_keys(
            Allowance {
                per_second: 1,
                burst: 1,
            },
            100,
        );
        let passed = (0..10_000)
            .filter(|key| limiter.check_at(key, 0).is_ok())
            .count();
        assert_eq!(passed, 101);
        assert!(limiter.0.arrivals.lock().len() <= 101);
    }

    #[test]
    fn keys_at_rest_are_forgotten_to_make_room() {
        let limiter = RateLimiter::with_max_keys(
            Allowance {
                per_second: 1,
                burst: 1,
            },
            100,
        );
        for key in 0..100 {
            limiter.check_at(key, 0).unwrap();
        }
        assert_eq!(limiter.check_at(1_000, 2_000_000), Ok(()));
        assert_eq!(limiter.0.arrivals.lock().len(), 1);
    }

    #[test]
    fn retry_after_is_rounded_up_and_at_least_a_second() {
        assert_eq!(retry_after_seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(retry_after_seconds(Duration::ZERO), 1);
    }
}
