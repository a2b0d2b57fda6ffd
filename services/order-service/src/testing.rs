//! A world for tests: a store that fails on demand, a broker that remembers, a clock that is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use parking_lot::Mutex;
use sagaline_contracts::{Event, EventId, EventType, OrderId, Payload, Timestamp};
use sagaline_runtime::{
    AckedSet, Broker, BrokerError, Consumer, Inbound, Outbound, OutboxRelay, Ports, Producer,
    RelayFaults, Runner, RunnerOptions, SilentHealth,
};
use sagaline_saga::given::event;
use sagaline_saga::{Clock, OrderRecord};
use sagaline_service_kit::secret::JwtSecret;
use sagaline_service_kit::{AdminGate, JwtKeys, ids};
use sagaline_store::{ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::announce::Announcer;
use crate::domain::{COLLECTION, Order, OrderSaga};
use crate::http::{App, routes};
use crate::intake::{Intake, IntakeLimits};
use crate::measure::{Gauges, Measured};
use crate::waiters::Waiters;

/// Longer than anything in a test takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store in memory that fails, or holds saves back, on demand.
pub(crate) struct TestStore {
    pub(crate) inner: MemoryStore,
    pub(crate) down: AtomicBool,
    /// Whoever saves needs a permit.
    pub(crate) gate: Semaphore,
    pub(crate) saves: AtomicUsize,
    /// A save whose acknowledgement is lost: done, but reported as an outage.
    pub(crate) lose_ack: AtomicBool,
}

impl Default for TestStore {
    fn default() -> Self {
        Self {
            inner: MemoryStore::default(),
            down: AtomicBool::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            saves: AtomicUsize::default(),
            lose_ack: AtomicBool::default(),
        }
    }
}

fn store_outage() -> StoreError {
    StoreError::Unavailable {
        operation: "do as the test asks".into(),
        source: "it is down".into(),
    }
}

impl TestStore {
    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            Err(store_outage())
        } else {
            Ok(())
        }
    }

    pub(crate) async fn put(&self, id: &str, record: &OrderRecord<Order>) {
        let write = Write {
            id: id.to_owned(),
            expected: 0,
            body: serde_json::to_vec(record).unwrap().into(),
            index: sagaline_store::Index::default(),
        };
        let saved = self.inner.save(COLLECTION, vec![write]).await.unwrap();
        assert_eq!(saved, [SaveResult::Saved]);
    }

    pub(crate) async fn record(&self, id: &OrderId) -> Option<OrderRecord<Order>> {
        let stored = self.inner.load(COLLECTION, &[id.as_str()]).await.unwrap();
        stored[0]
            .as_ref()
            .map(|stored| serde_json::from_slice(&stored.body).unwrap())
    }
}

#[async_trait]
impl Store for TestStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.check()?;
        self.inner.load(collection, ids).await
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        let permit = self.gate.acquire().await.map_err(|_| store_outage())?;
        self.check()?;
        self.saves.fetch_add(1, Ordering::SeqCst);
        let mut ids: Vec<_> = writes.iter().map(|write| write.id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), writes.len(), "a save names an id once");
        let saved = self.inner.save(collection, writes).await;
        drop(permit);
        if self.lose_ack.swap(false, Ordering::SeqCst) {
            return Err(store_outage());
        }
        saved
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.check()?;
        self.inner.due(collection, now, limit).await
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        self.inner.list(collection, query).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.inner.scan(collection, after, limit).await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.inner.count(collection).await
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        self.inner.clear(collection).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()
    }
}

/// A broker that remembers what was published, and delivers what the test says.
#[derive(Default)]
pub(crate) struct TestBroker {
    published: Mutex<Vec<Outbound>>,
    changed: Notify,
    pub(crate) down: AtomicBool,
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Vec<Inbound>>>>,
}

#[async_trait]
impl Producer for TestBroker {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(BrokerError::unavailable("publish", "it is down"));
        }
        self.published.lock().extend(messages);
        self.changed.notify_waiters();
        Ok(())
    }
}

/// The broker as the runtime takes it.
struct SharedBroker(Arc<TestBroker>);

#[async_trait]
impl Broker for SharedBroker {
    async fn producer(&self, _: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        Ok(Arc::clone(&self.0) as Arc<dyn Producer>)
    }

    async fn consumer(&self, _: &str, _: &[&str]) -> Result<Box<dyn Consumer>, BrokerError> {
        let inbox = self.0.inbox.lock().take();
        let inbox =
            inbox.ok_or_else(|| BrokerError::Topics("one consumer is all there is".into()))?;
        Ok(Box::new(TestConsumer(inbox)))
    }

    async fn ensure_topics(&self, _: &[&str], _: i32) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

struct TestConsumer(mpsc::UnboundedReceiver<Vec<Inbound>>);

#[async_trait]
impl Consumer for TestConsumer {
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        Ok(self.0.recv().await)
    }

    async fn done(&mut self, _: &[Inbound]) {}

    fn retain_assigned(&self, _: &mut Vec<Inbound>) {}

    async fn close(self: Box<Self>, _: Duration) {}
}

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
    relay: OutboxRelay,
    pub(crate) ports: Ports,
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
        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn Store>,
            broker: Arc::new(SharedBroker(Arc::clone(&broker))),
            clock: Arc::new(TestClock(AtomicI64::new(1_000_000))),
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
            deliveries,
            delivered: AtomicI64::new(0),
            keys: JwtKeys::new(&secret),
        }
    }

    /// An intake with its workers running.
    pub(crate) fn intake(&self, limits: IntakeLimits) -> Intake {
        let (announcer, announcers) = Announcer::new(self.relay.clone());
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

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Sends a request with these headers.
pub(crate) async fn send(
    routes: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = routes.clone().oneshot(request.body(body.into()).unwrap());
    let response = tokio::time::timeout(PATIENCE, response)
        .await
        .expect("an answer")
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

/// Sends a JSON body.
pub(crate) async fn post(
    routes: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    send(routes, "POST", path, headers, body.to_string()).await
}

/// Reads.
pub(crate) async fn get(routes: &Router, path: &str) -> Answer {
    send(routes, "GET", path, &[], Body::empty()).await
}
