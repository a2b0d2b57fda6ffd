//! Topics from where they begin to where they end now, in no group.
//!
//! They are read one after the other: librdkafka says that a partition has no more by its number alone, and its last offset may
//! hold no message (the mark of a transaction, or what compaction has taken away).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::Instant;

use super::{Quiet, settings};
use crate::{BrokerError, Inbound, Replay, Span};

const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// How long a partition is given to find out who leads it, before it is asked again.
const ELECTION_PAUSE: Duration = Duration::from_millis(50);
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) type Reader = BaseConsumer<Quiet>;

pub(super) fn config(mut config: ClientConfig) -> ClientConfig {
    config
        // Never joined, and nothing is committed to it; the client wants one.
        .set("group.id", "sagaline-replay")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", "2097152");
    config
}

pub(super) struct KafkaReplay {
    reader: Arc<Reader>,
    spans: Vec<Span>,
    /// Topics that are not begun.
    topics: VecDeque<Vec<Span>>,
    /// What is not read to its end of the topic that is read.
    open: Vec<Span>,
    batch_max: usize,
}

impl KafkaReplay {
    pub(super) async fn start(
        config: ClientConfig,
        topics: &[&str],
        batch_max: usize,
    ) -> Result<Self, BrokerError> {
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        let looked_up = tokio::task::spawn_blocking(move || {
            let reader: Reader = config.create_with_context(Quiet).map_err(settings)?;
            let by_topic = spans(&reader, &topics)?;
            Ok::<_, BrokerError>((reader, by_topic))
        });
        let (reader, by_topic) = looked_up
            .await
            .map_err(|error| BrokerError::unavailable("say where topics end", error))??;
        let spans = by_topic.iter().flatten().cloned().collect();
        let unread = by_topic.into_iter().map(|mut topic| {
            topic.retain(|span| span.first < span.end);
            topic
        });
        Ok(Self {
            reader: Arc::new(reader),
            spans,
            topics: unread.filter(|topic| !topic.is_empty()).collect(),
            open: Vec::new(),
            batch_max,
        })
    }

    fn begin(&mut self, topic: Vec<Span>) -> Result<(), BrokerError> {
        let mut partitions = TopicPartitionList::new();
        for span in &topic {
            let first = Offset::Offset(span.first);
            partitions
                .add_partition_offset(&span.topic, span.partition, first)
                .map_err(settings)?;
        }
        self.reader.assign(&partitions).map_err(settings)?;
        self.open = topic;
        Ok(())
    }

    /// Whether the message belongs to what is read; with it a partition may be at its end.
    fn takes(&mut self, message: &Inbound) -> bool {
        let is_its =
            |span: &Span| span.partition == message.partition && span.topic == message.topic;
        let Some(at) = self.open.iter().position(is_its) else {
            return false;
        };
        let end = self.open[at].end;
        if message.offset + 1 >= end {
            self.open.swap_remove(at);
        }
        message.offset < end
    }
}

#[async_trait]
impl Replay for KafkaReplay {
    fn spans(&self) -> &[Span] {
        &self.spans
    }

    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        if self.open.is_empty() {
            let Some(topic) = self.topics.pop_front() else {
                return Ok(None);
            };
            self.begin(topic)?;
        }
        let (reader, batch_max) = (Arc::clone(&self.reader), self.batch_max);
        let collected = tokio::task::spawn_blocking(move || collect(&reader, batch_max)).await;
        let (mut batch, ended) =
            collected.map_err(|error| BrokerError::unavailable("hand out messages", error))??;
        batch.retain(|message| self.takes(message));
        self.open.retain(|span| !ended.contains(&span.partition));
        Ok(Some(batch))
    }
}

/// What the partitions have, by topic.
pub(super) fn spans(reader: &Reader, topics: &[Arc<str>]) -> Result<Vec<Vec<Span>>, BrokerError> {
    let metadata = reader
        .fetch_metadata(None, LIMIT)
        .map_err(|error| BrokerError::unavailable("list its topics", error))?;
    let give_up = Instant::now() + LIMIT;
    let mut by_topic = Vec::with_capacity(topics.len());
    for topic in topics {
        let known = metadata
            .topics()
            .iter()
            .find(|known| known.name() == &**topic);
        let known = known.ok_or_else(|| {
            BrokerError::Topics(format!("the broker has no topic {topic}: create it first"))
        })?;
        let mut of_topic = Vec::with_capacity(known.partitions().len());
        for partition in known.partitions() {
            let (first, end) = watermarks(reader, topic, partition.id(), give_up)
                .map_err(|error| BrokerError::unavailable("say where topics end", error))?;
            of_topic.push(Span {
                topic: Arc::clone(topic),
                partition: partition.id(),
                first,
                end,
            });
        }
        by_topic.push(of_topic);
    }
    Ok(by_topic)
}

/// Where a partition begins and ends. That its leader is only being made or changed is waited out: a broker shows a new partition, and
/// names who leads it, a little before that one knows; and a broker that is stopped hands its partitions on.
fn watermarks(
    reader: &Reader,
    topic: &str,
    partition: i32,
    give_up: Instant,
) -> Result<(i64, i64), KafkaError> {
    loop {
        match reader.fetch_watermarks(topic, partition, LIMIT) {
            Err(error) if is_between_leaders(&error) && Instant::now() < give_up => {
                std::thread::sleep(ELECTION_PAUSE);
            }
            done => return done,
        }
    }
}

fn is_between_leaders(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::OffsetNotAvailable
        )
    )
}

/// The first message is waited for; the others of the batch are there already. Also gives the partitions that have no more.
fn collect(reader: &Reader, batch_max: usize) -> Result<(Vec<Inbound>, Vec<i32>), BrokerError> {
    let (mut batch, mut ended, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut wait = POLL;
    while batch.len() < batch_max && bytes < BATCH_BYTES_MAX {
        match reader.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                bytes += message.payload_len();
                batch.push(own(&message));
                wait = Duration::ZERO;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => ended.push(partition),
            // What was collected is handed on first; the error comes again if it lasts.
            Some(Err(_)) if !batch.is_empty() || !ended.is_empty() => break,
            Some(Err(error)) => return Err(BrokerError::unavailable("hand out messages", error)),
        }
    }
    Ok((batch, ended))
}

pub(super) fn own(message: &BorrowedMessage<'_>) -> Inbound {
    Inbound {
        topic: Arc::from(message.topic()),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}
