//! Payment and shipping as they run in production, on a broker that speaks Kafka's protocol.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy sees tests only in functions that are marked as such, not in their helpers"
)]

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use payment_service::gateway::{Ledger, SimulatedGateway};
use sagaline_contracts::payload::{
    Action, Authority, CompensationRequested, InventoryReserved, ReservedItem,
};
use sagaline_contracts::{Event, EventType, Money, OrderId, Payload, Sku};
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use sagaline_external_calls::{CallLimits, Rate, Rehearsal};
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{Broker, Consumer, HealthSink, Outbound, Ports, Producer, SilentHealth};
use sagaline_saga::given::event;
use sagaline_service_host::{KitClock, ServiceHost};
use sagaline_service_kit::auth::JwtKeys;
use sagaline_service_kit::http::bind;
use sagaline_service_kit::secret::JwtSecret;
use sagaline_store::MemoryStore;
use serde_json::Value;
use shipping_service::carrier::{Depot, SimulatedCarrier};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

const LIMITS: CallLimits = CallLimits {
    concurrency: NonZeroUsize::MIN,
    time: Duration::from_secs(5),
    silence_max: NonZeroUsize::MIN,
};

/// Tells the test what is down, besides telling the service.
struct Overheard {
    service: Arc<dyn HealthSink>,
    downs: mpsc::UnboundedSender<&'static str>,
}

impl HealthSink for Overheard {
    fn up(&self, dependency: &'static str) {
        self.service.up(dependency);
    }

    fn down(&self, dependency: &'static str, reason: &str) {
        self.service.down(dependency, reason);
        let _ = self.downs.send(dependency);
    }
}

/// Both services, their other sides, and all that is published.
struct World {
    broker: EmbeddedBroker,
    producer: Arc<dyn Producer>,
    published: Box<dyn Consumer>,
    /// Published, and not looked at yet.
    unread: Vec<Event>,
    gateway: Arc<Ledger<SimulatedGateway>>,
    carrier: Arc<Depot<SimulatedCarrier>>,
    downs: mpsc::UnboundedReceiver<&'static str>,
    payment: SocketAddr,
    shipping: SocketAddr,
    shutdown: CancellationToken,
    services: JoinSet<anyhow::Result<()>>,
    events_sent: usize,
}

impl World {
    async fn start() -> Self {
        let broker = EmbeddedBroker::start(BrokerConfig::default())
            .await
            .unwrap();
        let kafka = Arc::new(KafkaBroker::new(KafkaOptions::new(
            broker.address().to_string(),
        )));
        let topics: Vec<&str> = EventType::topics().collect();
        kafka.ensure_topics(&topics, 2).await.unwrap();
        let (tell_downs, downs) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let store = Arc::new(MemoryStore::default());
        let host = |service: &str| {
            let ports = Ports {
                store: store.clone(),
                broker: kafka.clone(),
                clock: Arc::new(KitClock),
                health: Arc::new(SilentHealth),
            };
            let keys = JwtKeys::new(&JwtSecret::random().unwrap());
            let cors = "http://localhost:5173".parse().unwrap();
            let mut host = ServiceHost::new(service, ports, keys, cors, shutdown.clone());
            let service = host.ports.health.clone();
            host.ports.health = Arc::new(Overheard {
                service,
                downs: tell_downs.clone(),
            });
            host
        };
        let listeners = [
            bind(free_port()).await.unwrap(),
            bind(free_port()).await.unwrap(),
        ];
        let [payment, shipping] =
            [&listeners[0], &listeners[1]].map(|listener| listener.local_addr().unwrap());
        let [on_payment, on_shipping] = listeners;
        let gateway = Arc::new(Ledger::new(
            SimulatedGateway::new(Rate::NEVER, Rehearsal::default()),
            100,
        ));
        let carrier = Arc::new(Depot::new(
            SimulatedCarrier::new(Rate::NEVER, Rehearsal::default()),
            100,
        ));
        let mut services = JoinSet::new();
        services.spawn(payment_service::run_on(
            host("payment-service"),
            gateway.clone(),
            LIMITS,
            on_payment,
        ));
        services.spawn(shipping_service::run_on(
            host("shipping-service"),
            carrier.clone(),
            LIMITS,
            on_shipping,
        ));
        Self {
            producer: kafka.producer("test").await.unwrap(),
            published: kafka.consumer("test", &topics).await.unwrap(),
            unread: Vec::new(),
            broker,
            gateway,
            carrier,
            downs,
            payment,
            shipping,
            shutdown,
            services,
            events_sent: 0,
        }
    }

    async fn publish(&mut self, payload: Payload) {
        self.events_sent += 1;
        let event = event(&format!("test-{}", self.events_sent), payload);
        self.producer
            .publish(vec![Outbound::event(&event)])
            .await
            .unwrap();
    }

    /// The next event of this kind that the services publish.
    async fn next(&mut self, kind: EventType) -> Payload {
        let found = tokio::time::timeout(PATIENCE, self.find(kind)).await;
        found.unwrap_or_else(|_| panic!("no {kind}, but: {:?}", self.unread))
    }

