//! The only place where this crate reads time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Monotonic time: for deadlines and sessions.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch: for retention, and to tell one run of the broker from the next.
#[expect(
    clippy::disallowed_methods,
    reason = "the broker's one reading of the wall clock; everything else takes time as an argument"
)]
pub(crate) fn wall_millis() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// A duration that a client sent in milliseconds; negative ones count as zero.
pub(crate) fn client_millis(milliseconds: i32) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}
