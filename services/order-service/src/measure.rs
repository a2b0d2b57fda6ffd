//! How orders fare, as metrics. Only the intake decides by one of them: it refuses orders when too many are in flight.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use metrics::{Gauge, Histogram};
use sagaline_contracts::{Event, EventType, OrderId, Timestamp};
use sagaline_runtime::{AckedSet, Census, Waiting};
use sagaline_saga::{Clock, Decision, Participant, Standing, Transition};
use sagaline_service_kit::telemetry;
use sagaline_store::{Store, StoreError};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{COLLECTION, Order, OrderSaga, Phase, SERVICE};

/// So many records that wait for something else than an outcome do not keep the census from seeing all orders in flight.
const FURTHER_RECORDS_MAX: usize = 10_000;

/// The service's own metrics, with their handles kept.
pub struct Gauges {
    in_flight: AtomicI64,
    shown_in_flight: Gauge,
    stalled: Gauge,
    outbox: Gauge,
    to_confirmed: Histogram,
    to_cancelled: Histogram,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            in_flight: AtomicI64::new(0),
            shown_in_flight: telemetry::sagas_in_flight(),
            stalled: telemetry::sagas_stalled(),
            outbox: telemetry::outbox_pending(SERVICE),
            to_confirmed: telemetry::saga_duration("CONFIRMED"),
            to_cancelled: telemetry::saga_duration("CANCELLED"),
        }
    }
}

