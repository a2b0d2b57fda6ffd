//! A world for tests: a store in memory that can fail or be contended, a broker that remembers, and a clock that stands.

mod broker;
pub(crate) mod given;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use sagaline_contracts::{Event, EventId, EventType, OrderId, Payload, Timestamp};
use sagaline_runtime::{BatchHandler, Inbound, Outbound, Ports, SilentHealth};
use sagaline_saga::Clock;
use sagaline_service_kit::{AdminGate, JwtKeys};
use serde_json::Value;
use tower::ServiceExt;

use crate::http::{App, routes};
use crate::live::Hub;
use crate::projector::{Mode, Projector, Publisher};
use crate::stats::Stats;
pub(crate) use broker::{BeforeReplay, FakeBroker};
pub(crate) use store::FakeStore;

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct StandingClock(AtomicI64);

impl StandingClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// The service without its loops: batches go in by hand.
pub(crate) struct World {
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) broker: FakeBroker,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) ports: Ports,
    pub(crate) hub: Arc<Hub>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) projector: Projector,
    pub(crate) app: Router,
    pub(crate) state: App,
    keys: JwtKeys,
    offset: AtomicI64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(FakeStore::default()))
    }

    /// Another instance on the same store.
    pub(crate) fn on(store: Arc<FakeStore>) -> Self {
        let clock = Arc::new(StandingClock(AtomicI64::new(100_000_000)));
        let broker = FakeBroker::default();
        let ports = Ports {
            store: store.clone(),
            broker: Arc::new(broker.clone()),
            clock: clock.clone(),
            health: Arc::new(SilentHealth),
        };
        let (hub, stats) = (Arc::new(Hub::default()), Arc::new(Stats::default()));
        let publisher = Publisher::new(Arc::clone(&ports.broker));
        let keys = JwtKeys::new(&"0123456789abcdef0123456789abcdef".parse().unwrap());
        let app = App {
            ports: ports.clone(),
            hub: Arc::clone(&hub),
            stats: Arc::clone(&stats),
            publisher: publisher.clone(),
            gate: AdminGate::new(keys.clone()),
            rebuilds: Arc::default(),
            elsewhere: Arc::default(),
        };
        let projector = Projector::new(
            ports.clone(),
            publisher,
            hub.clone(),
            stats.clone(),
            Mode::Live,
        );
        Self {
            clock,
            broker,
            store,
            ports,
            hub,
            stats,
            projector,
            app: routes(app.clone()),
            state: app,
            keys,
            offset: AtomicI64::new(0),
        }
    }

    /// A message with this event, on its topic.
    pub(crate) fn message(&self, event: &Event) -> Inbound {
        let outbound = Outbound::event(event);
        let topic = match &event.payload {
            Payload::DeadLetter(letter) => {
                let topic = letter.original_topic.as_deref().and_then(EventType::parse);
                topic.unwrap_or(EventType::OrderCreated).dead_letter_topic()
            }
            payload => payload.event_type().as_str(),
        };
        self.raw(topic, Some(event.key()), &outbound.value)
    }

    /// Any message.
    pub(crate) fn raw(&self, topic: &str, key: Option<&str>, value: &[u8]) -> Inbound {
        Inbound {
            topic: topic.into(),
            partition: 0,
            offset: self.offset.fetch_add(1, Ordering::Relaxed),
            key: key.map(|key| key.to_owned().into()),
            value: Some(value.to_vec().into()),
        }
    }

    /// A batch with these events is projected.
    pub(crate) async fn project(&self, events: &[Event]) {
        let batch: Vec<Inbound> = events.iter().map(|event| self.message(event)).collect();
        self.projector.handle(&batch).await.unwrap();
    }

    /// What was published is read by the projector, as the broker would bring it.
    pub(crate) async fn deliver_published(&self) {
        let published = std::mem::take(&mut *self.broker.published.lock());
        let batch: Vec<Inbound> = published
            .iter()
            .map(|message| self.raw(&message.topic, Some(&message.key), &message.value))
            .collect();
        self.projector.handle(&batch).await.unwrap();
    }

    pub(crate) fn token(&self, role: &str) -> String {
        self.token_of("ann", role)
    }

    /// Somebody's token.
    pub(crate) fn token_of(&self, sub: &str, role: &str) -> String {
        let token = self.keys.mint(sub, role, Duration::from_mins(1)).unwrap();
        format!("Bearer {token}")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, uri: &str) -> (StatusCode, Value) {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        json(self.send(request).await).await
    }

    /// An operator's request.
    pub(crate) async fn post(&self, uri: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::post(uri)
            .header("authorization", self.token("admin"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        json(self.send(request).await).await
    }

    pub(crate) async fn audit(&self) -> Vec<Value> {
        let request = Request::get("/admin/audit")
            .header("authorization", self.token("admin"))
            .body(Body::empty())
            .unwrap();
        let (status, body) = json(self.send(request).await).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body.as_array().unwrap().clone()
    }
}

pub(crate) async fn json(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The same events, of another order.
pub(crate) fn of_order(events: &[Event], id: &str) -> Vec<Event> {
    events
        .iter()
        .map(|event| {
            let text = String::from_utf8(event.encode()).unwrap();
            let text = text.replace("\"o-1\"", &format!("\"{id}\""));
            let mut event = Event::from_json(event.event_type(), text.as_bytes()).unwrap();
            event.id = renamed(&event.id, id);
            event.causation_id = event.causation_id.map(|cause| renamed(&cause, id));
            event
        })
        .collect()
}

fn renamed(event_id: &EventId, order: &str) -> EventId {
    given::id(&format!("{order}/{event_id}"))
}

pub(crate) fn order_named(id: &str) -> OrderId {
    OrderId::new(id).unwrap()
}
