//! Tells the world of records that an HTTP request made: what gathers while one publish is under way goes out together
//! with the next.
//!
//! Records are saved in small batches when few callers wait; published batch by batch, they would cost a round trip each.
//! What is not published here, because too much waits or the broker is down, is in its record's outbox, and swept.

use std::sync::Arc;

use metrics::Counter;
use sagaline_contracts::OrderId;
use sagaline_saga::Emission;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::OutboxRelay;

/// An order's event on its way out.
pub type Announcement = (OrderId, Emission);

/// What an [`Announcer`] holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnounceLimits {
    /// Events that may wait; further ones are left to the sweep, and counted.
    pub waiting_max: usize,
    /// Events that are published together.
    pub batch_max: usize,
    /// Publishes under way at a time: one on the wire while the next is prepared.
    pub publishes_max: usize,
}

impl Default for AnnounceLimits {
    fn default() -> Self {
        Self {
            waiting_max: 20_000,
            batch_max: 1_000,
            publishes_max: 2,
        }
    }
}

/// Where the events of records that were just saved are handed in.
///
/// It never waits: whoever saved a record has a caller to answer, and the events are safe in the record's outbox. What
/// finds no room is published by the sweep, some seconds later; the counter says how much that was.
#[derive(Clone)]
pub struct Announcer {
    queue: Sender<Announcement>,
    left_to_sweep: Counter,
}

/// Publishes what is handed in. It ends when every [`Announcer`] is gone and the queue is empty.
pub struct Announcers {
    queue: Arc<Mutex<Receiver<Announcement>>>,
    relay: OutboxRelay,
    limits: AnnounceLimits,
}

impl Announcer {
    /// A place to hand events in, and who publishes them on `relay`. What is left to the sweep is counted.
    pub fn new(
        relay: OutboxRelay,
        limits: AnnounceLimits,
        left_to_sweep: Counter,
    ) -> (Self, Announcers) {
        let (sender, receiver) = channel(limits.waiting_max.max(1));
        let announcer = Self {
            queue: sender,
            left_to_sweep,
        };
        let announcers = Announcers {
            queue: Arc::new(Mutex::new(receiver)),
            relay,
            limits,
        };
        (announcer, announcers)
    }

    /// Hands in the events of records that were just saved, in order; never waits.
    pub fn announce(&self, announcements: Vec<Announcement>) {
        let mut left: u64 = 0;
        for announcement in announcements {
            // Once one is left, those behind it are as well: they may be of the same order.
            let refused = left > 0 || self.queue.try_send(announcement).is_err();
            left += u64::from(refused);
        }
        if left > 0 {
            self.left_to_sweep.increment(left);
            tracing::debug!(
                events = left,
                "too many events wait to be published; the sweep publishes these"
            );
        }
    }
}

impl Announcers {
    /// Publishes until every [`Announcer`] is gone and everything that was handed in was tried once.
    pub async fn run(self) {
        let workers = (0..self.limits.publishes_max.max(1)).map(|_| {
            let (queue, relay) = (Arc::clone(&self.queue), self.relay.clone());
            tokio::spawn(work(queue, relay, self.limits.batch_max.max(1)))
        });
        for ended in futures::future::join_all(workers).await {
            if let Err(error) = ended {
                tracing::error!(%error, "a publisher of outbox entries ended early");
            }
        }
    }
}

