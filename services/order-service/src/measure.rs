//! How orders fare, as metrics. Nothing decides by them.

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

const CENSUS_INTERVAL: Duration = Duration::from_secs(5);
/// Beyond so many orders that wait for something, the census is an estimate.
const CENSUS_MAX: usize = 5_000;

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
        if census.complete {
            let counted = i64::try_from(census.in_flight).unwrap_or(i64::MAX);
            self.in_flight.store(counted, Ordering::Relaxed);
            self.show(counted);
        }
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
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match Census::take(&ports, &relay).await {
            Ok(census) => gauges.take(&census),
            Err(error) => tracing::debug!(%error, "orders could not be counted"),
        }
    }
}
