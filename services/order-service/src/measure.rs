//! How orders fare, as metrics. Only the intake decides by one of them: it refuses orders when too many are in flight.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use metrics::{Gauge, Histogram};
use sagaline_contracts::{Event, EventType, OrderId, Timestamp};
use sagaline_runtime::{OutboxRelay, Ports};
use sagaline_saga::{Clock, Decision, Emission, Participant, Standing, Transition};
use sagaline_service_kit::telemetry;
use sagaline_store::StoreError;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::domain::{COLLECTION, Order, OrderSaga, Phase, SERVICE};

const CENSUS_INTERVAL: Duration = Duration::from_secs(10);
/// Beyond so many orders that wait for something, the census is an estimate.
const CENSUS_MAX: usize = 2_000;

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

    #[expect(clippy::cast_precision_loss, reason = "counts for people to look at")]
    fn take(&self, census: &Census) {
        let counted = i64::try_from(census.in_flight).unwrap_or(i64::MAX);
        if census.complete {
            self.in_flight.store(counted, Ordering::Relaxed);
        } else {
            // At least so many: after a restart this process knows of none that were placed before.
            self.in_flight.fetch_max(counted, Ordering::Relaxed);
        }
        self.show(self.in_flight());
        self.stalled.set(census.stalled as f64);
        self.outbox.set(census.outbox as f64);
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
struct Census {
    in_flight: usize,
    stalled: usize,
    outbox: usize,
    complete: bool,
}

/// As much of a record as the census looks at.
#[derive(Deserialize)]
struct Counted {
    state: CountedState,
    #[serde(default)]
    outbox: Vec<CountedEntry>,
}

#[derive(Deserialize)]
struct CountedState {
    phase: Phase,
    #[serde(default)]
    timeouts: u32,
}

#[derive(Deserialize)]
struct CountedEntry {
    emission: Emission,
}

impl Census {
    /// Every order in flight has a deadline, and every outbox a next attempt: so all of them are due some time.
    async fn take(ports: &Ports, relay: &OutboxRelay) -> Result<Self, StoreError> {
        let waiting = ports.store.due(COLLECTION, i64::MAX, CENSUS_MAX).await?;
        let mut census = Self {
            complete: waiting.len() < CENSUS_MAX,
            ..Self::default()
        };
        for stored in waiting {
            let Ok(counted) = serde_json::from_slice::<Counted>(&stored.body) else {
                continue;
            };
            let pending = counted.state.phase == Phase::Pending;
            census.in_flight += usize::from(pending);
            census.stalled += usize::from(pending && counted.state.timeouts > 0);
            let entries = counted.outbox.iter();
            census.outbox += entries
                .filter(|entry| !relay.acked().contains(&entry.emission.id))
                .count();
        }
        Ok(census)
    }
}

/// Counts what waits, now and then, until `shutdown`.
pub async fn count_now_and_then(
    ports: Ports,
    relay: OutboxRelay,
    gauges: Arc<Gauges>,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(CENSUS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match Census::take(&ports, &relay).await {
            Ok(census) => gauges.take(&census),
            Err(error) => tracing::debug!(%error, "orders could not be counted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::payload::OrderShipped;
    use serde_json::json;

    use super::*;
    use crate::testing::{World, post};

    async fn census(world: &World) -> Census {
        Census::take(&world.ports, &world.relay).await.unwrap()
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
        let counted = census(&world).await;
        assert_eq!(
            (counted.in_flight, counted.stalled, counted.complete),
            (2, 0, true)
        );

        world.gauges.count(40);
        world.gauges.take(&counted);
        assert_eq!(world.gauges.in_flight(), 2);

        world.pass(Duration::from_secs(31));
        world.published_after(6).await;
        let counted = census(&world).await;
        assert_eq!((counted.in_flight, counted.stalled), (2, 2));
    }

    #[tokio::test]
    async fn a_census_counts_only_what_is_not_acknowledged() {
        let world = World::new();
        let routes = world.routes();
        let body = json!({ "items": [{ "sku": "S", "qty": 1 }], "total": 1 });
        world.broker.down.store(true, Ordering::SeqCst);
        post(&routes, "/orders", &[], &body).await;
        assert_eq!(census(&world).await.outbox, 1);
        world.broker.down.store(false, Ordering::SeqCst);
        world.pass(Duration::from_secs(3));
        world.consume();
        world.published_after(1).await;
        // The acknowledgement is noted, and the document saved, right behind the publish.
        while census(&world).await.outbox > 0 {
            tokio::task::yield_now().await;
        }
    }
}