async fn work(queue: Arc<Mutex<Receiver<Announcement>>>, relay: OutboxRelay, batch_max: usize) {
    loop {
        let mut batch = Vec::new();
        let taken = queue.lock().await.recv_many(&mut batch, batch_max).await;
        if taken == 0 {
            return;
        }
        let left = relay.publish(&batch, 1).await;
        if let Some(first) = left.first() {
            tracing::warn!(
                error = first.why,
                events = left.len(),
                "outbox entries were not published; the sweep tries again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use sagaline_contracts::payload::OrderConfirmed;
    use sagaline_saga::given::event;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{AckedSet, BrokerError, Outbound, Producer, RelayFaults};

    /// Publishes when it gets a permit, and remembers how many events went together.
    struct Slow {
        gate: Semaphore,
        batches: parking_lot::Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl Producer for Slow {
        async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
            self.batches.lock().push(messages.len());
            match self.gate.acquire().await {
                Ok(permit) => permit.forget(),
                Err(closed) => return Err(BrokerError::unavailable("publish", closed)),
            }
            Ok(())
        }
    }

    fn announcements(range: std::ops::Range<usize>) -> Vec<Announcement> {
        let one = |number: usize| {
            let order_id = OrderId::new(format!("o-{number}")).unwrap();
            let told = OrderConfirmed {
                order_id: order_id.clone(),
                attempt: None,
            };
            (order_id, Emission::of(&event(&format!("e-{number}"), told)))
        };
        range.map(one).collect()
    }

    struct World {
        producer: Arc<Slow>,
        acked: AckedSet,
        left: Arc<AtomicU64>,
    }

    impl World {
        fn new(limits: AnnounceLimits) -> (Self, Announcer, Announcers) {
            let producer = Arc::new(Slow {
                gate: Semaphore::new(0),
                batches: parking_lot::Mutex::default(),
            });
            let (acked, left) = (AckedSet::default(), Arc::new(AtomicU64::new(0)));
            let shared = Arc::clone(&producer) as Arc<dyn Producer>;
            let relay = OutboxRelay::new(shared, acked.clone(), RelayFaults::default());
            let counter = Counter::from_arc(Arc::clone(&left));
            let (announcer, announcers) = Announcer::new(relay, limits, counter);
            let world = Self {
                producer,
                acked,
                left,
            };
            (world, announcer, announcers)
        }

        /// Of these events, the numbers of those that are known to be told.
        fn told(&self, range: std::ops::Range<usize>) -> Vec<usize> {
            let numbered = range.clone().zip(announcements(range));
            numbered
                .filter(|(_, (_, emission))| self.acked.contains(&emission.id))
                .map(|(number, _)| number)
                .collect()
        }

        fn left(&self) -> u64 {
            self.left.load(Ordering::Relaxed)
        }

        async fn publishes(&self, count: usize) {
            while self.producer.batches.lock().len() < count {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn what_gathers_during_a_publish_goes_out_together() {
        let limits = AnnounceLimits::default();
        let (world, announcer, announcers) = World::new(limits);
        let running = tokio::spawn(announcers.run());
        for number in 0..limits.publishes_max {
            announcer.announce(announcements(number..number + 1));
            world.publishes(number + 1).await;
        }
        for number in limits.publishes_max..100 {
            announcer.announce(announcements(number..number + 1));
        }
        drop(announcer);
        world.producer.gate.add_permits(100);
        running.await.unwrap();
        assert_eq!(*world.producer.batches.lock(), [1, 1, 98]);
        assert_eq!(world.told(0..100).len(), 100);
        assert_eq!(world.left(), 0);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_the_rest_is_left_to_the_sweep_and_counted() {
        let limits = AnnounceLimits {
            waiting_max: 4,
            batch_max: 2,
            publishes_max: 1,
        };
        let (world, announcer, announcers) = World::new(limits);
        announcer.announce(announcements(0..3));
        announcer.announce(announcements(3..7));
        assert_eq!(world.left(), 3, "four fit, whatever they came with");

        // room comes back as the broker takes them
        let running = tokio::spawn(announcers.run());
        world.producer.gate.add_permits(10);
        world.publishes(2).await;
        announcer.announce(announcements(7..9));
        drop(announcer);
        running.await.unwrap();
        assert_eq!(world.told(0..9), [0, 1, 2, 3, 7, 8]);
        assert_eq!(world.left(), 3);
        assert!(world.producer.batches.lock().iter().all(|size| *size <= 2));
    }

    #[tokio::test]
    async fn a_broker_that_hangs_holds_back_neither_callers_nor_memory() {
        let limits = AnnounceLimits {
            waiting_max: 10,
            batch_max: 5,
            publishes_max: 2,
        };
        let (world, announcer, announcers) = World::new(limits);
        let running = tokio::spawn(announcers.run());
        for number in 0..2 {
            announcer.announce(announcements(number..number + 1));
            world.publishes(number + 1).await;
        }
        for number in 2..1_000 {
            announcer.announce(announcements(number..number + 1));
        }
        assert_eq!(world.left(), 988, "two on the wire, ten that wait");
        drop(announcer);
        world.producer.gate.add_permits(4);
        running.await.unwrap();
        assert_eq!(world.told(0..1_000), (0..12).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_the_broker_refused_is_not_taken_for_told() {
        let (world, announcer, announcers) = World::new(AnnounceLimits::default());
        world.producer.gate.close();
        announcer.announce(announcements(0..3));
        drop(announcer);
        announcers.run().await;
        assert_eq!(world.told(0..3), [] as [usize; 0]);
        assert!(!world.producer.batches.lock().is_empty());
    }

    #[tokio::test]
    async fn what_is_handed_in_after_the_publishers_ended_is_left_to_the_sweep() {
        let (world, announcer, announcers) = World::new(AnnounceLimits::default());
        drop(announcers);
        announcer.announce(announcements(0..3));
        assert_eq!(world.left(), 3);
    }
}
