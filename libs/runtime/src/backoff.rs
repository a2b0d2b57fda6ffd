//! How long to wait for a dependency that is down.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Exponential backoff with jitter that never gives up.
pub(crate) struct Backoff {
    delays: ExponentialBackoff,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build();
        Self { delays }
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.delays.next().unwrap_or(LONGEST)
    }
}
