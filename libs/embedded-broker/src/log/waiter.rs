//! A long poll that waits for its own partitions, and only for them.

use super::partition::Partition;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Notify;

/// A fetch that found fewer bytes than it wants.
#[derive(Debug)]
pub(crate) struct FetchWaiter {
    missing: AtomicI64,
    wake: Notify,
}

impl FetchWaiter {
    pub(crate) fn new(missing_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            missing: AtomicI64::new(i64::try_from(missing_bytes).unwrap_or(i64::MAX)),
            wake: Notify::new(),
        })
    }

    /// Called by a partition when readable bytes arrive.
    pub(crate) fn arrived(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.missing.fetch_sub(bytes, Ordering::AcqRel);
        if before > 0 && before <= bytes {
            self.wake.notify_one();
        }
    }

    /// Resolves once enough has arrived.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A waiter's entries in its partitions; dropping it removes them, also when the connection goes away.
#[derive(Debug)]
pub(crate) struct Registration {
    waiter: Arc<FetchWaiter>,
    partitions: Vec<Arc<Partition>>,
}

impl Registration {
    /// Registers for data beyond each given end offset. Data that came in between wakes the waiter at once.
    pub(crate) fn new(waiter: &Arc<FetchWaiter>, seen: Vec<(Arc<Partition>, i64)>) -> Self {
        let partitions = seen
            .into_iter()
            .map(|(partition, end)| {
                partition.register(waiter, end);
                partition
            })
            .collect();
        Self {
            waiter: Arc::clone(waiter),
            partitions,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.deregister(&self.waiter);
        }
    }
}
