//! `events` and `topics`, with the embedded broker.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use sagaline_contracts::EventType;
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use serde_json::{Value, json};

use crate::process::{Ran, follow, run, run_reading};

struct Broker {
    _running: EmbeddedBroker,
    address: String,
}

impl Broker {
    async fn start() -> Self {
        let running = EmbeddedBroker::start(BrokerConfig::default())
            .await
            .unwrap();
        let topics: Vec<&str> = EventType::topics().collect();
        running.create_topics(&topics, 4).await.unwrap();
        let address = running.address().to_string();
        Self {
            _running: running,
            address,
        }
    }

    async fn run(&self, line: &[&str]) -> Ran {
        run(&[line, &["--kafka-brokers", &self.address]].concat()).await
    }

    async fn append(&self, topic: &str, payload: &Value) -> Value {
        let payload = payload.to_string();
        let line = [
            "events",
            "append",
            "--topic",
            topic,
            "--payload",
            &payload,
            "--json",
        ];
        let ran = self.run(&line).await;
        ran.exits(0);
        ran.json().remove(0)
    }
}

fn cancelled(order: &str) -> Value {
    json!({ "orderId": order, "reason": "timeout", "extra": "kept" })
}

#[tokio::test]
async fn a_payload_that_is_appended_is_read_as_an_event() {
    let broker = Broker::start().await;
    let place = broker.append("OrderCancelled", &cancelled("o-1")).await;
    assert_eq!(
        (&place["topic"], &place["offset"]),
        (&json!("order.OrderCancelled.v1"), &json!(0))
    );
    let ran = broker
        .run(&[
            "events",
            "tail",
            "--from-beginning",
            "--no-follow",
            "--json",
        ])
        .await;
    ran.exits(0);
    let event = &ran.json()[0];
    assert_eq!(
        (&event["key"], &event["payload"]),
        (&json!("o-1"), &cancelled("o-1"))
    );
    assert_eq!(event["type"], "order.OrderCancelled.v1");
    let ran = broker
        .run(&["events", "tail", "--from-beginning", "--count", "1"])
        .await;
    let line = ran.exits(0).trim_end();
    let place = format!("o-1  {}/0  timeout", place["partition"]);
    assert!(
        line.contains("OrderCancelled ") && line.ends_with(&place),
        "{line}"
    );
}

#[tokio::test]
async fn what_tail_writes_append_reads() {
    let broker = Broker::start().await;
    for order in ["o-1", "o-2"] {
        broker.append("OrderCancelled", &cancelled(order)).await;
    }
    let line = [
        "events",
        "tail",
        "--from-beginning",
        "--no-follow",
        "--json",
    ];
    let first = broker.run(&line).await;
    let append = [
        "events",
        "append",
        "--topic",
        "order.OrderCancelled.v1",
        "-",
        "--kafka-brokers",
        &broker.address,
    ];
    let appended = run_reading(&append, &first.stdout).await;
    assert_eq!(appended.exits(0).lines().count(), 2);
    let all = broker.run(&line).await;
    let count = |ran: &Ran, order: &str| ran.json().iter().filter(|e| e["key"] == order).count();
    assert_eq!((count(&all, "o-1"), count(&all, "o-2")), (2, 2));
}

