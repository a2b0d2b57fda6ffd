//! The broker as the runtime sees it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sagaline_contracts::{Event, EventType};
use sagaline_saga::Emission;

/// A message that was received.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value, if it has one.
    pub value: Option<Bytes>,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The topic's name.
    pub topic: Cow<'static, str>,
    /// The key; empty for none.
    pub key: String,
    /// The value.
    pub value: Bytes,
}

impl Outbound {
    /// An event on its way to its topic.
    pub fn event(event: &Event) -> Self {
        Self {
            topic: event.event_type().as_str().into(),
            key: event.key().to_owned(),
            value: event.encode().into(),
        }
    }

    /// An emission of the order `key`.
    pub fn emission(key: &str, emission: &Emission) -> Self {
        // Nearly every topic is one of ours, and has a static name.
        let topic = EventType::parse(&emission.topic).map_or_else(
            || Cow::Owned(emission.topic.clone()),
            |kind| Cow::Borrowed(kind.as_str()),
        );
        Self {
            topic,
            key: key.to_owned(),
            value: Bytes::copy_from_slice(emission.event.get().as_bytes()),
        }
    }
}

/// Why the broker could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker is down, unreachable or too slow: an outage, to be waited out.
    #[error("the broker is unavailable while it should {operation}; wait for it, then try again")]
    Unavailable {
        /// What was asked.
        operation: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The broker will not take some of the messages, however often they are published: they are too large for it, or it
    /// checks what it takes. All the others are acknowledged.
    #[error(
        "the broker refuses {} of the messages for good ({}); raise max.message.bytes of their topics, or see what the broker checks",
        refused.len(),
        refused.first().map_or("", |first| &first.reason)
    )]
    Refused {
        /// Which ones, in the order in which they were given.
        refused: Vec<RefusedMessage>,
    },
    /// The client cannot be made with these settings.
    #[error("the broker's client refuses its settings; check the broker's addresses")]
    Settings {
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This consumer's place in the group was given to another one with the same instance id: a second process, or this one itself
    /// when the broker crashed before it could say so.
    #[error(
        "the place in the consumer group was given to another consumer with the same instance id ({reason}); \
         if this comes again, give every instance an id of its own"
    )]
    Replaced {
        /// What the client said.
        reason: String,
    },
    /// This consumer got nothing for long of what the broker has for it.
    #[error(
        "the client of the group {group} stands still: {topic}/{partition} has {messages} messages for it, and it gets none; it is replaced. \
         If this comes again, see whether the broker that leads this partition answers"
    )]
    StoodStill {
        /// The consumer group.
        group: String,
        /// The topic, of those that it does not get, that has waited longest.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many messages wait there.
        messages: i64,
    },
    /// The topics are not as the pipeline needs them.
    #[error("{0}")]
    Topics(String),
}

/// A message that the broker will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMessage {
    /// Its position among those that were published.
    pub at: usize,
    /// What the broker, or its client, said.
    pub reason: String,
}

impl BrokerError {
    /// An outage during `operation`.
    pub fn unavailable(
        operation: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            operation: operation.into(),
            source: source.into(),
        }
    }
}

/// A broker: Kafka, Redpanda, the embedded one, or a simulated one.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// A producer; `name` stands in the broker's logs.
    async fn producer(&self, name: &str) -> Result<Arc<dyn Producer>, BrokerError>;

    /// A consumer of `topics` in the consumer group `group`, from the group's committed offsets on, or from the beginning.
    async fn consumer(
        &self,
        group: &str,
        topics: &[&str],
    ) -> Result<Box<dyn Consumer>, BrokerError>;

    /// A reading of `topics` from where they begin to where they end now, in no group. A broker that keeps nothing has none.
    async fn replay(&self, topics: &[&str]) -> Result<Box<dyn Replay>, BrokerError> {
        Err(BrokerError::Topics(format!(
            "this broker cannot give again what {} topics had",
            topics.len()
        )))
    }

    /// A reading of `topics`, every partition, from where the consumer group `group` has committed them, without being in it: all that
    /// the group has yet to do, and what is published from now on. A broker that tells only members has none.
    async fn tail(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Tail>, BrokerError> {
        Err(BrokerError::Topics(format!(
            "this broker tells what {} topics get to members of {group} alone",
            topics.len()
        )))
    }

    /// Makes sure that the pipeline's topics exist, all with the same number of partitions: `partitions`, or what is there.
    async fn ensure_topics(&self, topics: &[&str], partitions: i32) -> Result<(), BrokerError>;

    /// Whether the broker answers now.
    async fn ping(&self) -> Result<(), BrokerError>;

    /// How far consumer groups are behind, without those of which it cannot be said now; nothing from a broker that does not know it.
    async fn lag(&self, _groups: &[String]) -> Result<Option<Vec<GroupLag>>, BrokerError> {
        Ok(None)
    }
}

/// How far a consumer group is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// The group.
    pub group: String,
    /// Messages that it has yet to read, by topic. It has none of a topic that it does not read.
    pub topics: BTreeMap<String, u64>,
}

/// What a partition has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The first offset that is still there.
    pub first: i64,
    /// One after the last offset.
    pub end: i64,
}

/// Reads topics once, from where they begin to where they ended when the reading was made.
#[async_trait]
pub trait Replay: Send {
    /// What is read.
    fn spans(&self) -> &[Span];

    /// The next messages, in each partition's order; empty when none came for a while, `None` when every partition was read
    /// to its end. After an error it may be asked again.
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError>;
}

/// Reads topics from where a group has committed them, without an end.
#[async_trait]
pub trait Tail: Send {
    /// The next messages, in each partition's order. Dropping the future loses nothing. After an error it is asked again, and has left
    /// nothing out.
    async fn next(&mut self) -> Result<Vec<Inbound>, BrokerError>;
}

/// Publishes messages.
#[async_trait]
pub trait Producer: Send + Sync + 'static {
    /// Publishes messages in order and returns when every one is acknowledged by all in-sync replicas. A dead letter that is
    /// too large for the broker is published without what it repeats of its message.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] names the messages that will never be taken; all the others are acknowledged. After any other
    /// error some may have been published: publish all again, with the same ids.
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError>;
}

/// Receives messages in a consumer group.
#[async_trait]
pub trait Consumer: Send {
    /// The next messages, in each partition's order; empty when none came for a while, `None` when the consumer is closed.
    /// Dropping the future loses nothing. A batch must be [done](Consumer::done) before the next one is asked for.
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError>;

    /// Whether the group has taken this member in: from then on messages come as they are published.
    fn joined(&self) -> bool {
        true
    }

    /// What the last batch caused is durable: its offsets may be committed.
    async fn done(&mut self, batch: &[Inbound]);

    /// Drops messages of partitions that were taken away from this consumer since they were received: another one gets them.
    fn retain_assigned(&self, batch: &mut Vec<Inbound>);

    /// Commits what is done and leaves the group, within `limit`.
    async fn close(self: Box<Self>, limit: Duration);
}
