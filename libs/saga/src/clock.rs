//! Time as an input.

use std::time::Duration;

use sagaline_contracts::{Event, Timestamp};

/// Where the shell reads the time; nothing pure calls it.
pub trait Clock: Send + Sync + 'static {
    /// The time now, as this machine believes it.
    fn now(&self) -> Timestamp;
}

/// How far ahead of this machine's clock an event may be stamped and still be believed.
///
/// Two clocks that are a day off in opposite directions are two days apart, and what they stamp must stay in order; the
/// third day is for everything else. `docs/adr/0008-bounded-clocks.md` says why there is a limit at all.
pub const CLOCK_LEAD_MAX: Duration = Duration::from_hours(72);

/// The event as it is handled: one that is stamped too far ahead is of now. Its sender's clock is wrong, and must neither stamp
/// what this service tells nor set its deadlines.
pub(crate) fn believed(mut event: Event, now: Timestamp) -> Event {
    if event.timestamp > now + CLOCK_LEAD_MAX {
        event.timestamp = now;
    }
    event
}
