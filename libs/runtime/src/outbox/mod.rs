//! Events that no Kafka record would bring back: published at once, swept when that failed.

mod acked;
mod announcer;
mod faults;
mod relay;

pub use acked::AckedSet;
pub use announcer::{AnnounceLimits, Announcement, Announcer, Announcers};
pub use faults::RelayFaults;
pub use relay::{OutboxRelay, Unacknowledged};
