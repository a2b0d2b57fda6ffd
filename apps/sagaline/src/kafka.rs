//! The broker, as the operator's commands use it.

use std::io;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sagaline_contracts::EventType;
use sagaline_runtime::kafka::lag::{Topic, observer};
use sagaline_runtime::kafka::{KafkaOptions, MetadataError, metadata};
use sagaline_service_host::kafka_options;
use sagaline_service_kit::config::{KafkaBrokers, KafkaSecurityError};
use tokio::net::TcpStream;

use crate::cmd::Endpoints;

/// How long the broker may take for one answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Why the broker was of no help, for an operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KafkaError {
    /// Nobody is there.
    #[error(
        "no broker can be reached at {brokers}: start the pipeline with `sagaline up`, or say where it is with \
         --kafka-brokers or KAFKA_BROKERS"
    )]
    Unreachable {
        /// Where one should be.
        brokers: KafkaBrokers,
        #[source]
        source: io::Error,
    },
    /// It did not do it.
    #[error("the broker did not {what}")]
    Failed {
        /// What was wanted.
        what: String,
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// It does not say what it has.
    #[error("the broker did not list its topics")]
    Unlisted(#[source] MetadataError),
    /// There is no such topic.
    #[error("there is no topic {name}{}", suggestion(.near))]
    NoTopic {
        /// What was asked for.
        name: String,
        /// What it might be.
        near: Vec<String>,
    },
    /// Its TLS and sign-in are not as they must be.
    #[error(transparent)]
    Security(#[from] KafkaSecurityError),
    /// A thread of this process went away.
    #[error("the command was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => "; `sagaline topics` lists them".to_owned(),
        near => format!("; is it {}?", near.join(" or ")),
    }
}

impl KafkaError {
    /// It did not do this.
    pub(crate) fn failed(
        what: impl Into<String>,
    ) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let what = what.into();
        move |source| Self::Failed { what, source }
    }
}

/// The settings of every client. First makes sure that somebody is there: a client that finds nobody would keep trying.
pub(crate) async fn config(at: &Endpoints) -> Result<ClientConfig, KafkaError> {
    Ok(options(at).await?.client_config("sagaline-cli"))
}

/// The same, for the services' own adapter.
pub(crate) async fn options(at: &Endpoints) -> Result<KafkaOptions, KafkaError> {
    let options = kafka_options(&at.kafka_brokers, &at.kafka_security.resolve()?);
    reach(&at.kafka_brokers).await?;
    Ok(options)
}

async fn reach(brokers: &KafkaBrokers) -> Result<(), KafkaError> {
    let mut failure = None;
    for broker in brokers.as_str().split(',') {
        let address = broker
            .rsplit_once("://")
            .map_or(broker, |(_, address)| address);
        let connected = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
        match connected {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => failure = Some(error),
            Err(_) => failure = Some(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
    Err(KafkaError::Unreachable {
        brokers: brokers.clone(),
        source: failure.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
    })
}

/// A consumer that is told its partitions and commits nothing: it does not take part in its group.
pub(crate) fn reader(config: &ClientConfig, group: &str) -> Result<BaseConsumer, KafkaError> {
    let mut config = observer(config.clone(), group);
    config
        .set("auto.offset.reset", "earliest")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.max.messages.kbytes", "16384");
    config
        .create()
        .map_err(KafkaError::failed("take the settings"))
}

/// Every topic of the broker, by name. Its own are left out.
pub(crate) fn topics(client: &BaseConsumer) -> Result<Vec<Topic>, KafkaError> {
    let metadata = metadata(client, LIMIT).map_err(KafkaError::Unlisted)?;
    let mut topics: Vec<Topic> = metadata
        .topics()
        .iter()
        .filter(|topic| !topic.name().starts_with("__"))
        .map(Topic::from)
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

/// The first offset of a partition, and the one after its last.
pub(crate) fn ends(
    client: &BaseConsumer,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), KafkaError> {
    let ends = client.fetch_watermarks(topic, partition, LIMIT);
    ends.map_err(KafkaError::failed(format!(
        "say where {topic} [{partition}] ends"
    )))
}

/// The topic that is meant: by its whole name, or for the pipeline's own by the event's, `OrderCreated`.
pub(crate) fn find<'a>(name: &str, topics: &'a [Topic]) -> Result<&'a Topic, KafkaError> {
    let whole = full_name(name).unwrap_or(name);
    let found = topics.iter().find(|topic| topic.name == whole);
    found.ok_or_else(|| {
        let wanted = name.to_ascii_lowercase();
        let near = topics.iter().map(|topic| &topic.name);
        let near = near.filter(|name| name.to_ascii_lowercase().contains(&wanted));
        KafkaError::NoTopic {
            name: name.to_owned(),
            near: near.take(3).cloned().collect(),
        }
    })
}

/// The topic of an event's name, `order.OrderCreated.v1` of `OrderCreated`, in any case.
fn full_name(name: &str) -> Option<&'static str> {
    EventType::topics().find(|topic| {
        let is_letter = topic.ends_with(sagaline_contracts::DEAD_LETTER_SUFFIX);
        let short = topic.split('.').nth(1).unwrap_or(topic);
        let wanted = name.strip_suffix(sagaline_contracts::DEAD_LETTER_SUFFIX);
        match wanted {
            Some(wanted) => is_letter && short.eq_ignore_ascii_case(wanted),
            None => !is_letter && short.eq_ignore_ascii_case(name),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Vec<Topic> {
        let topic = |name: &str| Topic {
            name: name.to_owned(),
            partitions: vec![0],
        };
        EventType::topics()
            .map(topic)
            .chain([topic("mine")])
            .collect()
    }

    #[test]
    fn topics_of_the_pipeline_go_by_their_event_s_name_too() {
        let topics = topics();
        for (given, meant) in [
            ("order.OrderCreated.v1", "order.OrderCreated.v1"),
            ("OrderCreated", "order.OrderCreated.v1"),
            ("ordercreated.dlq", "order.OrderCreated.v1.dlq"),
            ("order.OrderCreated.v1.dlq", "order.OrderCreated.v1.dlq"),
            ("mine", "mine"),
        ] {
            assert_eq!(find(given, &topics).unwrap().name, meant);
        }
    }

    #[test]
    fn a_name_that_is_none_gets_those_that_are_like_it() {
        let error = find("shipped", &topics()).unwrap_err().to_string();
        assert!(
            error.contains("is it shipping.OrderShipped.v1 or"),
            "{error}"
        );
        let error = find("nothing-like-it", &topics()).unwrap_err().to_string();
        assert!(error.contains("sagaline topics"), "{error}");
    }

    #[tokio::test]
    async fn a_broker_that_is_not_there_is_named_with_what_to_do() {
        // Bound and closed again: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let brokers: KafkaBrokers = port.local_addr().unwrap().to_string().parse().unwrap();
        drop(port);
        let error = reach(&brokers).await.unwrap_err().to_string();
        assert!(
            error.contains(brokers.as_str()) && error.contains("sagaline up"),
            "{error}"
        );
    }
}
