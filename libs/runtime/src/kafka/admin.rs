//! Topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::types::RDKafkaErrorCode;

use super::{PingClient, metadata, settings};
use crate::BrokerError;

const LIMIT: Duration = Duration::from_secs(10);
/// A broker that takes longer to say that it is there cannot be worked with.
const PING_LIMIT: Duration = Duration::from_secs(3);
const PROPAGATION: Duration = Duration::from_millis(50);

async fn partitions_by_topic(config: ClientConfig) -> Result<HashMap<String, i32>, BrokerError> {
    let looked_up = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = config.create().map_err(settings)?;
        let metadata = metadata(&client, LIMIT)
            .map_err(|error| BrokerError::unavailable("list its topics", error))?;
        Ok(metadata
            .topics()
            .iter()
            // One that is shown without any is being created.
            .filter(|topic| !topic.partitions().is_empty())
            .map(|topic| {
                (
                    topic.name().to_owned(),
                    i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
                )
            })
            .collect())
    });
    looked_up
        .await
        .map_err(|error| BrokerError::unavailable("list its topics", error))?
}

/// Asks for something that only a broker which is there can answer.
pub(super) async fn ping(client: Arc<PingClient>) -> Result<(), BrokerError> {
    let asked = tokio::task::spawn_blocking(move || metadata(&client, PING_LIMIT).map(drop));
    match asked.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(BrokerError::unavailable("answer", error)),
        Err(error) => Err(BrokerError::unavailable("answer", error)),
    }
}

/// Makes sure that the topics exist, with the same number of partitions each, and that the broker shows them.
pub(super) async fn ensure_topics(
    config: &ClientConfig,
    topics: &[&str],
    partitions: i32,
) -> Result<(), BrokerError> {
    let give_up = tokio::time::Instant::now() + LIMIT;
    loop {
        let there = partitions_by_topic(config.clone()).await?;
        let missing: Vec<&str> = topics
            .iter()
            .copied()
            .filter(|topic| !there.contains_key(*topic))
            .collect();
        let partitions = common_count(topics, &there)?.unwrap_or(partitions);
        if missing.is_empty() {
            return Ok(());
        }
        if tokio::time::Instant::now() > give_up {
            let source = format!(
                "{} topics were created, but the broker does not show them",
                missing.len()
            );
            return Err(BrokerError::unavailable("create topics", source));
        }
        // A broker shows a topic a little after it has created it; and another process may have been faster.
        create(config, &missing, partitions).await?;
        tokio::time::sleep(PROPAGATION).await;
    }
}

/// Topics that are there set the number: one order must have the same partition number everywhere.
fn common_count(topics: &[&str], there: &HashMap<String, i32>) -> Result<Option<i32>, BrokerError> {
    let mut counts: Vec<i32> = topics
        .iter()
        .filter_map(|topic| there.get(*topic).copied())
        .collect();
    counts.sort_unstable();
    counts.dedup();
    if counts.len() > 1 {
        return Err(BrokerError::Topics(format!(
            "the pipeline's topics have different partition counts ({counts:?}); one order must have the same partition \
             number everywhere: raise all of them to the same count"
        )));
    }
    Ok(counts.first().copied())
}

async fn create(
    config: &ClientConfig,
    topics: &[&str],
    partitions: i32,
) -> Result<(), BrokerError> {
    // -1: the broker's default
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(-1)))
        .collect();
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(settings)?;
    let options = AdminOptions::new()
        .operation_timeout(Some(LIMIT))
        .request_timeout(Some(LIMIT));
    let results = admin.create_topics(&topics, &options).await;
    for result in results.map_err(|error| BrokerError::unavailable("create topics", error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(BrokerError::Topics(format!(
                    "topic {topic} could not be created: {code}"
                )));
            }
        }
    }
    Ok(())
}
