//! Who watches, and what they are told.
//!
//! The hub is fed in process: the projector tells it of every order that it has saved. Of what other instances save
//! `elsewhere` tells it. Telling it twice, or late, does no harm: a reader of an
//! order gets the events that it has not seen, whoever announced them, and the feed tells latest states.

mod feed;
mod resume;
mod snapshot;
mod sse;
#[cfg(test)]
mod tests;
mod watchers;

pub(crate) use feed::chunk;
pub use feed::{Feed, FeedForm, FeedReader, Lagged};
pub use resume::{BadEventId, Seen};
pub use snapshot::Snapshot;
pub use sse::{HEARTBEAT, HEARTBEAT_INTERVAL, RETRY, comment, frame};
pub use watchers::{Watch, Watchers};

use std::sync::Arc;

use crate::projection::Order;

/// Everyone who watches at this instance.
#[derive(Debug, Default)]
pub struct Hub {
    /// Readers of single orders.
    pub watchers: Arc<Watchers>,
    /// Readers of every order's latest state.
    pub feed: Feed,
}

impl Hub {
    /// Tells everyone who watches it of an order that was saved.
    pub fn announce(&self, order: &Order) {
        self.watchers.announce(order);
        if self.feed.has_readers() && order.fold().lifecycle.status.is_some() {
            self.feed.publish(order.id(), order.fold().state());
        }
    }
}
