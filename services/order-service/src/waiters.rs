//! Who waits for an order's outcome, so that they hear of it at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use sagaline_runtime::{EffectRequest, Effects, NoEffects, Outage};
use sagaline_saga::{EffectFailure, Participant};
use tokio::sync::Notify;

/// How many may wait; who comes later has to look by himself.
const WAITERS_MAX: usize = 10_000;

type Waiting = HashMap<OrderId, (usize, Arc<Notify>)>;

/// Who waits in this process. Another instance may save the outcome, so a waiter looks by himself now and then, too.
#[derive(Clone, Default)]
pub(crate) struct Waiters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    /// How many orders are waited for: nobody takes the lock while it is none.
    orders: AtomicUsize,
}

/// Somebody's place among the waiters, for as long as it is held.
pub(crate) struct Place {
    order_id: OrderId,
    changed: Arc<Notify>,
    waiters: Option<Waiters>,
}

impl Waiters {
    /// Takes a place. What changes from now on is not missed, even before [`Place::changed`] is called.
    pub(crate) fn wait_for(&self, order_id: &OrderId) -> Place {
        let mut waiting = self.0.waiting.lock();
        if waiting.len() >= WAITERS_MAX && !waiting.contains_key(order_id) {
            return Place {
                order_id: order_id.clone(),
                changed: Arc::default(),
                waiters: None,
            };
        }
        let entry = waiting.entry(order_id.clone()).or_default();
        entry.0 += 1;
        let changed = Arc::clone(&entry.1);
        self.0.orders.store(waiting.len(), Ordering::Release);
        Place {
            order_id: order_id.clone(),
            changed,
            waiters: Some(self.clone()),
        }
    }

    /// These orders' documents were saved.
    pub(crate) fn tell(&self, orders: &[OrderId]) {
        if self.0.orders.load(Ordering::Acquire) == 0 {
            return;
        }
        let waiting = self.0.waiting.lock();
        for (_, changed) in orders.iter().filter_map(|order_id| waiting.get(order_id)) {
            changed.notify_waiters();
            // and for the one who has a place but does not listen yet
            changed.notify_one();
        }
    }
}

impl Place {
    /// The order's document was saved, perhaps.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(Waiters(inner)) = &self.waiters else {
            return;
        };
        let mut waiting = inner.waiting.lock();
        if let Some(entry) = waiting.get_mut(&self.order_id) {
            entry.0 -= 1;
            if entry.0 == 0 {
                waiting.remove(&self.order_id);
            }
        }
        inner.orders.store(waiting.len(), Ordering::Release);
    }
}

#[async_trait]
impl<P: Participant<Effect = Infallible>> Effects<P> for Waiters {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<Infallible>],
    ) -> Result<Vec<Result<P::Outcome, EffectFailure>>, Outage> {
        Effects::<P>::carry_out(&NoEffects, requests).await
    }

    fn saved(&self, orders: &[OrderId]) {
        self.tell(orders);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn id(text: &str) -> OrderId {
        OrderId::new(text).unwrap()
    }

    #[tokio::test]
    async fn who_has_a_place_hears_of_a_change_that_came_before_he_listened() {
        let waiters = Waiters::default();
        let place = waiters.wait_for(&id("a"));
        waiters.tell(&[id("b"), id("a")]);
        place.changed().await;
        assert!(place.changed().now_or_never().is_none(), "told once");
    }

    #[tokio::test]
    async fn two_who_listen_for_one_order_both_hear() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.wait_for(&id("a")), waiters.wait_for(&id("a")));
        let (mut one, mut two) = (Box::pin(first.changed()), Box::pin(second.changed()));
        assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
        waiters.tell(&[id("a")]);
        futures::join!(one, two);
    }

    #[test]
    fn nobody_is_remembered_after_leaving() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.wait_for(&id("a")), waiters.wait_for(&id("a")));
        drop(first);
        assert_eq!(waiters.0.orders.load(Ordering::Relaxed), 1);
        drop(second);
        assert_eq!(waiters.0.orders.load(Ordering::Relaxed), 0);
        assert!(waiters.0.waiting.lock().is_empty());
    }

    #[test]
    fn the_number_of_waiters_is_bounded_and_latecomers_are_let_go() {
        let waiters = Waiters::default();
        let places: Vec<_> = (0..WAITERS_MAX)
            .map(|n| waiters.wait_for(&id(&n.to_string())))
            .collect();
        let late = waiters.wait_for(&id("late"));
        assert!(late.waiters.is_none());
        drop(late);
        assert_eq!(waiters.0.waiting.lock().len(), places.len());
    }
}
