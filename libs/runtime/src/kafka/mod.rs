//! The ports on a real broker, by librdkafka: Kafka, Redpanda, or the embedded one.

mod admin;
mod consumer;
mod gather;
pub mod lag;
mod metadata;
mod observers;
mod places;
mod producer;
mod replay;
mod standstill;
mod tail;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
// It is linked, and has nothing to call.
use librdkafka_mend as _;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

use crate::{Broker, BrokerError, Consumer, GroupLag, Producer, Replay, Tail};

use observers::Observers;
use standstill::{Known, Watch};

pub use metadata::{MetadataError, metadata};

/// How to reach the broker, and how to behave there. Its debug output has no values of the additional settings: there may be a
/// password among them.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// A batch is handed on when it has so many messages.
    pub batch_max: usize,
    /// How long a consumer may be silent before its partitions go to another one, in milliseconds.
    pub session_timeout_ms: u32,
    /// What this process is called in its consumer groups, if its successor after a crash is called the same. Then the broker
    /// gives the successor its partitions at once, instead of waiting for `session_timeout_ms` whether it still lives. No two
    /// living processes may be called the same.
    pub instance_id: Option<String>,
    /// How long the producer waits for more messages to send with the first, in milliseconds.
    pub linger_ms: f64,
    /// How long a consumer may get nothing of what is there for it. Then its client is taken to have come to a standstill, and is replaced.
    pub standstill: Duration,
    /// Additional settings of librdkafka, for instance for TLS and SASL.
    pub extra: Vec<(String, String)>,
}

impl KafkaOptions {
    /// The usual, for the broker at `brokers`.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            batch_max: 1_000,
            session_timeout_ms: 10_000,
            instance_id: None,
            linger_ms: 1.0,
            standstill: Duration::from_secs(30),
            extra: Vec::new(),
        }
    }

    /// What every client of this broker has in common, whatever it is for.
    pub fn client_config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", client_id)
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set("log.connection.close", "false");
        for (name, value) in &self.extra {
            config.set(name, value);
        }
        config
    }
}

impl std::fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let extra: Vec<&String> = self.extra.iter().map(|(name, _)| name).collect();
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("batch_max", &self.batch_max)
            .field("session_timeout_ms", &self.session_timeout_ms)
            .field("instance_id", &self.instance_id)
            .field("linger_ms", &self.linger_ms)
            .field("standstill", &self.standstill)
            .field("extra", &extra)
            .finish()
    }
}

/// A client that asks now and then whether the broker is there.
type PingClient = BaseConsumer<Quiet>;

/// Whether a broker is there is said by whoever asked it something; the client's own log says it many times a second.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "kafka client");
    }
}

impl ConsumerContext for Quiet {}

/// A real broker.
#[derive(Clone)]
pub struct KafkaBroker {
    options: KafkaOptions,
    pings: Arc<OnceLock<Arc<PingClient>>>,
    observers: Arc<Observers>,
    known: Known,
}

impl std::fmt::Debug for KafkaBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBroker")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl KafkaBroker {
    /// A broker that is not connected to yet.
    pub fn new(options: KafkaOptions) -> Self {
        Self {
            observers: Arc::new(Observers::new(options.client_config("lag"))),
            options,
            pings: Arc::default(),
            known: Known::default(),
        }
    }

    fn watch(&self, group: &str, known: Known) -> Watch {
        let observers = Arc::clone(&self.observers);
        Watch::new(group, observers, known, self.options.standstill)
    }
}

fn settings(error: rdkafka::error::KafkaError) -> BrokerError {
    BrokerError::Settings {
        source: error.into(),
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    async fn producer(&self, name: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        let config = producer::config(self.options.client_config(name), &self.options);
        let producer = producer::KafkaProducer::new(config)?;
        producer.warm_up().await?;
        Ok(Arc::new(producer))
    }

    async fn consumer(
        &self,
        group: &str,
        topics: &[&str],
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let config = consumer::config(self.options.client_config(group), group, &self.options);
        let watch = self.watch(group, Arc::clone(&self.known));
        Ok(Box::new(consumer::KafkaConsumer::start(
            &config,
            topics,
            self.options.batch_max,
            watch,
        )?))
    }

    async fn replay(&self, topics: &[&str]) -> Result<Box<dyn Replay>, BrokerError> {
        let config = replay::config(self.options.client_config("replay"));
        let replay = replay::KafkaReplay::start(config, topics, self.options.batch_max);
        Ok(Box::new(replay.await?))
    }

    async fn tail(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Tail>, BrokerError> {
        let config = tail::config(self.options.client_config("tail"), group);
        // What a member of the group could not read, this reader may.
        let watch = self.watch(group, Known::default());
        let tail = tail::KafkaTail::start(config, topics, self.options.batch_max, watch);
        Ok(Box::new(tail.await?))
    }

    async fn ensure_topics(&self, topics: &[&str], partitions: i32) -> Result<(), BrokerError> {
        admin::ensure_topics(&self.options.client_config("admin"), topics, partitions).await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        let client = if let Some(client) = self.pings.get() {
            Arc::clone(client)
        } else {
            let config = self.options.client_config("ping");
            let made = config.create_with_context(Quiet).map_err(settings)?;
            // Whoever was faster has made the one that is kept.
            Arc::clone(self.pings.get_or_init(|| Arc::new(made)))
        };
        admin::ping(client).await
    }

    async fn lag(&self, groups: &[String]) -> Result<Option<Vec<GroupLag>>, BrokerError> {
        let (observers, groups) = (Arc::clone(&self.observers), groups.to_owned());
        let asked = tokio::task::spawn_blocking(move || lag::ask(&observers, &groups));
        asked
            .await
            .map_err(|error| BrokerError::unavailable("say how far groups are behind", error))?
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_settings_reach_every_client_and_no_log() {
        let options = KafkaOptions {
            extra: vec![("sasl.password".to_owned(), "swordfish".to_owned())],
            ..KafkaOptions::new("127.0.0.1:9092")
        };
        let config = options.client_config("me");
        assert_eq!(config.get("sasl.password"), Some("swordfish"));
        let shown = format!("{:?}", KafkaBroker::new(options));
        assert!(
            shown.contains("sasl.password") && !shown.contains("swordfish"),
            "{shown}"
        );
    }
}