#[tokio::test]
async fn the_messages_of_one_order_are_told_in_order_of_time_over_all_topics() {
    let broker = Broker::start().await;
    for (topic, name, second) in [
        ("order.OrderConfirmed.v1", "order.OrderConfirmed.v1", 3),
        ("order.OrderCancelled.v1", "order.OrderCancelled.v1", 1),
        ("ops.CommandRejected.v1", "ops.CommandRejected.v1", 2),
    ] {
        let payload =
            json!({ "orderId": "o-1", "reason": "r", "command": "c", "requestedBy": "ann" });
        let event = json!({
            "eventId": format!("e-{second}"), "type": name, "version": 1, "timestamp": format!("2026-01-31T12:00:0{second}Z"),
            "correlationId": "o-1", "key": "o-1", "payload": payload,
        });
        let line = [
            "events",
            "append",
            "--topic",
            topic,
            "-",
            "--kafka-brokers",
            &broker.address,
        ];
        run_reading(&line, &event.to_string()).await.exits(0);
    }
    let line = [
        "events",
        "tail",
        "--order",
        "o-1",
        "--from-beginning",
        "--no-follow",
        "--json",
    ];
    let ran = broker.run(&line).await;
    let ids: Vec<Value> = ran
        .json()
        .iter()
        .map(|event| event["eventId"].clone())
        .collect();
    assert_eq!(ids, ["e-1", "e-2", "e-3"]);
}

#[tokio::test]
async fn tail_shows_what_comes_for_the_order_that_is_wanted() {
    let broker = Broker::start().await;
    broker.append("OrderCancelled", &cancelled("o-2")).await;
    let line = [
        "events",
        "tail",
        "--order",
        "o-2",
        "--kafka-brokers",
        &broker.address,
    ];
    let mut tail = follow(&line);
    let topics = EventType::topics().count();
    assert!(tail.note().await.starts_with(&format!(
        "reading {topics} topics, {} partitions",
        4 * topics
    )));
    broker.append("OrderCancelled", &cancelled("o-1")).await;
    broker
        .append("OrderConfirmed", &json!({ "orderId": "o-2" }))
        .await;
    let shown = tail.line().await;
    assert!(
        shown.contains("OrderConfirmed") && shown.contains("o-2"),
        "{shown}"
    );
}

#[tokio::test]
async fn nothing_that_breaks_the_contract_is_published_unless_it_is_wanted_so() {
    let broker = Broker::start().await;
    let line = [
        "events",
        "append",
        "--topic",
        "OrderCancelled",
        "--payload",
        r#"{"orderId":"o-1","reason":7}"#,
    ];
    let ran = broker.run(&line).await;
    ran.exits(1);
    assert!(ran.stderr.contains("payload.reason"), "{}", ran.stderr);
    let ran = broker
        .run(&["events", "append", "--topic", "nonsense", "--payload", "{}"])
        .await;
    ran.exits(1);
    assert!(
        ran.stderr.contains("there is no topic nonsense"),
        "{}",
        ran.stderr
    );
    let line = [
        "events",
        "append",
        "--topic",
        "OrderCancelled",
        "--key",
        "o-1",
        "--raw",
        "--payload",
        "poison",
    ];
    broker.run(&line).await.exits(0);
    let tail = ["events", "tail", "--from-beginning", "--no-follow"];
    let ran = broker.run(&tail).await;
    assert!(ran.exits(0).ends_with("no event: poison\n"), "{ran:?}");
}

#[tokio::test]
async fn topics_are_listed_with_what_each_service_has_yet_to_read() {
    const TOPIC: &str = "order.OrderCancelled.v1";
    let broker = Broker::start().await;
    let mut place = Value::Null;
    for _ in 0..3 {
        place = broker.append(TOPIC, &cancelled("o-1")).await;
    }
    let partition = i32::try_from(place["partition"].as_i64().unwrap()).unwrap();
    let address = broker.address.clone();
    let committed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &address)
            .set("group.id", "shipping-service")
            .create()?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(TOPIC, partition, Offset::Offset(1))?;
        consumer.commit(&offsets, CommitMode::Sync)
    });
    committed.await.unwrap().unwrap();
    let ran = broker.run(&["topics", "--non-empty", "--json"]).await;
    ran.exits(0);
    let row =
        json!({ "topic": TOPIC, "partitions": 4, "messages": 3, "lag": { "shipping-service": 2 } });
    assert_eq!(ran.json(), [json!([row])]);
    let shown = broker.run(&["topics"]).await;
    assert_eq!(
        shown.exits(0).lines().count(),
        1 + EventType::topics().count()
    );
}
