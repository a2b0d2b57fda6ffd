//! How fast the projector is on a store in memory: five events per order, orders interleaved as a busy pipeline would bring them.
//!
//! `cargo run --release -p read-model-service --example projection_speed [orders]`

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use read_model_service::live::{FeedForm, Hub};
use read_model_service::projector::{Mode, Projector, Publisher};
use read_model_service::stats::Stats;
use sagaline_contracts::payload::{
    InventoryReserved, OrderConfirmed, OrderCreated, OrderItem, OrderShipped, PaymentAuthorized,
    ReservedItem,
};
use sagaline_contracts::{Event, EventId, Money, OrderId, Payload, Sku, Timestamp};
use sagaline_runtime::{
    BatchHandler, Broker, BrokerError, Consumer, Inbound, Outbound, Ports, Producer, SilentHealth,
};
use sagaline_service_host::KitClock;
use sagaline_service_kit::clock::Stopwatch;
use sagaline_store::{MemoryLimits, MemoryStore};

/// Orders in flight at a time, and messages in a batch.
const IN_FLIGHT: usize = 250;
const BATCH: usize = 500;

struct NoBroker;

#[async_trait]
impl Broker for NoBroker {
    async fn producer(&self, _: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        Err(BrokerError::Topics("nothing is published here".to_owned()))
    }
    async fn consumer(&self, _: &str, _: &[&str]) -> Result<Box<dyn Consumer>, BrokerError> {
        Err(BrokerError::Topics("nothing is consumed here".to_owned()))
    }
    async fn ensure_topics(&self, _: &[&str], _: i32) -> Result<(), BrokerError> {
        Ok(())
    }
    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

fn payloads(order_id: &OrderId) -> anyhow::Result<[Payload; 5]> {
    let sku = Sku::new("SKU-17")?;
    let total = Money::from_cents(2_000)?;
    let order_id = || order_id.clone();
    Ok([
        OrderCreated {
            order_id: order_id(),
            items: vec![OrderItem {
                sku: sku.clone(),
                qty: 2,
                price: Some(Money::from_cents(1_000)?),
            }],
            total,
            currency: Some("EUR".to_owned()),
            customer_id: None,
        }
        .into(),
        InventoryReserved {
            order_id: order_id(),
            reserved_items: vec![ReservedItem { sku, qty: 2 }],
            total: Some(total),
            attempt: Some(1),
        }
        .into(),
        PaymentAuthorized {
            order_id: order_id(),
            amount: total,
            auth_id: "auth_0123456789abcdef".to_owned(),
            attempt: Some(1),
        }
        .into(),
        OrderShipped {
            order_id: order_id(),
            carrier: "Simulated Parcel".to_owned(),
            tracking_id: "track_0123456789abcdef".to_owned(),
            attempt: Some(1),
        }
        .into(),
        OrderConfirmed {
            order_id: order_id(),
            attempt: Some(1),
        }
        .into(),
    ])
}

fn messages(number: usize, topics: &[Arc<str>; 5]) -> anyhow::Result<Vec<Inbound>> {
    let order_id = OrderId::new(format!("0199c0de-0000-7000-8000-{number:012}"))?;
    let mut cause: Option<EventId> = None;
    let mut messages = Vec::with_capacity(5);
    for (step, payload) in payloads(&order_id)?.into_iter().enumerate() {
        let id = EventId::new(format!("{number:08x}-0000-5000-8000-{step:012}"))?;
        let at = 1_700_000_000_000_000 + i64::try_from(number * 200 + step * 4_000)?;
        let event = Event {
            id: id.clone(),
            timestamp: Timestamp::from_micros(at),
            correlation_id: order_id.to_string(),
            causation_id: cause.replace(id),
            order_id: Some(order_id.clone()),
            payload,
            headers: std::collections::BTreeMap::default(),
        };
        let outbound = Outbound::event(&event);
        messages.push(Inbound {
            topic: Arc::clone(&topics[step]),
            partition: 0,
            offset: i64::try_from(number)?,
            key: Some(outbound.key.into()),
            value: Some(outbound.value),
        });
    }
    Ok(messages)
}

/// Every order's events in order, each a while after the one before.
fn interleaved(orders: usize) -> anyhow::Result<Vec<Inbound>> {
    let topics = payloads(&OrderId::new("o")?)?.map(|p| Arc::from(p.event_type().as_str()));
    let mut timed = Vec::with_capacity(orders * 5);
    for number in 0..orders {
        for (step, message) in messages(number, &topics)?.into_iter().enumerate() {
            timed.push((number + step * IN_FLIGHT, message));
        }
    }
    timed.sort_by_key(|(at, _)| *at);
    Ok(timed.into_iter().map(|(_, message)| message).collect())
}

async fn measure(
    name: &str,
    messages: &[Inbound],
    feed_readers: usize,
    idle_readers: usize,
) -> anyhow::Result<()> {
    let broker: Arc<dyn Broker> = Arc::new(NoBroker);
    let ports = Ports {
        store: Arc::new(MemoryStore::new(MemoryLimits {
            settled_max: 50_000,
        })),
        broker: Arc::clone(&broker),
        clock: Arc::new(KitClock),
        health: Arc::new(SilentHealth),
    };
    let (hub, stats) = (Arc::new(Hub::default()), Arc::new(Stats::default()));
    let feed: Vec<_> = (0..feed_readers)
        .map(|_| hub.feed.subscribe(FeedForm::Batch))
        .collect();
    let idle: Result<Vec<_>, _> = (0..idle_readers)
        .map(|n| OrderId::new(format!("idle-{n}")).map(|id| hub.watchers.watch(id)))
        .collect();
    let idle = idle?;
    let store = Arc::clone(&ports.store);
    let projector = Projector::new(
        ports,
        Publisher::new(broker),
        Arc::clone(&hub),
        stats,
        Mode::Live,
    );
    let watch = Stopwatch::start();
    let mut encoding = Duration::ZERO;
    for batch in messages.chunks(BATCH) {
        projector.handle(batch).await?;
        let flushing = Stopwatch::start();
        hub.feed.flush(Timestamp::EPOCH);
        encoding += flushing.elapsed();
    }
    let took = watch.elapsed();
    drop((feed, idle));
    let micros = took.as_secs_f64() * 1e6 / f64::from(u32::try_from(messages.len())?);
    println!(
        "{name}: {} events in {took:.2?}, {micros:.2} µs per event, {:.0} events/s on one core (feed {encoding:.2?}); {} orders kept",
        messages.len(),
        1e6 / micros,
        store.count(read_model_service::collections::ORDERS).await?,
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let orders = std::env::args()
        .nth(1)
        .map_or(Ok(100_000), |text| text.parse())?;
    let messages = interleaved(orders)?;
    measure(
        "warm-up            ",
        &messages[..messages.len() / 10],
        0,
        0,
    )
    .await?;
    measure("nobody reads       ", &messages, 0, 0).await?;
    measure("1,000 idle readers ", &messages, 0, 1_000).await?;
    measure("one reads the feed ", &messages, 1, 0).await
}
