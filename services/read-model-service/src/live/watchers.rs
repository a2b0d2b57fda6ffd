//! Readers of single orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::projection::Order;

type Sender = watch::Sender<Option<Arc<Snapshot>>>;
type Receiver = watch::Receiver<Option<Arc<Snapshot>>>;

/// Readers of single orders. All readers of an order share one slot that holds the latest timeline, so a slow reader costs
/// nothing: when it reads again it gets everything that it has not seen.
#[derive(Debug, Default)]
pub struct Watchers {
    orders: Mutex<HashMap<OrderId, Sender, RandomState>>,
    /// How many orders are watched, to be read without the lock.
    watched: AtomicUsize,
}

/// One reader of one order.
#[derive(Debug)]
pub struct Watch {
    id: OrderId,
    /// Present until it is dropped.
    receiver: Option<Receiver>,
    watchers: Arc<Watchers>,
}

impl Watchers {
    /// Watches an order from now on; it need not be known yet.
    pub fn watch(self: &Arc<Self>, id: OrderId) -> Watch {
        let mut orders = self.orders.lock();
        let sender = orders
            .entry(id.clone())
            .or_insert_with(|| watch::Sender::new(None));
        let receiver = sender.subscribe();
        self.watched.store(orders.len(), Ordering::Release);
        drop(orders);
        Watch {
            id,
            receiver: Some(receiver),
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
        let orders = self.orders.lock();
        if let Some(sender) = orders.get(order.id()) {
            sender.send_replace(Some(Arc::new(Snapshot::of(order))));
        }
    }
}

impl Watch {
    /// Waits for the order to change. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Arc<Snapshot> {
        loop {
            let Some(receiver) = &mut self.receiver else {
                return std::future::pending().await;
            };
            // The sender lives as long as there is a receiver.
            if receiver.changed().await.is_err() {
                return std::future::pending().await;
            }
            if let Some(snapshot) = receiver.borrow_and_update().clone() {
                return snapshot;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut orders = self.watchers.orders.lock();
        self.receiver = None;
        if orders
            .get(&self.id)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            orders.remove(&self.id);
            self.watchers.watched.store(orders.len(), Ordering::Release);
        }
    }
}
