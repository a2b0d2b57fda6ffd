//! A world for tests: a store that fails on demand, a broker that remembers, a clock that is set.

mod broker;
mod call;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use metrics::Counter;
use parking_lot::Mutex;
use sagaline_contracts::{Event, EventId, EventType, Payload, Timestamp};
use sagaline_runtime::{
    AckedSet, AnnounceLimits, Announcer, Inbound, Outbound, OutboxRelay, Ports, Producer,
    RelayFaults, Runner, RunnerOptions, SilentHealth,
};
use sagaline_saga::Clock;
use sagaline_saga::given::event;
use sagaline_service_kit::secret::JwtSecret;
use sagaline_service_kit::{AdminGate, JwtKeys, ids};
use sagaline_store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::{COLLECTION, OrderSaga};
use crate::http::{App, routes};
use crate::intake::{Intake, IntakeLimits};
use crate::measure::{Gauges, Measured};
use crate::waiters::Waiters;
use broker::SharedBroker;

pub(crate) use broker::TestBroker;
pub(crate) use call::{Answer, get, post, send};
pub(crate) use store::TestStore;

/// Longer than anything in a test takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A clock that stands still unless it is set.
#[derive(Default)]
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Everything around the service.
pub(crate) struct World {
    pub(crate) store: Arc<TestStore>,
    pub(crate) broker: Arc<TestBroker>,
    pub(crate) waiters: Waiters,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) relay: OutboxRelay,
    pub(crate) ports: Ports,
    clock: Arc<TestClock>,
    deliveries: mpsc::UnboundedSender<Vec<Inbound>>,
    delivered: AtomicI64,
    keys: JwtKeys,
}

pub(crate) const SAGA: OrderSaga = OrderSaga {
    timeout: Duration::from_secs(30),
};

impl World {
    pub(crate) fn new() -> Self {
        let store = Arc::new(TestStore::default());
        let (deliveries, inbox) = mpsc::unbounded_channel();
        let broker = Arc::new(TestBroker {
            inbox: Mutex::new(Some(inbox)),
            ..TestBroker::default()
        });
        let producer = Arc::clone(&broker) as Arc<dyn Producer>;
        let relay = OutboxRelay::new(producer, AckedSet::default(), RelayFaults::default());
        let clock = Arc::new(TestClock(AtomicI64::new(1_000_000)));
        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn Store>,
            broker: Arc::new(SharedBroker(Arc::clone(&broker))),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            health: Arc::new(SilentHealth),
        };
        let secret: JwtSecret = "0123456789abcdef0123456789abcdef".parse().unwrap();
        Self {
            store,
            broker,
            waiters: Waiters::default(),
            gauges: Arc::default(),
            shutdown: CancellationToken::new(),
            relay,
            ports,
            clock,
            deliveries,
            delivered: AtomicI64::new(0),
            keys: JwtKeys::new(&secret),
        }
    }

    /// An intake with its workers running.
    pub(crate) fn intake(&self, limits: IntakeLimits) -> Intake {
        let (announcer, announcers) = Announcer::new(
            self.relay.clone(),
            AnnounceLimits::default(),
            Counter::noop(),
        );
        tokio::spawn(announcers.run());
        let (intake, workers) = Intake::new(
            Arc::clone(&self.ports.store),
            announcer,
            Arc::clone(&self.ports.health),
            Arc::clone(&self.gauges),
            limits,
        );
        tokio::spawn(workers.run());
        intake
    }

    /// The service's routes, with an intake behind them.
    pub(crate) fn routes(&self) -> Router {
        self.routes_that_wait(Duration::from_secs(5))
    }

    /// The same, with a checkout that waits for so long.
    pub(crate) fn routes_that_wait(&self, checkout_wait: Duration) -> Router {
        let app = App {
            ports: self.ports.clone(),
            intake: self.intake(IntakeLimits::default()),
            saga: SAGA,
            waiters: self.waiters.clone(),
            relay: self.relay.clone(),
            producer: Arc::clone(&self.broker) as Arc<dyn Producer>,
            checkout_wait,
            draw_id: ids::random_uuid,
            shutdown: self.shutdown.clone(),
        };
        routes(app, AdminGate::new(self.keys.clone()))
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Starts to consume.
    pub(crate) fn consume(&self) {
        let participant = Measured {
            saga: SAGA,
            gauges: Arc::clone(&self.gauges),
            clock: Arc::clone(&self.ports.clock),
        };
        let runner = Runner::new(
            Arc::new(participant),
            Arc::new(self.waiters.clone()),
            self.ports.clone(),
            RunnerOptions::new(COLLECTION),
        );
        tokio::spawn(
            runner
                .with_acked(self.relay.acked().clone())
                .run(self.shutdown.clone()),
        );
    }

    /// Lets the service receive an event.
    pub(crate) fn deliver(&self, payload: impl Into<Payload>) {
        let number = self.delivered.load(Ordering::SeqCst);
        let id = EventId::new(format!("told-{number}")).unwrap();
        self.deliver_as(id, payload);
    }

    /// Lets the service receive an event of this id.
    pub(crate) fn deliver_as(&self, id: EventId, payload: impl Into<Payload>) {
        let event = Event {
            id,
            ..event("any", payload)
        };
        let message = Inbound {
            topic: event.event_type().as_str().into(),
            partition: 0,
            offset: self.delivered.fetch_add(1, Ordering::SeqCst),
            key: Some(event.key().to_owned().into()),
            value: Some(event.encode().into()),
        };
        self.deliveries.send(vec![message]).unwrap();
    }

    /// The events published so far.
    pub(crate) fn published(&self) -> Vec<Event> {
        let decode = |message: &Outbound| {
            let kind = EventType::parse(&message.topic).unwrap_or(EventType::DeadLetter);
            Event::decode(kind, Some(message.key.as_bytes()), Some(&message.value)).unwrap()
        };
        self.broker.published.lock().iter().map(decode).collect()
    }

    /// The events published since they were taken last.
    pub(crate) fn take_published(&self) -> Vec<Event> {
        let published = self.published();
        self.broker.published.lock().clear();
        published
    }

    /// The events published once there are so many.
    pub(crate) async fn published_after(&self, count: usize) -> Vec<Event> {
        self.until(|| self.broker.published.lock().len() >= count)
            .await;
        self.published()
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        let waiting = async {
            loop {
                let changed = self.broker.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if reached() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("what the test waits for");
    }

    /// A token of an operator, as the header's value.
    pub(crate) fn token(&self, sub: &str, role: &str) -> String {
        format!("Bearer {}", self.keys.mint(sub, role, PATIENCE).unwrap())
    }
}
