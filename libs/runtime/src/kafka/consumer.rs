//! A consumer group member on a thread of its own.
//!
//! librdkafka wants to be polled, or it leaves the group; a batch may take long, for instance in an outage. So a thread
//! polls: it collects a batch, hands it over, and until that is done it keeps polling with all partitions paused. When partitions
//! are taken away while a batch is in hand, the thread waits (for a bounded time) until it is done, and commits, before
//! it lets go: the next owner starts where this one ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::gather::{ERRORS_MAX, gather};
use super::places::Own;
use super::standstill::Watch;
use super::{KafkaOptions, settings};
use crate::{BrokerError, Consumer, Inbound};

const POLL: Duration = Duration::from_millis(100);
/// How long a batch may take before the thread pauses the partitions and polls on.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a revocation waits for the batch in hand.
const HANDOVER: Duration = Duration::from_secs(5);

pub(super) fn config(
    mut config: ClientConfig,
    group: &str,
    options: &KafkaOptions,
) -> ClientConfig {
    config
        .set("group.id", group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", options.session_timeout_ms.to_string())
        .set(
            "heartbeat.interval.ms",
            (options.session_timeout_ms / 5).to_string(),
        )
        .set("auto.offset.reset", "earliest")
        // What is stored is committed in the background; it is stored only when its effects are durable.
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "500")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "false")
        // A producer may know of new partitions at once. What it sends there waits for a group that learns of them later, and its order
        // has half a minute.
        .set("topic.metadata.refresh.interval.ms", "5000")
        // An answer comes as soon as there is a message; without one this is how often an idle service asks.
        .set("fetch.wait.max.ms", "250")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.min.messages", "5000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", "2097152");
    if let Some(instance_id) = &options.instance_id {
        config.set("group.instance.id", instance_id);
    }
    config
}

/// Whether a batch is in hand.
#[derive(Default)]
struct InHand {
    busy: Mutex<bool>,
    idle: Condvar,
}

impl InHand {
    fn begin(&self) {
        *self.busy.lock() = true;
    }

    fn end(&self) {
        *self.busy.lock() = false;
        self.idle.notify_all();
    }

    /// Waits until no batch is in hand; says whether that is so.
    fn wait_idle(&self, limit: Duration) -> bool {
        let mut busy = self.busy.lock();
        if *busy {
            self.idle.wait_for(&mut busy, limit);
        }
        !*busy
    }
}

struct Membership {
    in_hand: Arc<InHand>,
    joined: Arc<AtomicBool>,
    own: Arc<Own>,
}

impl ClientContext for Membership {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "kafka client");
    }
}

impl ConsumerContext for Membership {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // An assignment of nothing is one, too: there may be more members than partitions.
        if let Rebalance::Assign(partitions) = rebalance {
            self.joined.store(true, Ordering::Release);
            self.own.add(partitions);
        }
    }

    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(partitions) = rebalance else {
            return;
        };
        if partitions.count() == 0 {
            return;
        }
        self.own.remove(partitions);
        if !self.in_hand.wait_idle(HANDOVER) {
            tracing::warn!(
                "partitions are taken away with a batch in hand; the next owner handles it again"
            );
        }
        // Nothing stored since the last commit is no error.
        if let Err(error) = consumer.commit_consumer_state(CommitMode::Sync) {
            tracing::debug!(error = %error, "nothing to commit before the partitions go");
        }
    }
}

type Member = BaseConsumer<Membership>;

pub(super) struct KafkaConsumer {
    member: Arc<Member>,
    joined: Arc<AtomicBool>,
    in_hand: Arc<InHand>,
    stop: Arc<AtomicBool>,
    batches: mpsc::Receiver<Result<Vec<Inbound>, BrokerError>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl KafkaConsumer {
    pub(super) fn start(
        config: &ClientConfig,
        topics: &[&str],
        batch_max: usize,
        watch: Watch,
    ) -> Result<Self, BrokerError> {
        let in_hand = Arc::new(InHand::default());
        let joined = Arc::new(AtomicBool::new(false));
        let own = Arc::new(Own::default());
        let context = Membership {
            in_hand: Arc::clone(&in_hand),
            joined: Arc::clone(&joined),
            own: Arc::clone(&own),
        };
        let member: Arc<Member> = Arc::new(config.create_with_context(context).map_err(settings)?);
        member.subscribe(topics).map_err(settings)?;
        let (sender, batches) = mpsc::channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let poller = Poller {
            member: Arc::clone(&member),
            in_hand: Arc::clone(&in_hand),
            stop: Arc::clone(&stop),
            batches: sender,
            names: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            batch_max,
            own,
            watch,
        };
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poller.run())
            .map_err(|error| BrokerError::Settings {
                source: error.into(),
            })?;
        Ok(Self {
            member,
            joined,
            in_hand,
            stop,
            batches,
            thread: Some(thread),
        })
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        self.batches.recv().await.transpose()
    }