    async fn find(&mut self, kind: EventType) -> Payload {
        loop {
            if let Some(at) = self
                .unread
                .iter()
                .position(|event| event.event_type() == kind)
            {
                return self.unread.remove(at).payload;
            }
            let batch = self.published.next().await.unwrap().unwrap();
            for message in &batch {
                assert!(
                    !message.topic.ends_with(".dlq"),
                    "a dead letter: {message:?}"
                );
                let kind = EventType::parse(&message.topic).unwrap();
                let event =
                    Event::decode(kind, message.key.as_deref(), message.value.as_deref()).unwrap();
                let ours = event.id.as_str().starts_with("test-");
                if !ours {
                    self.unread.push(event);
                }
            }
            self.published.done(&batch).await;
        }
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = tokio::time::timeout(PATIENCE, self.services.join_next())
            .await
            .unwrap()
        {
            ended.unwrap().unwrap();
        }
        self.published.close(PATIENCE).await;
        self.broker.shutdown().await;
    }
}

fn free_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn get(address: SocketAddr, path: &str) -> Value {
    let url = format!("http://{address}{path}");
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

fn order(id: &str) -> OrderId {
    OrderId::new(id).unwrap()
}

fn reserved(id: &str, attempt: u32) -> Payload {
    let item = ReservedItem {
        sku: Sku::new("SKU-1").unwrap(),
        qty: 2,
    };
    Payload::from(InventoryReserved {
        order_id: order(id),
        reserved_items: vec![item],
        total: Some(Money::from_cents(1_999).unwrap()),
        attempt: Some(attempt),
    })
}

fn wish(id: &str, action: Action) -> Payload {
    Payload::from(CompensationRequested {
        order_id: order(id),
        action,
        requested_by: Some("ops".to_owned()),
        reason: None,
        attempt: Some(1),
        decided_by: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_order_is_charged_and_shipped_and_can_be_refunded_once() {
    let mut world = World::start().await;
    world.publish(reserved("o-1", 1)).await;
    world.next(EventType::PaymentAuthorized).await;
    let Payload::OrderShipped(shipped) = world.next(EventType::OrderShipped).await else {
        unreachable!()
    };
    let shipment = get(world.shipping, "/shipments/o-1").await;
    assert_eq!(
        (&shipment["status"], &shipment["trackingId"]),
        (&"SHIPPED".into(), &shipped.tracking_id.into())
    );
    assert_eq!(world.carrier.shipped(&order("o-1")).len(), 1);

    world.publish(wish("o-1", Action::RefundPayment)).await;
    let Payload::CompensationRequested(ruling) = world.next(EventType::CompensationRequested).await
    else {
        unreachable!()
    };
    assert_eq!(ruling.decided_by, Some(Authority::Shipping));
    world.next(EventType::PaymentRefunded).await;
    let payment = get(world.payment, "/payments/o-1").await;
    assert_eq!(
        (&payment["captured"], &payment["refunded"]),
        (&19.99.into(), &19.99.into())
    );
    let account = world.gateway.account(&order("o-1"));
    assert_eq!(
        (account.captured_cents, account.refunded_cents),
        (1_999, 1_999)
    );

    world.publish(wish("o-1", Action::RefundPayment)).await;
    world.next(EventType::CommandRejected).await;
    let health = get(world.payment, "/healthz").await;
    assert_eq!(
        health["dependencies"]["simulated-gateway"]["state"], "up",
        "{health}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_undone_before_it_is_paid_is_charged_in_its_next_attempt_only() {
    let mut world = World::start().await;
    world.publish(wish("o-2", Action::ReleaseInventory)).await;
    world.next(EventType::ShippingFailed).await;
    let Payload::PaymentFailed(failed) = world.next(EventType::PaymentFailed).await else {
        unreachable!()
    };
    assert_eq!(
        (failed.reason.as_str(), failed.attempt),
        ("cancelled", Some(1))
    );

    for attempt in [1, 2] {
        world.publish(reserved("o-2", attempt)).await;
    }
    let paid = world.next(EventType::PaymentAuthorized).await;
    assert_eq!(paid.attempt(), Some(2));
    let shipped = world.next(EventType::OrderShipped).await;
    assert_eq!(shipped.attempt(), Some(2));
    assert_eq!(world.gateway.account(&order("o-2")).charges, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_gateway_and_carrier_is_waited_out_without_a_dead_letter() {
    let mut world = World::start().await;
    world.gateway.gateway().rehearsal().set_down(true);
    world.carrier.carrier().rehearsal().set_down(true);
    world.publish(reserved("o-3", 1)).await;
    world.hear_down("simulated-gateway").await;
    assert_eq!(get(world.payment, "/healthz").await["ok"], false);
    world.gateway.gateway().rehearsal().set_down(false);
    world.next(EventType::PaymentAuthorized).await;

    world.hear_down("simulated-carrier").await;
    world.carrier.carrier().rehearsal().set_down(false);
    world.next(EventType::OrderShipped).await;
    let health = get(world.shipping, "/healthz").await;
    assert_eq!(
        health["dependencies"]["simulated-carrier"]["state"], "up",
        "{health}"
    );
    world.stop().await;
}

impl World {
    async fn hear_down(&mut self, dependency: &str) {
        let heard = async { while self.downs.recv().await.unwrap() != dependency {} };
        tokio::time::timeout(PATIENCE, heard).await.unwrap();
    }
}
