//! Topics from where a consumer group has committed them, without being in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::gather::gather;
use super::observers::end;
use super::places::{self, Next, Place};
use super::replay::{self, Reader};
use super::standstill::Watch;
use super::{Quiet, settings};
use crate::{BrokerError, Inbound, Tail};

const LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// How soon it is noticed that a topic has more partitions.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// The group is asked what it has committed. It is not joined, and nothing is committed to it.
pub(super) fn config(config: ClientConfig, group: &str) -> ClientConfig {
    let mut config = replay::config(config);
    config
        .set("group.id", group)
        .set("enable.partition.eof", "false");
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
        watch: Watch,
    ) -> Result<Self, BrokerError> {
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        let (sender, batches) = mpsc::channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let started = tokio::task::spawn_blocking(move || {
            let reader: Reader = config.create_with_context(Quiet).map_err(settings)?;
            let places = partitions(&reader, &topics)?;
            let begin = committed(&reader, &places)?;
            let mut poller = Poller {
                config,
                reader,
                topics,
                next: Next::new(),
                looked: Instant::now(),
                watch,
                batches: sender,
                stop: stopped,
                batch_max,
            };
            poller.follow(begin).map_err(settings)?;
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

/// The partitions that the topics have.
fn partitions(reader: &Reader, topics: &[Arc<str>]) -> Result<Vec<Place>, BrokerError> {
    let metadata = reader
        .fetch_metadata(None, LIMIT)
        .map_err(|error| BrokerError::unavailable("list its topics", error))?;
    let mut places = Vec::new();
    for topic in topics {
        let known = metadata.topics().iter();
        let known = known
            .clone()
            .find(|known| known.name() == &**topic)
            .ok_or_else(|| {
                BrokerError::Topics(format!("the broker has no topic {topic}: create it first"))
            })?;
        let partitions = known.partitions().iter();
        places.extend(partitions.map(|partition| (Arc::clone(topic), partition.id())));
    }
    Ok(places)
}

/// The same with where the group has got to; of what it has never committed, the beginning.
fn committed(
    reader: &Reader,
    places: &[Place],
) -> Result<Vec<(Arc<str>, i32, Offset)>, BrokerError> {
    let mut asked = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        asked.add_partition(topic, *partition);
    }
    let answered = reader
        .committed_offsets(asked, LIMIT)
        .map_err(|error| BrokerError::unavailable("say what a group has committed", error))?;
    let begin = places.iter().map(|(topic, partition)| {
        let known = answered.find_partition(topic, *partition);
        let offset = match known.map(|known| known.offset()) {
            Some(Offset::Offset(offset)) => Offset::Offset(offset),
            _ => Offset::Beginning,
        };
        (Arc::clone(topic), *partition, offset)
    });
    Ok(begin.collect())
}

/// A thread of its own, because librdkafka has to be polled.
struct Poller {
    config: ClientConfig,
    reader: Reader,
    topics: Vec<Arc<str>>,
    /// The partitions that are read.
    next: Next,
    looked: Instant,
    watch: Watch,
    batches: mpsc::Sender<Result<Vec<Inbound>, BrokerError>>,
    stop: Arc<AtomicBool>,
    batch_max: usize,
}

impl Poller {
    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            self.look_for_partitions();
            let collected = gather(&self.reader, POLL, self.batch_max, replay::own);
            let is_nothing = collected.as_ref().is_ok_and(Vec::is_empty);
            if is_nothing {
                self.watch();
            } else if let Ok(batch) = &collected {
                places::read(&mut self.next, batch);
            }
            // It waits while the last one is handled; what is not fetched meanwhile stands in Kafka.
            if !is_nothing && self.batches.blocking_send(collected).is_err() {
                return;
            }
        }
    }

    /// Goes on with another client if this one gets nothing of what is there.
    fn watch(&mut self) {
        let Err(error) = self.watch.look(|| self.next.clone()) else {
            return;
        };
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the reader of what other instances have saved is replaced"
        );
        match self.another() {
            Ok(reader) => end(std::mem::replace(&mut self.reader, reader)),
            Err(error) => tracing::warn!(error = %error, "it could not be replaced yet"),
        }
    }

    /// A reader from where this one has got to.
    fn another(&self) -> KafkaResult<Reader> {
        let mut places = TopicPartitionList::with_capacity(self.next.len());
        for ((topic, partition), next) in &self.next {
            // Where that is not there any more, from the first message that is.
            let from = Offset::Offset(next.unwrap_or(0));
            places.add_partition_offset(topic, *partition, from)?;
        }
        let reader: Reader = self.config.create_with_context(Quiet)?;
        reader.assign(&places)?;
        Ok(reader)
    }

    /// Reads these partitions as well.
    fn follow(&mut self, places: Vec<(Arc<str>, i32, Offset)>) -> KafkaResult<()> {
        let mut added = TopicPartitionList::with_capacity(places.len());
        for (topic, partition, from) in &places {
            added.add_partition_offset(topic, *partition, *from)?;
        }
        self.reader.incremental_assign(&added)?;
        for (topic, partition, from) in places {
            let next = match from {
                Offset::Offset(offset) => offset,
                _ => 0,
            };
            self.next.insert((topic, partition), Some(next));
        }
        Ok(())
    }

    /// Takes in partitions that topics have got since, from their beginning.
    fn look_for_partitions(&mut self) {
        if self.looked.elapsed() < LOOK_INTERVAL {
            return;
        }
        self.looked = Instant::now();
        let mut added = match partitions(&self.reader, &self.topics) {
            Ok(places) => places,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "nobody knows whether there are more partitions"
                );
                return;
            }
        };
        added.retain(|place| !self.next.contains_key(place));
        if added.is_empty() {
            return;
        }
        let added = added.into_iter();
        let added = added.map(|(topic, partition)| (topic, partition, Offset::Beginning));
        if let Err(error) = self.follow(added.collect()) {
            tracing::warn!(error = %error, "new partitions are not followed yet");
        }
    }
}
