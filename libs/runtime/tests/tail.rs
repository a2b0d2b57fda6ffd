//! What a group has yet to do, and what is published from now on, read without being in it: on real Apache Kafka and on the embedded
//! broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use sagaline_contracts::EventType;
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{Broker, Consumer, Inbound, Outbound, Tail};
use sagaline_testkit::ApacheKafka;

const LIMIT: Duration = Duration::from_mins(1);
/// Well below the saga's timeout of half a minute.
const SOON: Duration = Duration::from_secs(20);
const GROUP: &str = "test-group";
const TOPICS: [EventType; 2] = [EventType::OrderCreated, EventType::OrderShipped];

fn message(n: usize) -> Outbound {
    Outbound {
        topic: TOPICS[n % 2].as_str().into(),
        key: format!("order-{n}"),
        value: Bytes::from(n.to_string()),
    }
}

async fn publish(broker: &KafkaBroker, numbers: std::ops::Range<usize>) {
    let producer = broker.producer("test").await.unwrap();
    producer
        .publish(numbers.map(message).collect())
        .await
        .unwrap();
}

/// On a busy machine a broker that has just been started may take longer than a producer waits.
async fn is_back(broker: &KafkaBroker) {
    let asking = async { while broker.producer("test").await.is_err() {} };
    tokio::time::timeout(LIMIT, asking).await.expect("bounded");
}

/// Reads so many messages.
async fn read(tail: &mut dyn Tail, count: usize) -> Vec<Inbound> {
    let reading = async {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.extend(tail.next().await.unwrap());
        }
        messages
    };
    tokio::time::timeout(LIMIT, reading).await.expect("bounded")
}

fn numbers(messages: &[Inbound]) -> Vec<usize> {
    let texts = messages
        .iter()
        .map(|message| message.value.as_deref().unwrap());
    let mut numbers: Vec<usize> = texts
        .map(|text| std::str::from_utf8(text).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// A member of the group handles so many messages, and commits them.
async fn work_off(broker: &KafkaBroker, topics: &[&str], count: usize) {
    let mut member = broker.consumer(GROUP, topics).await.unwrap();
    handle(&mut *member, count, LIMIT).await;
    member.close(LIMIT).await;
}

/// Handles so many messages, or more.
async fn handle(member: &mut dyn Consumer, count: usize, limit: Duration) -> Vec<Inbound> {
    let working = async {
        let mut done = Vec::new();
        while done.len() < count {
            let batch = member.next().await.unwrap().unwrap();
            member.done(&batch).await;
            done.extend(batch);
        }
        done
    };
    tokio::time::timeout(limit, working).await.expect("bounded")
}

async fn read_what_comes(broker: &KafkaBroker) -> Box<dyn Tail> {
    let topics = TOPICS.map(EventType::as_str);
    broker.ensure_topics(&topics, 3).await.unwrap();
    publish(broker, 0..100).await;
    // A group that has committed nothing has it all to do.
    let mut tail = broker.tail(GROUP, &topics).await.unwrap();
    assert_eq!(
        numbers(&read(&mut *tail, 100).await),
        (0..100).collect::<Vec<_>>()
    );
    work_off(broker, &topics, 100).await;
    publish(broker, 100..200).await;
    let mut tail = broker.tail(GROUP, &topics).await.unwrap();
    publish(broker, 200..400).await;
    let messages = read(&mut *tail, 300).await;
    assert_eq!(numbers(&messages), (100..400).collect::<Vec<_>>());
    let mut last = std::collections::HashMap::new();
    for message in &messages {
        let place = (message.topic.clone(), message.partition);
        let before = last.insert(place, message.offset);
        assert!(
            before.is_none_or(|before| before < message.offset),
            "in order"
        );
    }
    assert!(
        broker
            .tail(GROUP, &["nobody.HasSuchATopic.v1"])
            .await
            .is_err()
    );
    tail
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_embedded_broker_gets_from_now_on_is_read_and_nothing_from_before() {
    let embedded = EmbeddedBroker::start(BrokerConfig::default())
        .await
        .unwrap();
    let broker = KafkaBroker::new(KafkaOptions::new(embedded.address().to_string()));
    drop(read_what_comes(&broker).await);
    embedded.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_gets_from_now_on_is_read_through_a_crash_and_with_partitions_that_come_later() {
    let mut kafka = ApacheKafka::start().await.unwrap();
    let broker = KafkaBroker::new(KafkaOptions::new(kafka.brokers()));
    let mut tail = read_what_comes(&broker).await;
    kafka.restart().await.unwrap();
    is_back(&broker).await;
    publish(&broker, 400..500).await;
    // While Kafka is away an error may come, and leaves nothing out.
    let reading = async {
        let mut messages = Vec::new();
        while messages.len() < 100 {
            if let Ok(batch) = tail.next().await {
                messages.extend(batch);
            }
        }
        messages
    };
    let messages = tokio::time::timeout(LIMIT, reading).await.expect("bounded");
    assert_eq!(numbers(&messages), (400..500).collect::<Vec<_>>());
    more_partitions(&kafka.brokers(), 8).await;
    // A producer of its own sees all of them at once.
    publish(&broker, 500..600).await;
    let messages = read(&mut *tail, 100).await;
    assert_eq!(numbers(&messages), (500..600).collect::<Vec<_>>());
    assert!(messages.iter().any(|message| message.partition >= 3));
}

/// What is published there waits as long as nobody in the group knows of them, and an order waits only for the saga's timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_soon_reads_partitions_that_its_topics_get_while_it_works() {
    let kafka = ApacheKafka::start().await.unwrap();
    let broker = KafkaBroker::new(KafkaOptions::new(kafka.brokers()));
    let topics = TOPICS.map(EventType::as_str);
    broker.ensure_topics(&topics, 3).await.unwrap();
    publish(&broker, 0..100).await;
    let mut member = broker.consumer(GROUP, &topics).await.unwrap();
    handle(&mut *member, 100, LIMIT).await;
    more_partitions(&kafka.brokers(), 8).await;
    publish(&broker, 100..200).await;
    let messages = handle(&mut *member, 100, SOON).await;
    assert_eq!(numbers(&messages), (100..200).collect::<Vec<_>>());
    assert!(messages.iter().any(|message| message.partition >= 3));
    member.close(LIMIT).await;
}

async fn more_partitions(brokers: &str, count: usize) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let raised = TOPICS.map(|topic| NewPartitions::new(topic.as_str(), count));
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    for result in admin.create_partitions(&raised, &options).await.unwrap() {
        result.unwrap();
    }
}
