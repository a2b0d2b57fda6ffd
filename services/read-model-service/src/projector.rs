//! From batches of messages to saved documents, and to everyone who watches.
//!
//! A batch is decoded once and grouped by order; each order is loaded at most once and saved at most once. An order that is
//! new, or that this instance has saved a moment ago, is not loaded at all: compare-and-set tells when that was
//! wrong, and then exactly those orders are loaded and merged again. Nothing is parked, and nothing depends on order or number of
//! arrivals.

mod blame;
mod cache;
mod decode;
mod merge;
mod publisher;
mod save;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sagaline_contracts::Timestamp;
use sagaline_runtime::{BatchHandler, Inbound, Outage, Ports};
use sagaline_service_kit::clock::Stopwatch;
use sagaline_service_kit::telemetry::EventStatus;

pub use merge::merge_all;
pub use publisher::Publisher;

use crate::live::Hub;
use crate::projection::{Audit, Order};
use crate::stats::Stats;
use cache::Cache;
use decode::{Batch, Topics};

/// What an instance that is not told of anything does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It makes dead letters of what it cannot read.
    Live,
    /// It only projects: the dead letters were made the first time.
    Rebuild,
}

/// Projects batches of messages.
pub struct Projector {
    ports: Ports,
    publisher: Publisher,
    /// Who is told.
    pub hub: Arc<Hub>,
    /// What is counted.
    pub stats: Arc<Stats>,
    topics: Topics,
    cache: parking_lot::Mutex<Cache>,
    /// Orders that begin are not loaded before they are saved, unless that was wrong for most of them the last time.
    expects_new: AtomicBool,
    mode: Mode,
}

impl Projector {
    /// A projector that tells `hub` and `stats`.
    pub fn new(
        ports: Ports,
        publisher: Publisher,
        hub: Arc<Hub>,
        stats: Arc<Stats>,
        mode: Mode,
    ) -> Self {
        Self {
            ports,
            publisher,
            hub,
            stats,
            topics: Topics::new(),
            cache: parking_lot::Mutex::default(),
            expects_new: AtomicBool::new(mode == Mode::Live),
            mode,
        }
    }

    /// The topics that it reads.
    pub fn topics() -> Vec<&'static str> {
        sagaline_contracts::EventType::topics().collect()
    }

    async fn save(&self, batch: Batch, messages: &[Inbound], now: Timestamp) -> Result<(), Outage> {
        let Batch {
            orders,
            letters,
            mut poison,
            oldest,
            received,
        } = batch;
        let events =
            u64::try_from(received.iter().map(|(_, count)| count).sum::<usize>()).unwrap_or(0);
        let mut duplicates = Vec::new();
        let (audits, damaged) = self
            .save_orders(orders, messages, now, &mut duplicates)
            .await?;
        poison.extend(self.topics.entomb(messages, &damaged, now));
        merge_all(&*self.ports.store, letters).await?;
        if !sagaline_saga::planted!("no audit") {
            merge_all(&*self.ports.store, audits).await?;
        }
        let poisoned = poison.iter().map(|(topic, _)| *topic).collect::<Vec<_>>();
        if self.mode == Mode::Live {
            let messages: Vec<_> = poison
                .into_iter()
                .filter_map(|(_, message)| message)
                .collect();
            self.publisher.publish(messages).await?;
        }
        self.count(&received, &duplicates, &poisoned);
        self.stats.batch(now, events, oldest);
        Ok(())
    }

    /// Counts what became of each message: all that are neither double nor dead were applied.
    fn count(
        &self,
        received: &[(usize, usize)],
        duplicates: &[sagaline_contracts::EventType],
        poisoned: &[usize],
    ) {
        for (topic, count) in received {
            let dead = poisoned.iter().filter(|other| *other == topic).count();
            let double = duplicates
                .iter()
                .filter(|kind| self.topics.is_of(*topic, **kind))
                .count()
                .min(count - dead);
            let metrics = self.topics.metrics(*topic);
            for (status, count) in [
                (EventStatus::Ok, count - dead - double),
                (EventStatus::Duplicate, double),
                (EventStatus::Dead, dead),
            ] {
                if count > 0 {
                    metrics.processed(status, count as u64);
                }
            }
        }
    }

    /// After an outage nobody knows what was saved: nothing that is remembered counts any more.
    fn forget(&self) {
        *self.cache.lock() = Cache::default();
    }
}

impl Projector {
    /// Projects a batch; gives the timestamp of its oldest event.
    pub(crate) async fn project(&self, batch: &[Inbound]) -> Result<Option<Timestamp>, Outage> {
        let watch = Stopwatch::start();
        let now = self.ports.clock.now();
        let decoded = self.topics.decode(batch, now);
        let received = decoded.received.clone();
        let oldest = decoded.oldest;
        self.save(decoded, batch, now).await?;
        let seconds = watch.elapsed_seconds();
        for (topic, count) in received {
            self.topics.metrics(topic).batch_took(seconds, count);
        }
        Ok(oldest)
    }

    fn expects_new(&self) -> bool {
        self.expects_new.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl BatchHandler for Projector {
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage> {
        self.project(batch).await.map(|_| ())
    }

    async fn tick(&self, now: Timestamp) -> Result<(), Outage> {
        self.stats.rest(now);
        Ok(())
    }
}

/// The commands of an order, and what became of them.
fn audits(order: &Order) -> Vec<Audit> {
    if order.has_commands() {
        Audit::of_order(order).collect()
    } else {
        Vec::new()
    }
}
