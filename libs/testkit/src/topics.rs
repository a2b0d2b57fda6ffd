//! The pipeline as another Kafka client sees it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

/// A message of a topic.
#[derive(Debug, Clone)]
pub struct TopicMessage {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

impl TopicMessage {
    /// The value as JSON, or null.
    pub fn json(&self) -> Value {
        self.value
            .as_deref()
            .and_then(|value| serde_json::from_slice(value).ok())
            .unwrap_or(Value::Null)
    }
}

/// Publishes a raw message, once, and waits for the acknowledgement.
pub async fn produce(
    brokers: &str,
    topic: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(i32, i64)> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", "3000000")
        // One that is sent again, for its acknowledgement was lost, stands there once all the same.
        .set("enable.idempotence", "true")
        .create()?;
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic);
    record.key = key;
    record.payload = value;
    let delivery = producer
        .send(record, LIMIT)
        .await
        .map_err(|(error, _)| error)?;
    Ok((delivery.partition, delivery.offset))
}

/// Every message of these topics that is there now.
pub async fn read_all(brokers: &str, topics: Vec<String>) -> Result<Vec<TopicMessage>> {
    let brokers = brokers.to_owned();
    tokio::task::spawn_blocking(move || read_all_now(&brokers, &topics)).await?
}

fn read_all_now(brokers: &str, topics: &[String]) -> Result<Vec<TopicMessage>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "testkit-reader")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .create()?;
    let metadata = consumer.fetch_metadata(None, LIMIT)?;
    let mut assignment = TopicPartitionList::new();
    let mut ends: HashMap<(String, i32), i64> = HashMap::new();
    for topic in metadata
        .topics()
        .iter()
        .filter(|topic| topics.iter().any(|name| name == topic.name()))
    {
        for partition in topic.partitions() {
            let (low, high) = consumer.fetch_watermarks(topic.name(), partition.id(), LIMIT)?;
            if high > low {
                assignment.add_partition_offset(
                    topic.name(),
                    partition.id(),
                    Offset::Offset(low),
                )?;
                ends.insert((topic.name().to_owned(), partition.id()), high);
            }
        }
    }
    consumer.assign(&assignment)?;
    let mut messages = Vec::new();
    while !ends.is_empty() {
        let message = consumer.poll(LIMIT).context("no message within 20 s")??;
        let place = (message.topic().to_owned(), message.partition());
        let Some(end) = ends.get(&place).copied() else {
            continue;
        };
        if message.offset() < end {
            messages.push(TopicMessage {
                topic: place.0.clone(),
                partition: place.1,
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
            });
        }
        if message.offset() + 1 >= end {
            ends.remove(&place);
        }
    }
    Ok(messages)
}
