//! Messages that are too large to be repeated, on a broker that has a limit: they hold nobody up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::ManualClock;
use common::world::{COLLECTION, Gateway, Toy, reserved};
use sagaline_contracts::payload::{DeadLetter, OrderConfirmed};
use sagaline_contracts::{Event, EventType, OrderId, Payload};
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{
    Broker, BrokerError, Consumer, Outbound, Ports, Producer, Runner, RunnerOptions, SilentHealth,
};
use sagaline_saga::given;
use sagaline_store::{MemoryStore, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);
/// As much as the broker takes in one message, with the record batch around it.
const LARGEST: usize = (1 << 20) + 12 - 200;

/// A participant on an embedded broker, and who reads what it tells.
struct World {
    embedded: EmbeddedBroker,
    producer: Arc<dyn Producer>,
    reader: Box<dyn Consumer>,
    store: Arc<MemoryStore>,
    token: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    async fn start(config: BrokerConfig) -> Self {
        let embedded = EmbeddedBroker::start(config).await.unwrap();
        let broker = KafkaBroker::new(KafkaOptions::new(embedded.address().to_string()));
        let topics: Vec<&str> = EventType::topics().collect();
        broker.ensure_topics(&topics, 1).await.unwrap();
        let store = Arc::new(MemoryStore::default());
        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn Store>,
            broker: Arc::new(broker.clone()),
            clock: Arc::new(ManualClock::default()),
            health: Arc::new(SilentHealth),
        };
        let gateway = Arc::new(Gateway::default());
        let runner = Runner::new(
            Arc::new(Toy),
            gateway,
            ports,
            RunnerOptions::new(COLLECTION),
        );
        let token = CancellationToken::new();
        let running = runner.run(token.clone());
        Self {
            producer: broker.producer("test").await.unwrap(),
            reader: broker.consumer("reader", &topics).await.unwrap(),
            embedded,
            store,
            token,
            running: tokio::spawn(async move { running.await.unwrap() }),
        }
    }

    async fn send(&self, key: &str, value: impl Into<Bytes>) {
        let message = Outbound {
            topic: EventType::InventoryReserved.as_str().into(),
            key: key.to_owned(),
            value: value.into(),
        };
        self.producer.publish(vec![message]).await.unwrap();
    }

    /// What the participant told until it had charged the order that is well, and made so many dead letters: every event can be
    /// read.
    async fn told_until(&mut self, letters_wanted: usize) -> Vec<Event> {
        let mut told = Vec::new();
        let reading = async {
            loop {
                let batch = self.reader.next().await.unwrap().expect("it is not closed");
                self.reader.done(&batch).await;
                for message in batch {
                    if *message.topic == *EventType::InventoryReserved.as_str() {
                        continue;
                    }
                    let kind = EventType::parse(&message.topic).unwrap_or(EventType::DeadLetter);
                    let value = message.value.as_deref();
                    told.push(Event::decode(kind, message.key.as_deref(), value).unwrap());
                }
                let charged = |event: &Event| event.event_type() == EventType::PaymentAuthorized;
                if told.iter().any(charged) && letters(&told).len() >= letters_wanted {
                    return;
                }
            }
        };
        let read = tokio::time::timeout(LIMIT, reading).await;
        assert!(read.is_ok(), "somebody is held up; told: {told:?}");
        told
    }

    async fn stop(self) {
        self.token.cancel();
        self.running.await.unwrap();
        self.reader.close(Duration::from_secs(3)).await;
        drop(self.producer);
        self.embedded.shutdown().await;
    }
}

fn letters(told: &[Event]) -> Vec<&DeadLetter> {
    let letters = told.iter().filter_map(|event| match &event.payload {
        Payload::DeadLetter(letter) => Some(letter),
        _ => None,
    });
    letters.collect()
}

