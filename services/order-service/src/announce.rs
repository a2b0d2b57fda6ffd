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
            tracing::debug!(events = count, "too many events wait to be published; the sweep publishes these");
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
            let (queue, waiting, relay) = (Arc::clone(&self.queue), Arc::clone(&self.waiting), self.relay.clone());
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