impl Gauges {
    /// So many orders were placed.
    pub fn placed(&self, count: usize) {
        self.count(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Orders without an outcome, as far as this process knows.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn count(&self, change: i64) {
        let now = self
            .in_flight
            .fetch_add(change, Ordering::Relaxed)
            .saturating_add(change);
        self.show(now);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count for people to look at")]
    fn show(&self, in_flight: i64) {
        self.shown_in_flight.set(in_flight.max(0) as f64);
    }

    fn moved(&self, before: &Order, after: &Order, now: Timestamp) {
        let in_flight = |order: &Order| i64::from(order.phase == Phase::Pending);
        match in_flight(after) - in_flight(before) {
            0 => {}
            change => self.count(change),
        }
        if before.phase == after.phase {
            return;
        }
        let seconds = now.since(after.attempt_started_at()).as_secs_f64();
        match after.phase {
            Phase::Confirmed => self.to_confirmed.record(seconds),
            Phase::Cancelled => self.to_cancelled.record(seconds),
            Phase::Unknown | Phase::Pending => {}
        }
    }

    /// Takes over what a census has counted that began when `before` were in flight as far as this process knew. Of a pipeline
    /// with several instances each sees a part of what begins and ends; only a census sees all of it.
    #[expect(clippy::cast_precision_loss, reason = "counts for people to look at")]
    fn take(&self, census: &Count, before: i64) {
        let counted = i64::try_from(census.in_flight).unwrap_or(i64::MAX);
        if census.waiting.complete {
            // What began and ended meanwhile stays counted.
            self.count(counted.saturating_sub(before));
        } else {
            // At least so many, which is more than may be.
            self.in_flight.fetch_max(counted, Ordering::Relaxed);
            self.show(self.in_flight());
        }
        self.stalled.set(census.stalled as f64);
        self.outbox.set(census.waiting.outbox as f64);
    }
}

/// The participant with its transitions counted. A transition that is decided again after a lost race counts again; the
/// census puts that right.
pub struct Measured {
    /// What decides.
    pub saga: OrderSaga,
    /// What counts.
    pub gauges: Arc<Gauges>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Participant for Measured {
    type State = Order;
    type Effect = Infallible;
    type Outcome = Infallible;

    fn name(&self) -> &'static str {
        self.saga.name()
    }

    fn subscriptions(&self) -> &'static [EventType] {
        self.saga.subscriptions()
    }

    fn decide(&self, order: &Order, event: &Event) -> Decision<Order, Infallible> {
        let decision = self.saga.decide(order, event);
        if let Decision::Apply(next) = &decision {
            self.gauges.moved(order, &next.state, self.clock.now());
        }
        decision
    }

    fn settle(&self, order: &Order, event: &Event, outcome: Infallible) -> Transition<Order> {
        self.saga.settle(order, event, outcome)
    }

    fn deadline(&self, order: &Order) -> Option<Timestamp> {
        self.saga.deadline(order)
    }

    fn expire(&self, order_id: &OrderId, order: &Order, now: Timestamp) -> Transition<Order> {
        self.saga.expire(order_id, order, now)
    }

    fn standing(&self, order: &Order) -> Standing {
        self.saga.standing(order)
    }
}

/// What waits for something, counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    in_flight: usize,
    stalled: usize,
    waiting: Waiting,
}

/// As much of a record as the census looks at.
#[derive(Deserialize)]
struct Counted {
    state: CountedState,
}

#[derive(Deserialize)]
struct CountedState {
    phase: Phase,
    #[serde(default)]
    timeouts: u32,
}

impl Count {
    /// Every order in flight has a deadline, so the census sees it.
    async fn take(census: &Census) -> Result<Self, StoreError> {
        let mut count = Self::default();
        count.waiting = census
            .take(|body| {
                let Ok(counted) = serde_json::from_slice::<Counted>(body) else {
                    return;
                };
                let pending = counted.state.phase == Phase::Pending;
                count.in_flight += usize::from(pending);
                count.stalled += usize::from(pending && counted.state.timeouts > 0);
            })
            .await?;
        Ok(count)
    }
}

/// A census of the orders, of as many as may be in flight and some more.
pub fn census(store: Arc<dyn Store>, acked: AckedSet, in_flight_max: u32) -> Census {
    let orders_max = usize::try_from(in_flight_max).unwrap_or(usize::MAX);
    let records_max = orders_max.saturating_add(FURTHER_RECORDS_MAX);
    Census::new(store, COLLECTION, acked, records_max)
}

/// Counts what waits, now and then, until `shutdown`.
pub async fn count_now_and_then(census: Census, gauges: Arc<Gauges>, shutdown: CancellationToken) {
    loop {
        let (began, before) = (Instant::now(), gauges.in_flight());
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            counted = Count::take(&census) => match counted {
                Ok(counted) => gauges.take(&counted, before),
                Err(error) => tracing::debug!(%error, "orders could not be counted"),
            }
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Census::rest_after(began.elapsed())) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sagaline_contracts::payload::OrderShipped;
    use sagaline_store::{Index, Write};
    use serde_json::json;

    use super::*;
    use crate::intake::IN_FLIGHT_MAX;
    use crate::testing::{World, post};

    async fn counted(world: &World, in_flight_max: u32) -> Count {
        let store = Arc::clone(&world.ports.store);
        let census = census(store, world.relay.acked().clone(), in_flight_max);
        Count::take(&census).await.unwrap()
    }

    async fn count(world: &World) -> Count {
        counted(world, IN_FLIGHT_MAX).await
    }

    /// So many orders in flight, that another instance has placed.
    async fn placed_elsewhere(world: &World, orders: usize) {
        let write = |n: usize| Write {
            id: format!("elsewhere-{n}"),
            expected: 0,
            body: json!({ "orderId": format!("elsewhere-{n}"), "state": { "phase": "PENDING" } })
                .to_string()
                .into(),
            index: Index {
                due: Some(30_000_000),
                ..Index::default()
            },
        };
        let writes = (0..orders).map(write).collect();
        world.ports.store.save(COLLECTION, writes).await.unwrap();
    }

    #[tokio::test]
    async fn a_census_replaces_the_count_however_many_wait() {
        let world = World::new();
        placed_elsewhere(&world, 20_000).await;
        world.gauges.count(60_000);
        let counted = count(&world).await;
        assert!(counted.waiting.complete);
        // Meanwhile one more is placed here.
        let before = world.gauges.in_flight();
        world.gauges.placed(1);
        world.gauges.take(&counted, before);
        assert_eq!(world.gauges.in_flight(), 20_001);
    }

    #[tokio::test]
    async fn a_census_that_cannot_see_all_says_that_there_are_more_than_may_be() {
        let world = World::new();
        placed_elsewhere(&world, 12_000).await;
        let counted = counted(&world, 1_000).await;
        assert!(!counted.waiting.complete);
        world.gauges.take(&counted, 0);
        assert!(world.gauges.in_flight() > 1_000);
        world.gauges.count(50_000);
        world.gauges.take(&counted, world.gauges.in_flight());
        assert!(world.gauges.in_flight() > 50_000, "there may be as many");
    }

    #[tokio::test]
    async fn a_census_counts_what_waits_and_puts_the_count_right() {
        let world = World::new();
        let routes = world.routes();
        for id in ["o-1", "o-2", "o-3"] {
            let body = json!({ "orderId": id, "items": [{ "sku": "S", "qty": 1 }], "total": 1 });
            post(&routes, "/orders", &[("Idempotency-Key", id)], &body).await;
        }
        world.published_after(3).await;
        world.consume();
        world.deliver(OrderShipped {
            order_id: OrderId::new("o-1").unwrap(),
            carrier: "c".into(),
            tracking_id: "t".into(),
            attempt: None,
        });
        world.published_after(4).await;
        let counted = count(&world).await;
        assert_eq!((counted.in_flight, counted.stalled), (2, 0));
        assert!(counted.waiting.complete);

        world.gauges.count(40);
        world.gauges.take(&counted, world.gauges.in_flight());
        assert_eq!(world.gauges.in_flight(), 2);

        world.pass(Duration::from_secs(31));
        world.published_after(6).await;
        let counted = count(&world).await;
        assert_eq!((counted.in_flight, counted.stalled), (2, 2));
    }

    #[tokio::test]
    async fn a_census_counts_only_what_is_not_acknowledged() {
        let world = World::new();
        let routes = world.routes();
        let body = json!({ "items": [{ "sku": "S", "qty": 1 }], "total": 1 });
        world.broker.down.store(true, Ordering::SeqCst);
        post(&routes, "/orders", &[], &body).await;
        assert_eq!(count(&world).await.waiting.outbox, 1);
        world.broker.down.store(false, Ordering::SeqCst);
        world.pass(Duration::from_secs(3));
        world.consume();
        world.published_after(1).await;
        // The acknowledgement is noted, and the document saved, right behind the publish.
        while count(&world).await.waiting.outbox > 0 {
            tokio::task::yield_now().await;
        }
    }
}
