//! How far consumer groups are behind, as the broker knows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::Instant;

use crate::invariants::TOPICS;

const LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

const READ_MODEL: &str = "read-model-service";
/// What each service consumes, besides `ops.RedriveRequested.v1`; see docs/saga.md. The read model consumes everything.
const CONSUMED: [(&str, &[&str]); 4] = [
    (
        "order-service",
        &[
            "inventory.InventoryFailed.v1",
            "inventory.InventoryReleased.v1",
            "payment.PaymentFailed.v1",
            "payment.PaymentRefunded.v1",
            "shipping.OrderShipped.v1",
            "shipping.ShippingFailed.v1",
            "ops.RetryRequested.v1",
            "ops.CompensationRequested.v1",
        ],
    ),
    (
        "inventory-service",
        &[
            "order.OrderCreated.v1",
            "order.OrderRetried.v1",
            "shipping.OrderShipped.v1",
            "ops.CompensationRequested.v1",
        ],
    ),
    (
        "payment-service",
        &[
            "inventory.InventoryReserved.v1",
            "ops.CompensationRequested.v1",
        ],
    ),
    (
        "shipping-service",
        &[
            "payment.PaymentAuthorized.v1",
            "order.OrderCancelled.v1",
            "ops.CompensationRequested.v1",
        ],
    ),
];

fn consumed(group: &str) -> Vec<&'static str> {
    CONSUMED
        .iter()
        .find(|(known, _)| *known == group)
        .map_or_else(|| TOPICS.to_vec(), |(_, topics)| topics.to_vec())
}

/// The topics that participants consume, each once.
pub(crate) fn topics_of_participants() -> Vec<&'static str> {
    let mut topics: Vec<&str> = CONSUMED
        .iter()
        .flat_map(|(_, topics)| *topics)
        .copied()
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// Who consumes a topic: participants, and the read model.
pub(crate) fn consumers_of(topic: &str) -> Vec<&'static str> {
    let participants = CONSUMED
        .iter()
        .filter(|(_, topics)| topics.contains(&topic));
    let mut consumers: Vec<&str> = participants.map(|(name, _)| *name).collect();
    consumers.push(READ_MODEL);
    consumers.sort_unstable();
    consumers
}

type Place = (String, i32);

/// The ends of all partitions at some moment.
#[derive(Debug, Clone)]
pub struct Ends(HashMap<Place, i64>);

/// Where every topic of the pipeline ends now.
pub async fn ends(brokers: &str) -> Result<Ends> {
    let client = client(brokers, "testkit-lag")?;
    tokio::task::spawn_blocking(move || {
        let metadata = client.fetch_metadata(None, LIMIT)?;
        let mut ends = HashMap::new();
        for topic in metadata
            .topics()
            .iter()
            .filter(|topic| TOPICS.contains(&topic.name()))
        {
            for partition in topic.partitions() {
                let (_, high) = client.fetch_watermarks(topic.name(), partition.id(), LIMIT)?;
                ends.insert((topic.name().to_owned(), partition.id()), high);
            }
        }
        Ok(Ends(ends))
    })
    .await?
}

/// Waits until these groups have committed everything before `ends`: what it caused is durable and acknowledged.
pub async fn worked_off(
    brokers: &str,
    groups: &[&str],
    ends: &Ends,
    limit: Duration,
) -> Result<Instant> {
    let give_up = Instant::now() + limit;
    let mut last = Instant::now();
    for group in groups {
        let client = Arc::new(client(brokers, group)?);
        let wanted = Arc::new(ends.of(&consumed(group)));
        loop {
            let (asked, places) = (Arc::clone(&client), Arc::clone(&wanted));
            let missing = tokio::task::spawn_blocking(move || behind(&asked, &places)).await?;
            last = Instant::now();
            match missing {
                Ok(None) => break,
                Ok(Some(_)) | Err(_) if last < give_up => tokio::time::sleep(POLL).await,
                Ok(Some(place)) => bail!("{group} is still behind after {limit:?}: {place}"),
                Err(error) => {
                    return Err(error.context(format!("the broker does not say where {group} is")));
                }
            }
        }
    }
    Ok(last)
}

/// For those who look for a cause: where each of these groups is behind, an example each.
pub async fn summary(brokers: &str, groups: &[&str]) -> String {
    let Ok(ends) = ends(brokers).await else {
        return "the broker does not answer".to_owned();
    };
    let mut said = Vec::new();
    for group in groups {
        let Ok(client) = client(brokers, group) else {
            continue;
        };
        let wanted = ends.of(&consumed(group));
        let missing = tokio::task::spawn_blocking(move || behind(&client, &wanted)).await;
        said.push(match missing {
            Ok(Ok(None)) => format!("{group} is up to date"),
            Ok(Ok(Some(place))) => format!("{group}: {place}"),
            Ok(Err(error)) => format!("{group}: {error:#}"),
            Err(error) => format!("{group}: {error}"),
        });
    }
    said.join("; ")
}

impl Ends {
    fn of(&self, topics: &[&str]) -> Vec<(Place, i64)> {
        let ours = self.0.iter().filter(|((topic, _), end)| {
            // A group commits nothing where nothing ever was.
            **end > 0 && topics.contains(&topic.as_str())
        });
        ours.map(|(place, end)| (place.clone(), *end)).collect()
    }
}

/// The places where the group has not come to the end yet, described.
fn behind(client: &BaseConsumer, wanted: &[(Place, i64)]) -> Result<Option<String>> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), _) in wanted {
        list.add_partition(topic, *partition);
    }
    let committed = client.committed_offsets(list, LIMIT)?;
    let mut places = Vec::new();
    for ((topic, partition), end) in wanted {
        let found = committed.find_partition(topic, *partition);
        let at = match found.context("a partition was not answered for")?.offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        if at < *end {
            places.push(format!("{topic}/{partition} is at {at} of {end}"));
        }
    }
    Ok((!places.is_empty()).then(|| places.join(", ")))
}

fn client(brokers: &str, group: &str) -> Result<BaseConsumer> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.max.ms", "200")
        .create()?)
}
