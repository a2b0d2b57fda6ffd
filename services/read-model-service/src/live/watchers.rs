//! Readers of single orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use tokio::sync::Notify;

use super::snapshot::Snapshot;
use crate::projection::Order;

/// Readers of single orders. All readers of an order share one slot that holds the latest timeline, so a slow reader costs
/// nothing: when it reads again it gets everything that it has not seen.
#[derive(Debug, Default)]
pub struct Watchers {
    orders: Mutex<HashMap<OrderId, Watched, RandomState>>,
    /// How many orders are watched, to be read without the lock.
    watched: AtomicUsize,
}

#[derive(Debug, Default)]
struct Watched {
    slot: Arc<Slot>,
    readers: usize,
}

/// The latest timeline of an order. (`tokio::sync::watch` would do, but wakes its receivers in an order that is drawn, and a simulated
/// run could not be repeated.)
#[derive(Debug, Default)]
struct Slot {
    latest: Mutex<Latest>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Latest {
    snapshot: Arc<Snapshot>,
    /// How many there were.
    count: u64,
}

/// One reader of one order.
#[derive(Debug)]
pub struct Watch {
    id: OrderId,
    slot: Arc<Slot>,
    /// How many it has taken note of.
    count: u64,
    watchers: Arc<Watchers>,
}

impl Watchers {
    /// Watches an order from now on; it need not be known yet.
    pub fn watch(self: &Arc<Self>, id: OrderId) -> Watch {
        let mut orders = self.orders.lock();
        let watched = orders.entry(id.clone()).or_default();
        watched.readers += 1;
        let slot = Arc::clone(&watched.slot);
        self.watched.store(orders.len(), Ordering::Release);
        let count = slot.latest.lock().count;
        drop(orders);
        Watch {
            id,
            slot,
            count,
            watchers: Arc::clone(self),
        }
    }

    /// How many orders are watched.
    pub fn watched(&self) -> usize {
        self.watched.load(Ordering::Acquire)
    }

    /// Whether anyone watches this order.
    pub(crate) fn is_watched(&self, id: &OrderId) -> bool {
        self.watched() > 0 && self.orders.lock().contains_key(id)
    }

    /// The orders that are watched, sorted: what is done with them can be repeated.
    pub(crate) fn ids(&self) -> Vec<OrderId> {
        let mut ids: Vec<OrderId> = self.orders.lock().keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn announce(&self, order: &Order) {
        if self.watched() == 0 {
            return;
        }
        let slot = {
            let orders = self.orders.lock();
            let watched = orders.get(order.id());
            watched.map(|watched| Arc::clone(&watched.slot))
        };
        if let Some(slot) = slot {
            let snapshot = Arc::new(Snapshot::of(order));
            let mut latest = slot.latest.lock();
            latest.snapshot = snapshot;
            latest.count += 1;
            drop(latest);
            slot.changed.notify_waiters();
        }
    }
}

impl Watch {
    /// Waits for the order to change. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Arc<Snapshot> {
        loop {
            // Told of what changes from here on, whether it is waited for already or not.
            let changed = self.slot.changed.notified();
            {
                let latest = self.slot.latest.lock();
                if latest.count > self.count {
                    self.count = latest.count;
                    return Arc::clone(&latest.snapshot);
                }
            }
            changed.await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut orders = self.watchers.orders.lock();
        if let Some(watched) = orders.get_mut(&self.id) {
            watched.readers -= 1;
            if watched.readers == 0 {
                orders.remove(&self.id);
                self.watchers.watched.store(orders.len(), Ordering::Release);
            }
        }
    }
}