/// JSON that is no event, and as large as can be sent.
fn bad_json() -> String {
    format!("{{\"payload\":\"{}\"}}", "x".repeat(LARGEST - 16))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_as_large_as_the_broker_takes_becomes_a_dead_letter_and_holds_nobody_up() {
    for key in ["", "poisoned"] {
        for poison in ["\u{fffd}".repeat(LARGEST / 3), bad_json()] {
            let mut world = World::start(BrokerConfig::default()).await;
            world.send(key, poison.clone()).await;
            world.send("well", reserved("well").encode()).await;
            let told = world.told_until(1).await;
            let [letter] = letters(&told)[..] else {
                panic!("one dead letter, not {told:?}");
            };
            let size = serde_json::to_vec(letter).unwrap().len();
            assert!(size < 4_096, "{size} bytes");
            assert_eq!((letter.partition, letter.offset), (Some(0), Some(0)));
            let bytes = poison.len().to_string();
            assert!(letter.error.contains(&bytes), "{}", letter.error);
            world.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_nested_too_deeply_for_a_letter_is_in_its_letter_all_the_same_and_can_be_read() {
    let mut world = World::start(BrokerConfig::default()).await;
    for depth in [99, 100, 101, 110, 126, 127, 128, 5_000] {
        let value = format!("{{\"payload\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        world.send("", value).await;
    }
    world.send("well", reserved("well").encode()).await;
    let told = world.told_until(8).await;
    let letters = letters(&told);
    assert_eq!(letters.len(), 8);
    for letter in letters {
        assert!(
            !letter.payload.is_null() || letter.raw.is_some(),
            "{letter:?}"
        );
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_grow_when_they_are_written_again_make_no_letter_too_large() {
    let mut world = World::start(BrokerConfig::default()).await;
    let numbers = vec!["1e15"; 50_000].join(",");
    for _ in 0..3 {
        world.send("", format!("{{\"payload\":[{numbers}]}}")).await;
    }
    world.send("well", reserved("well").encode()).await;
    let told = world.told_until(3).await;
    for letter in letters(&told) {
        let size = serde_json::to_vec(letter).unwrap().len();
        assert!(size < 512 * 1_024, "{size} bytes");
    }
    world.stop().await;
}

fn small_broker() -> BrokerConfig {
    BrokerConfig {
        message_max_bytes: 20_000,
        ..BrokerConfig::default()
    }
}

fn confirmed(n: usize, padding: usize) -> Outbound {
    let mut event = given::event(
        &format!("confirmed-{n}"),
        OrderConfirmed {
            order_id: OrderId::new(format!("o-{n}")).unwrap(),
            attempt: None,
        },
    );
    let padding = "x".repeat(padding);
    event.headers.insert("padding".to_owned(), padding.into());
    Outbound::event(&event)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_broker_refuses_for_good_is_named_and_the_others_are_acknowledged() {
    let world = World::start(small_broker()).await;
    // The first is too large for the broker, the second for the client already; and both together with small ones.
    for (large, n) in [(30_000, 0), (3_000_000, 100)] {
        let mut messages: Vec<Outbound> = (n..n + 50).map(|n| confirmed(n, 10)).collect();
        messages[20] = confirmed(n + 20, large);
        let refused = match world.producer.publish(messages).await {
            Err(BrokerError::Refused { refused }) => refused,
            other => panic!("not refused: {other:?}"),
        };
        let at: Vec<usize> = refused.iter().map(|one| one.at).collect();
        assert_eq!(at, [20], "{refused:?}");
        // It takes what can be taken afterwards as well.
        world
            .producer
            .publish(vec![confirmed(n + 20, 0)])
            .await
            .unwrap();
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_is_too_large_for_the_broker_is_published_without_what_it_repeats() {
    let mut world = World::start(small_broker()).await;
    // It is taken with the message around it, but not with the letter around it.
    let json = format!("{{\"payload\":\"{}\"}}", "x".repeat(19_500));
    world.send("", json).await;
    world.send("poisoned", vec![0xff; 19_500]).await;
    world.send("well", reserved("well").encode()).await;
    let told = world.told_until(2).await;
    let letters = letters(&told);
    assert_eq!(letters.len(), 2, "{letters:?}");
    for letter in letters {
        assert!(letter.payload.is_null() && letter.raw.is_none());
        assert!(letter.error.contains("too large"), "{}", letter.error);
        assert!(letter.dead_letter_id.is_some());
    }
    world.stop().await;
}
