//! Who waits for an order's outcome, so that they hear of it at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use sagaline_runtime::{EffectRequest, Effects, NoEffects, Outage, Saved};
use sagaline_saga::{EffectFailure, Participant};
use tokio::sync::watch;

use crate::domain::{Order, Phase};

/// How many may wait; who comes later has to look by himself.
const WAITERS_MAX: usize = 10_000;

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Confirmed,
    Cancelled(String),
}

impl Ended {
    pub(crate) fn of(order: &Order) -> Option<Self> {
        match order.phase {
            Phase::Confirmed => Some(Self::Confirmed),
            Phase::Cancelled => Some(Self::Cancelled(order.reason.clone().unwrap_or_default())),
            Phase::Unknown | Phase::Pending => None,
        }
    }
}

type Waiting = HashMap<OrderId, (usize, watch::Sender<Option<Ended>>)>;

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
    /// `None` for one who came too late to be told.
    told: Option<(watch::Receiver<Option<Ended>>, Waiters)>,
}

impl Waiters {
    /// Takes a place. An outcome that is saved from now on is not missed, even before [`Place::ended`] is called.
    pub(crate) fn wait_for(&self, order_id: &OrderId) -> Place {
        let mut waiting = self.0.waiting.lock();
        if waiting.len() >= WAITERS_MAX && !waiting.contains_key(order_id) {
            return Place {
                order_id: order_id.clone(),
                told: None,
            };
        }
        let entry = waiting
            .entry(order_id.clone())
            .or_insert_with(|| (0, watch::Sender::new(None)));
        entry.0 += 1;
        let told = entry.1.subscribe();
        self.0.orders.store(waiting.len(), Ordering::Release);
        Place {
            order_id: order_id.clone(),
            told: Some((told, self.clone())),
        }
    }

    /// These orders are saved as they are here.
    pub(crate) fn tell<'a>(&self, saved: impl IntoIterator<Item = (&'a OrderId, &'a Order)>) {
        if self.0.orders.load(Ordering::Acquire) == 0 {
            return;
        }
        let waiting = self.0.waiting.lock();
        for (order_id, order) in saved {
            if let Some((_, told)) = waiting.get(order_id)
                && let Some(ended) = Ended::of(order)
            {
                told.send_replace(Some(ended));
            }
        }
    }
}

impl Place {
    /// The outcome, as soon as this process has saved one. It may never be told of: another instance may save it.
    pub(crate) async fn ended(&mut self) -> Ended {
        if let Some((told, _)) = &mut self.told
            && let Ok(ended) = told.wait_for(Option::is_some).await
            && let Some(ended) = ended.clone()
        {
            return ended;
        }
        future::pending().await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((_, Waiters(inner))) = &self.told else {
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
impl<P: Participant<State = Order, Effect = Infallible>> Effects<P> for Waiters {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<Infallible>],
    ) -> Result<Vec<Result<P::Outcome, EffectFailure>>, Outage> {
        Effects::<P>::carry_out(&NoEffects, requests).await
    }

    fn saved(&self, saved: &[Saved<'_, Order>]) {
        self.tell(saved.iter().map(|saved| (saved.order_id, saved.state)));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn id(text: &str) -> OrderId {
        OrderId::new(text).unwrap()
    }

    fn order(phase: Phase) -> Order {
        Order {
            phase,
            reason: (phase == Phase::Cancelled).then(|| "card_declined".to_owned()),
            ..Order::default()
        }
    }

    #[tokio::test]
    async fn who_has_a_place_hears_of_an_outcome_that_came_before_he_listened() {
        let waiters = Waiters::default();
        let mut place = waiters.wait_for(&id("a"));
        let (confirmed, cancelled) = (order(Phase::Confirmed), order(Phase::Cancelled));
        waiters.tell([(&id("b"), &confirmed), (&id("a"), &cancelled)]);
        let reason = "card_declined".to_owned();
        assert_eq!(place.ended().await, Ended::Cancelled(reason));
    }

    #[tokio::test]
    async fn a_save_that_is_no_outcome_wakes_nobody() {
        let waiters = Waiters::default();
        let mut place = waiters.wait_for(&id("a"));
        waiters.tell([(&id("a"), &order(Phase::Pending))]);
        assert!(place.ended().now_or_never().is_none());
        waiters.tell([(&id("a"), &order(Phase::Confirmed))]);
        assert_eq!(place.ended().now_or_never(), Some(Ended::Confirmed));
    }

    #[tokio::test]
    async fn two_who_listen_for_one_order_both_hear() {
        let waiters = Waiters::default();
        let (mut first, mut second) = (waiters.wait_for(&id("a")), waiters.wait_for(&id("a")));
        let (mut one, mut two) = (Box::pin(first.ended()), Box::pin(second.ended()));
        assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
        waiters.tell([(&id("a"), &order(Phase::Confirmed))]);
        let both = futures::join!(one, two);
        assert_eq!(both, (Ended::Confirmed, Ended::Confirmed));
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
        let mut late = waiters.wait_for(&id("late"));
        waiters.tell([(&id("late"), &order(Phase::Confirmed))]);
        assert!(late.ended().now_or_never().is_none(), "he looks by himself");
        drop(late);
        assert_eq!(waiters.0.waiting.lock().len(), places.len());
    }
}
