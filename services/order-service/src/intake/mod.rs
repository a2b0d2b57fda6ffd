//! Order intake by group commit: requests that wait are saved together, and answered when that is durable.
//!
//! A request is put into a bounded queue and waits for a bounded time. A worker takes all that wait and saves them in one
//! round trip; while it does, the next ones gather. So the dearer a save is, the more requests share it.

mod desk;
mod draft;
mod job;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sagaline_contracts::OrderId;
use sagaline_runtime::{Announcer, HealthSink};
use sagaline_store::Store;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::domain::IdentityKind;
use crate::measure::Gauges;
use desk::Desk;
pub use draft::Draft;
use job::Job;

/// What the pipeline ends within a third of the default timeout at 5,000 orders a second.
pub const IN_FLIGHT_MAX: u32 = 50_000;

/// How much may wait, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct IntakeLimits {
    /// Requests that wait for a worker.
    pub queue: usize,
    /// Requests that are saved together.
    pub batch: usize,
    /// Workers that save side by side.
    pub workers: usize,
    /// How long a request waits for its answer.
    pub wait: Duration,
    /// How long one call of the store may take.
    pub store: Duration,
    /// Orders that may be without an outcome: more than the pipeline can end within the saga's timeout would all be
    /// cancelled by it.
    pub in_flight: u32,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            queue: 2_048,
            batch: 512,
            workers: 2,
            wait: Duration::from_secs(5),
            store: Duration::from_secs(4),
            in_flight: IN_FLIGHT_MAX,
        }
    }
}

/// What became of a valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It is a new order.
    Created(OrderId),
    /// It was made before, and is this order.
    Before(OrderId),
}

impl Placed {
    /// The order's id.
    pub const fn order_id(&self) -> &OrderId {
        match self {
            Self::Created(id) | Self::Before(id) => id,
        }
    }
}

/// Why a valid request is not an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Too many wait already.
    #[error("too many orders are waiting to be saved: try again in a second")]
    Full,
    /// Too many orders have no outcome yet.
    #[error("too many orders are in flight: try again in a second")]
    Behind,
    /// It is not known in time whether it was saved.
    #[error(
        "the order could not be saved in time: try again, with the same Idempotency-Key to be safe"
    )]
    TooSlow,
    /// The store is down.
    #[error("the store is unavailable: try again, with the same Idempotency-Key to be safe")]
    Unavailable,
    /// Another request was made under one of its identities.
    #[error("another request was made under this {}; a new request needs a new one", .0.name())]
    Conflict(IdentityKind),
    /// A document in the store is damaged.
    #[error("what is stored under this {} cannot be read", .0.name())]
    Unreadable(IdentityKind),
}

/// Where handlers hand requests in.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Job>,
    wait: Duration,
    gauges: Arc<Gauges>,
    in_flight_max: u32,
}

/// Saves what is handed in. It ends when every [`Intake`] is gone and the queue is empty.
pub struct IntakeWorkers {
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    desk: Arc<Desk>,
    limits: IntakeLimits,
}

impl Intake {
    /// An intake on `store`; the events of what is saved go to `announcer`.
    pub fn new(
        store: Arc<dyn Store>,
        announcer: Announcer,
        health: Arc<dyn HealthSink>,
        gauges: Arc<Gauges>,
        limits: IntakeLimits,
    ) -> (Self, IntakeWorkers) {
        let (sender, receiver) = mpsc::channel(limits.queue);
        let intake = Self {
            queue: sender,
            wait: limits.wait,
            gauges: Arc::clone(&gauges),
            in_flight_max: limits.in_flight,
        };
        let workers = IntakeWorkers {
            queue: Arc::new(Mutex::new(receiver)),
            desk: Arc::new(Desk::new(store, announcer, health, gauges, limits.store)),
            limits,
        };
        (intake, workers)
    }

    /// Places an order and waits until it is durable.
    pub async fn place(&self, draft: Draft) -> Result<Placed, IntakeError> {
        if self.gauges.in_flight() >= i64::from(self.in_flight_max) {
            return Err(IntakeError::Behind);
        }
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Job::new(draft, reply))
            .map_err(|_| IntakeError::Full)?;
        match tokio::time::timeout(self.wait, answer).await {
            Ok(Ok(answer)) => answer,
            // a worker drops the requests of a batch that could not be saved
            Ok(Err(_)) => Err(IntakeError::Unavailable),
            Err(_) => Err(IntakeError::TooSlow),
        }
    }
}

impl IntakeWorkers {
    /// Works until every [`Intake`] is gone and everything that was handed in is answered.
    pub async fn run(self) {
        let workers = (0..self.limits.workers.max(1)).map(|_| {
            let (queue, desk) = (Arc::clone(&self.queue), Arc::clone(&self.desk));
            tokio::spawn(work(queue, desk, self.limits.batch))
        });
        for ended in futures::future::join_all(workers).await {
            if let Err(error) = ended {
                tracing::error!(%error, "an intake worker ended early");
            }
        }
    }
}

async fn work(queue: Arc<Mutex<mpsc::Receiver<Job>>>, desk: Arc<Desk>, batch: usize) {
    loop {
        let mut jobs = Vec::new();
        // Whoever has the queue waits for requests; the others save meanwhile.
        let taken = queue.lock().await.recv_many(&mut jobs, batch).await;
        if taken == 0 {
            return;
        }
        desk.commit(jobs).await;
    }
}