    fn joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }

    async fn done(&mut self, batch: &[Inbound]) {
        let mut last: Vec<&Inbound> = Vec::new();
        for message in batch {
            let same = |other: &&mut &Inbound| {
                other.partition == message.partition && other.topic == message.topic
            };
            match last.iter_mut().find(same) {
                Some(earlier) => *earlier = message,
                None => last.push(message),
            }
        }
        for message in last {
            // The partition may have been taken away meanwhile; then it is the next owner's to commit.
            if let Err(error) =
                self.member
                    .store_offset(&message.topic, message.partition, message.offset)
            {
                tracing::debug!(error = %error, topic = %message.topic, "an offset was not stored");
            }
        }
        self.in_hand.end();
    }

    fn retain_assigned(&self, batch: &mut Vec<Inbound>) {
        let Ok(assignment) = self.member.assignment() else {
            return;
        };
        batch.retain(|message| {
            assignment
                .find_partition(&message.topic, message.partition)
                .is_some()
        });
    }

    async fn close(mut self: Box<Self>, limit: Duration) {
        self.stop.store(true, Ordering::Release);
        self.in_hand.end();
        self.batches.close();
        let (member, thread) = (Arc::clone(&self.member), self.thread.take());
        drop(self);
        let (closed, closing) = oneshot::channel::<()>();
        // A thread that nobody waits for in the end: a client that stands still may never come to its own.
        let spawned = std::thread::Builder::new().name("kafka-close".to_owned());
        let spawned = spawned.spawn(move || {
            if let Some(thread) = thread
                && thread.join().is_err()
            {
                tracing::error!("the thread that polls Kafka panicked");
            }
            // While the group rebalances a commit may be refused: then the next owner handles some messages again.
            if let Err(error) = member.commit_consumer_state(CommitMode::Sync) {
                tracing::debug!(error = %error, "nothing was committed at the end");
            }
            // Dropping the last handle leaves the group.
            drop(member);
            drop(closed);
        });
        if let Err(error) = spawned {
            tracing::warn!(error = %error, "there is no thread to leave the consumer group; the broker will notice by itself");
        } else if tokio::time::timeout(limit, closing).await.is_err() {
            tracing::warn!(
                "leaving the consumer group took too long; the broker will notice by itself"
            );
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.in_hand.end();
    }
}

struct Poller {
    member: Arc<Member>,
    in_hand: Arc<InHand>,
    stop: Arc<AtomicBool>,
    batches: mpsc::Sender<Result<Vec<Inbound>, BrokerError>>,
    names: Vec<Arc<str>>,
    batch_max: usize,
    own: Arc<Own>,
    watch: Watch,
}

impl Poller {
    fn run(mut self) {
        while !self.stopped() {
            let mut polled = self.collect();
            if matches!(&polled, Ok(batch) if batch.is_empty()) {
                let looked = self.watch.look(|| self.own.next());
                if let Err(error) = looked {
                    polled = Err(error);
                }
            }
            let handed_over = match polled {
                Ok(batch) if batch.is_empty() => continue,
                Ok(batch) => {
                    self.own.read(&batch);
                    self.in_hand.begin();
                    self.batches.blocking_send(Ok(batch))
                }
                Err(error) => self.batches.blocking_send(Err(error)),
            };
            if handed_over.is_err() {
                // Nobody takes this batch any more, so nobody will say that it is done.
                self.in_hand.end();
                return;
            }
            if self.wait_until_done() {
                self.watch.excuse();
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The first message is waited for; the others of the batch are there already.
    fn collect(&self) -> Result<Vec<Inbound>, BrokerError> {
        if let Some((_, reason)) = self.member.client().fatal_error() {
            return Err(BrokerError::Replaced { reason });
        }
        gather(&self.member, POLL, self.batch_max, |message| {
            self.own(message)
        })
    }

    fn own(&self, message: &BorrowedMessage<'_>) -> Inbound {
        let known = self.names.iter().find(|name| ***name == *message.topic());
        Inbound {
            topic: known.map_or_else(|| Arc::from(message.topic()), Arc::clone),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
        }
    }

    /// Keeps the membership alive while a batch is in hand. Says whether that took so long that nothing could be read meanwhile.
    fn wait_until_done(&self) -> bool {
        // All that was ever paused here: a partition stays paused when it is taken away and comes back, and at the end it may
        // be in between.
        let mut paused: Vec<TopicPartitionList> = Vec::new();
        let mut all_paused = false;
        while !self
            .in_hand
            .wait_idle(if all_paused { POLL } else { PATIENCE })
            && !self.stopped()
        {
            if !all_paused
                && let Ok(partitions) = self.member.assignment()
                && self.member.pause(&partitions).is_ok()
            {
                all_paused = true;
                paused.push(partitions);
            }
            // With everything paused this only serves heartbeats and rebalances, and takes errors, which come again if they last.
            // A partition that is assigned meanwhile is not paused: what comes from it is put back.
            let mut events = (0..ERRORS_MAX).map_while(|_| self.member.poll(Duration::ZERO));
            if let Some(message) = events.find_map(Result::ok) {
                self.put_back(&message);
                all_paused = false;
            }
        }
        let long = !paused.is_empty();
        for partitions in paused {
            if let Err(error) = self.member.resume(&partitions) {
                tracing::warn!(error = %error, "partitions could not be resumed");
            }
        }
        long
    }

    fn put_back(&self, message: &BorrowedMessage<'_>) {
        let offset = rdkafka::Offset::Offset(message.offset());
        if let Err(error) = self.member.seek(
            message.topic(),
            message.partition(),
            offset,
            Duration::from_secs(1),
        ) {
            tracing::warn!(error = %error, topic = message.topic(), "a message could not be put back; it comes again after the next rebalance");
        }
    }
}
