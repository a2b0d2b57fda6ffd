//! Tells the world of new orders: what gathers while one publish is under way goes out together with the next.
//!
//! Orders are saved in small batches when few callers wait; published batch by batch, they would cost a round trip each.
//! What is not published here, because too much waits or the broker is down, is in its order's outbox, and swept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sagaline_contracts::OrderId;
use sagaline_runtime::OutboxRelay;
use sagaline_saga::Emission;
use tokio::sync::{Mutex, mpsc};

/// Events that may wait; further ones are left to the sweep.
const WAITING_MAX: usize = 20_000;
/// Events that are published together.
const BATCH_MAX: usize = 1_000;
/// Publishes under way at a time: one on the wire while the next is prepared.
const WORKERS: usize = 2;

/// An order's event on its way out.
pub type Announcement = (OrderId, Emission);

/// Where new orders' events are handed in.
#[derive(Clone)]
pub struct Announcer {
    queue: mpsc::UnboundedSender<Announcement>,
    waiting: Arc<AtomicUsize>,
}

/// Publishes what is handed in. It ends when every [`Announcer`] is gone and the queue is empty.
pub struct Announcers {
    queue: Arc<Mutex<mpsc::UnboundedReceiver<Announcement>>>,
    waiting: Arc<AtomicUsize>,
    relay: OutboxRelay,
}

impl Announcer {
    /// A place to hand events in, and who publishes them on `relay`.
    pub fn new(relay: OutboxRelay) -> (Self, Announcers) {
        // Bounded by the count beside it: one bound for events, however many are handed in at a time.
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let announcer = Self {
            queue: sender,
            waiting: Arc::clone(&waiting),
        };
        let announcers = Announcers {
            queue: Arc::new(Mutex::new(receiver)),
            waiting,
            relay,
        };
        (announcer, announcers)
    }

    /// Hands in the events of orders that were just saved; never waits.
    pub fn announce(&self, announcements: Vec<Announcement>) {
        let count = announcements.len();
        let waiting = self.waiting.fetch_add(count, Ordering::Relaxed);
        if waiting + count > WAITING_MAX {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            tracing::debug!(
                events = count,
                "too many events wait to be published; the sweep publishes these"
            );
            return;
        }
        for announcement in announcements {
            // Nobody listens any more only after the drain: the sweep of the next start has them.
            if self.queue.send(announcement).is_err() {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Announcers {
    /// Publishes until every [`Announcer`] is gone and everything that was handed in was tried once.
    pub async fn run(self) {
        let workers = (0..WORKERS).map(|_| {
            let (queue, waiting, relay) = (
                Arc::clone(&self.queue),
                Arc::clone(&self.waiting),
                self.relay.clone(),
            );
            tokio::spawn(work(queue, waiting, relay))
        });
        for ended in futures::future::join_all(workers).await {
            if let Err(error) = ended {
                tracing::error!(%error, "a publisher of new orders ended early");
            }
        }
    }
}

async fn work(
    queue: Arc<Mutex<mpsc::UnboundedReceiver<Announcement>>>,
    waiting: Arc<AtomicUsize>,
    relay: OutboxRelay,
) {
    loop {
        let mut batch = Vec::new();
        let taken = queue.lock().await.recv_many(&mut batch, BATCH_MAX).await;
        if taken == 0 {
            return;
        }
        if let Err(error) = relay.publish(&batch, 1).await {
            tracing::warn!(%error, events = taken, "new orders' events were not published; the sweep tries again");
        }
        waiting.fetch_sub(taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use sagaline_contracts::payload::OrderConfirmed;
    use sagaline_runtime::{AckedSet, BrokerError, Outbound, Producer, RelayFaults};
    use sagaline_saga::given::event;
    use tokio::sync::Semaphore;

    use super::*;

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

    fn slow() -> (Arc<Slow>, Announcer, Announcers, AckedSet) {
        let producer = Arc::new(Slow {
            gate: Semaphore::new(0),
            batches: parking_lot::Mutex::default(),
        });
        let acked = AckedSet::default();
        let shared = Arc::clone(&producer) as Arc<dyn Producer>;
        let relay = OutboxRelay::new(shared, acked.clone(), RelayFaults::default());
        let (announcer, announcers) = Announcer::new(relay);
        (producer, announcer, announcers, acked)
    }

    #[tokio::test]
    async fn what_gathers_during_a_publish_goes_out_together() {
        let (producer, announcer, announcers, acked) = slow();
        let running = tokio::spawn(announcers.run());
        for number in 0..WORKERS {
            announcer.announce(announcements(number..number + 1));
            while producer.batches.lock().len() <= number {
                tokio::task::yield_now().await;
            }
        }
        for number in WORKERS..100 {
            announcer.announce(announcements(number..number + 1));
        }
        drop(announcer);
        producer.gate.add_permits(100);
        running.await.unwrap();
        assert_eq!(*producer.batches.lock(), [1, 1, 98]);
        let all = announcements(0..100);
        assert!(all.iter().all(|(_, emission)| acked.contains(&emission.id)));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_room_comes_back() {
        let (producer, announcer, announcers, acked) = slow();
        announcer.announce(announcements(0..WAITING_MAX));
        announcer.announce(announcements(WAITING_MAX..WAITING_MAX + 1));
        let running = tokio::spawn(announcers.run());
        producer.gate.add_permits(WAITING_MAX);
        while announcer.waiting.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        announcer.announce(announcements(WAITING_MAX + 1..WAITING_MAX + 2));
        drop(announcer);
        running.await.unwrap();
        let last = announcements(WAITING_MAX - 1..WAITING_MAX + 2);
        let told: Vec<_> = last
            .iter()
            .map(|(_, emission)| acked.contains(&emission.id))
            .collect();
        assert_eq!(
            told,
            [true, false, true],
            "the one beyond the bound is left to the sweep"
        );
    }

    #[tokio::test]
    async fn what_the_broker_refused_is_not_taken_for_told() {
        let (producer, announcer, announcers, acked) = slow();
        producer.gate.close();
        announcer.announce(announcements(0..3));
        drop(announcer);
        announcers.run().await;
        let none = announcements(0..3);
        assert!(
            none.iter()
                .all(|(_, emission)| !acked.contains(&emission.id))
        );
        assert!(!producer.batches.lock().is_empty());
    }
}
