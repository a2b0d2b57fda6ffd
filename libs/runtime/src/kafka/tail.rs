//! Topics from where they end now, in no group.
//!
//! Where they end is asked before anything is read, and said to the client as numbers: told to begin "at the end" it would look that up
//! by itself, later, and leave out what was published in between.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::replay::{self, Reader};
use super::settings;
use crate::{BrokerError, Inbound, Tail};

const LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// How soon it is noticed that a topic has more partitions.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) fn config(config: ClientConfig) -> ClientConfig {
    let mut config = replay::config(config);
    config.set("enable.partition.eof", "false");
    config
}

pub(super) struct KafkaTail {
    batches: mpsc::Receiver<Result<Vec<Inbound>, BrokerError>>,
    stop: Arc<AtomicBool>,
}

impl KafkaTail {
    pub(super) async fn start(
        config: ClientConfig,
        topics: &[&str],
        batch_max: usize,
    ) -> Result<Self, BrokerError> {
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        let (sender, batches) = mpsc::channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let started = tokio::task::spawn_blocking(move || {
            let reader: Reader = config.create_with_context(super::Quiet).map_err(settings)?;
            let spans = replay::spans(&reader, &topics)?;
            let mut poller = Poller {
                reader,
                topics,
                known: HashSet::new(),
                looked: Instant::now(),
                batches: sender,
                stop: stopped,
                batch_max,
            };
            let ends = spans.into_iter().flatten();
            let ends = ends.map(|span| (span.topic, span.partition, Offset::Offset(span.end)));
            poller.follow(ends.collect()).map_err(settings)?;
            std::thread::Builder::new()
                .name("kafka-tail".to_owned())
                .spawn(move || poller.run())
                .map_err(|error| BrokerError::Settings {
                    source: error.into(),
                })
        });
        started
            .await
            .map_err(|error| BrokerError::unavailable("say where topics end", error))??;
        Ok(Self { batches, stop })
    }
}

#[async_trait]
impl Tail for KafkaTail {
    async fn next(&mut self) -> Result<Vec<Inbound>, BrokerError> {
        match self.batches.recv().await {
            Some(batch) => batch,
            // The thread lives as long as this does.
            None => Err(BrokerError::unavailable(
                "hand out messages",
                "the thread that polls Kafka has ended",
            )),
        }
    }
}

impl Drop for KafkaTail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// A thread of its own, because librdkafka has to be polled.
struct Poller {
    reader: Reader,
    topics: Vec<Arc<str>>,
    /// The partitions that are read.
    known: HashSet<(Arc<str>, i32)>,
    looked: Instant,
    batches: mpsc::Sender<Result<Vec<Inbound>, BrokerError>>,
    stop: Arc<AtomicBool>,
    batch_max: usize,
}

impl Poller {
    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            self.look_for_partitions();
            let collected = self.collect();
            let is_nothing = collected.as_ref().is_ok_and(Vec::is_empty);
            // It waits while the last one is handled; what is not fetched meanwhile stands in Kafka.
            if !is_nothing && self.batches.blocking_send(collected).is_err() {
                return;
            }
        }
    }

    /// Reads these partitions as well.
    fn follow(&mut self, places: Vec<(Arc<str>, i32, Offset)>) -> KafkaResult<()> {
        let mut added = TopicPartitionList::with_capacity(places.len());
        for (topic, partition, from) in &places {
            added.add_partition_offset(topic, *partition, *from)?;
        }
        self.reader.incremental_assign(&added)?;
        let places = places.into_iter();
        self.known
            .extend(places.map(|(topic, partition, _)| (topic, partition)));
        Ok(())
    }

    /// Takes in partitions that topics have got since, from their beginning.
    fn look_for_partitions(&mut self) {
        if self.looked.elapsed() < LOOK_INTERVAL {
            return;
        }
        self.looked = Instant::now();
        let metadata = match self.reader.fetch_metadata(None, LIMIT) {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::debug!(error = %error, "nobody knows whether there are more partitions");
                return;
            }
        };
        let mut added = Vec::new();
        for topic in metadata.topics() {
            let Some(name) = self.topics.iter().find(|name| ***name == *topic.name()) else {
                continue;
            };
            let places = topic.partitions().iter();
            added.extend(places.map(|partition| (Arc::clone(name), partition.id())));
        }
        added.retain(|place| !self.known.contains(place));
        if added.is_empty() {
            return;
        }
        let added = added.into_iter();
        let added = added.map(|(topic, partition)| (topic, partition, Offset::Beginning));
        if let Err(error) = self.follow(added.collect()) {
            tracing::warn!(error = %error, "new partitions are not followed yet");
        }
    }

    /// The first message is waited for; the others of the batch are there already.
    fn collect(&self) -> Result<Vec<Inbound>, BrokerError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut wait = POLL;
        while batch.len() < self.batch_max && bytes < BATCH_BYTES_MAX {
            match self.reader.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    bytes += message.payload_len();
                    batch.push(replay::own(&message));
                    wait = Duration::ZERO;
                }
                // What was collected is handed on first; the error comes again if it lasts.
                Some(Err(_)) if !batch.is_empty() => break,
                Some(Err(error)) => {
                    return Err(BrokerError::unavailable("hand out messages", error));
                }
            }
        }
        Ok(batch)
    }
}
