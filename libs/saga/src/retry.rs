//! How long an event waits before it is tried again.

use std::time::Duration;

use sagaline_contracts::EventId;

/// Tiered backoff for an event whose effect failed for its order alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long to wait after the first, second, … failure; the last one repeats.
    pub delays: Vec<Duration>,
    /// After so many failures the event is a dead letter.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delays: [1, 5, 15, 60, 300].map(Duration::from_secs).to_vec(),
            attempts_max: 8,
        }
    }
}

impl RetryPolicy {
    /// How long to wait after failure number `attempts` (1 for the first): the tier's delay plus up to a fifth of it,
    /// spread by the event's id so that many orders do not come back at once.
    pub fn delay(&self, event_id: &EventId, attempts: u32) -> Duration {
        let tier = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let base = self
            .delays
            .get(tier)
            .or(self.delays.last())
            .copied()
            .unwrap_or(Duration::from_secs(1));
        let spread = event_id.as_str().bytes().fold(attempts, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u32::from(byte))
        }) % 200;
        base + base * spread / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_failures_wait_longer_and_the_last_tier_repeats() {
        let policy = RetryPolicy::default();
        let id = EventId::new("e").unwrap();
        assert!(policy.delay(&id, 1) >= Duration::from_secs(1));
        assert!(policy.delay(&id, 1) < Duration::from_secs(2));
        assert!(policy.delay(&id, 4) >= Duration::from_mins(1));
        assert!(policy.delay(&id, 99) >= Duration::from_mins(5));
        assert!(policy.delay(&id, 99) < Duration::from_mins(7));
    }
}
