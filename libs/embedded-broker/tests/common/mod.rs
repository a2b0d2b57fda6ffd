//! Clients for the tests.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod raw;

use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use std::time::Duration;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub async fn start() -> EmbeddedBroker {
    start_with(BrokerConfig::default()).await
}

pub async fn start_with(config: BrokerConfig) -> EmbeddedBroker {
    EmbeddedBroker::start(config).await.unwrap()
}

pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

pub fn producer(bootstrap: &str) -> FutureProducer {
    client(bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .create()
        .unwrap()
}

pub fn consumer(bootstrap: &str, group: &str, settings: &[(&str, &str)]) -> StreamConsumer {
    let mut config = client(bootstrap);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "1000");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// Sends one record and waits for its acknowledgement.
pub async fn send(
    producer: &FutureProducer,
    topic: &str,
    partition: Option<i32>,
    value: &str,
) -> (i32, i64) {
    let mut record: FutureRecord<'_, str, str> = FutureRecord::to(topic).payload(value);
    record.partition = partition;
    let delivery = producer
        .send(record, PATIENCE)
        .await
        .map_err(|(error, _)| error)
        .unwrap();
    (delivery.partition, delivery.offset)
}

/// Receives `count` values.
pub async fn receive(consumer: &StreamConsumer, count: usize) -> Vec<String> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let message = tokio::time::timeout(PATIENCE, consumer.recv())
            .await
            .unwrap_or_else(|_| {
                panic!("only {} of {count} messages came: {values:?}", values.len())
            })
            .unwrap();
        values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    values
}

pub fn subscribe(consumer: &StreamConsumer, topics: &[&str]) {
    consumer.subscribe(topics).unwrap();
}
