//! An idempotent producer that waits for all in-sync replicas.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Condvar, Mutex, RwLock};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::oneshot;

use super::{KafkaOptions, settings};
use crate::{BrokerError, Outbound, Producer};

const METADATA_LIMIT: Duration = Duration::from_secs(5);
/// After `message.timeout.ms` the client has given up on a message, and says so soon.
const ACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(15);
/// How long the client is polled at a time while something is under way.
const POLL: Duration = Duration::from_millis(100);
/// How long it is left alone while nothing is.
const IDLE: Duration = Duration::from_secs(1);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);

pub(super) fn config(mut config: ClientConfig, options: &KafkaOptions) -> ClientConfig {
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", options.linger_ms.to_string())
        // As Java's default, so that a key has the same partition whoever produces.
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "10000")
        .set("message.max.bytes", "2000000")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "262144");
    config
}

/// Counts the acknowledgements of one `publish`.
struct Pending {
    left: usize,
    failure: Option<KafkaError>,
    done: Option<oneshot::Sender<Result<(), KafkaError>>>,
}

impl Pending {
    fn settle(&mut self, count: usize, failure: Option<KafkaError>) {
        self.left = self.left.saturating_sub(count);
        if self.failure.is_none() {
            self.failure = failure;
        }
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            // Nobody waits any more when the publisher gave up; the messages are acknowledged all the same.
            let _ = done.send(self.failure.take().map_or(Ok(()), Err));
        }
    }
}

struct Acknowledge;

impl ClientContext for Acknowledge {
    fn error(&self, error: KafkaError, reason: &str) {
        // Whoever publishes hears of it, and says it once.
        tracing::debug!(error = %error, reason, "kafka client");
    }
}

impl ProducerContext for Acknowledge {
    type DeliveryOpaque = Arc<Mutex<Pending>>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Self::DeliveryOpaque) {
        let failure = result.as_ref().err().map(|(error, _)| error.clone());
        pending.lock().settle(1, failure);
    }
}

/// A producer and the thread that takes its acknowledgements.
///
/// rdkafka's own `ThreadedProducer` polls all the time, 100 ms at a time, and the last millisecond of a poll is spent spinning: five
/// producers that had nothing to do took half of what an idle process took. This thread polls while something is under way.
struct Client {
    producer: Arc<BaseProducer<Acknowledge>>,
    bell: Arc<Bell>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Rings when a message was sent, and at the end.
#[derive(Default)]
struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    sent: bool,
    stop: bool,
}

impl Bell {
    fn ring(&self, stop: bool) {
        let mut state = self.state.lock();
        state.sent = true;
        state.stop |= stop;
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next ring, unless it has rung since the last time; says whether to go on.
    fn wait(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.sent {
            self.changed.wait_for(&mut state, limit);
        }
        state.sent = false;
        !state.stop
    }
}

impl Client {
    fn connect(config: &ClientConfig) -> Result<Self, BrokerError> {
        let producer: BaseProducer<Acknowledge> =
            config.create_with_context(Acknowledge).map_err(settings)?;
        let (producer, bell) = (Arc::new(producer), Arc::new(Bell::default()));
        let (polled, rung) = (Arc::clone(&producer), Arc::clone(&bell));
        let thread = std::thread::Builder::new()
            .name("kafka-acks".to_owned())
            .spawn(move || {
                // Without anything under way there are errors to take, which only the log wants.
                while rung.wait(if is_idle(&polled) {
                    IDLE
                } else {
                    Duration::ZERO
                }) {
                    polled.poll(if is_idle(&polled) {
                        Duration::ZERO
                    } else {
                        POLL
                    });
                }
            })
            .map_err(|error| BrokerError::Settings {
                source: error.into(),
            })?;
        Ok(Self {
            producer,
            bell,
            thread: Some(thread),
        })
    }
}

fn is_idle(producer: &BaseProducer<Acknowledge>) -> bool {
    producer.in_flight_count() == 0
}

impl Drop for Client {
    fn drop(&mut self) {
        self.bell.ring(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that takes Kafka's acknowledgements panicked");
        }
    }
}

pub(super) struct KafkaProducer {
    config: ClientConfig,
    client: RwLock<Arc<Client>>,
}

impl KafkaProducer {
    pub(super) fn new(config: ClientConfig) -> Result<Self, BrokerError> {
        let client = RwLock::new(Arc::new(Client::connect(&config)?));
        Ok(Self { config, client })
    }

    /// Connects and learns the topics' partitions: the first message of each topic would wait for that.
    pub(super) async fn warm_up(&self) -> Result<(), BrokerError> {
        let client = Arc::clone(&self.client.read());
        let fetched = tokio::task::spawn_blocking(move || {
            client
                .producer
                .client()
                .fetch_metadata(None, METADATA_LIMIT)
        })
        .await;
        match fetched {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(BrokerError::unavailable("connect a producer", error)),
            Err(ended) => Err(BrokerError::unavailable("connect a producer", ended)),
        }
    }

    /// An idempotent producer that met a fatal error (a truncated log, an expired id) is of no use any more.
    fn replace(&self, used: &Arc<Client>) -> Result<(), BrokerError> {
        let mut client = self.client.write();
        if Arc::ptr_eq(&client, used) {
            let replaced =
                std::mem::replace(&mut *client, Arc::new(Client::connect(&self.config)?));
            tokio::task::spawn_blocking(move || drop(replaced));
        }
        Ok(())
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if messages.is_empty() {
            return Ok(());
        }
        let client = Arc::clone(&self.client.read());
        let (done, acknowledged) = oneshot::channel();
        let pending = Arc::new(Mutex::new(Pending {
            left: messages.len(),
            failure: None,
            done: Some(done),
        }));
        for message in &messages {
            send(&client, message, &pending).await;
        }
        client.bell.ring(false);
        let failure = match tokio::time::timeout(ACKNOWLEDGED_LIMIT, acknowledged).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => {
                if client.producer.client().fatal_error().is_some() {
                    self.replace(&client)?;
                }
                error
            }
            Ok(Err(_)) => KafkaError::Canceled,
            // It is told of neither success nor failure any more: it hangs, and would for ever.
            Err(_) => {
                tracing::warn!(
                    "the Kafka producer says nothing about its messages: it is replaced"
                );
                self.replace(&client)?;
                KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)
            }
        };
        // The last one to hold a replaced client ends its threads, which takes a while.
        tokio::task::spawn_blocking(move || drop(client));
        Err(BrokerError::unavailable(
            format!("publish {} messages", messages.len()),
            failure,
        ))
    }
}

/// Queues one message; waits while the queue is full. What cannot be queued counts as settled.
async fn send(client: &Client, message: &Outbound, pending: &Arc<Mutex<Pending>>) {
    let mut record =
        BaseRecord::with_opaque_to(&message.topic, Arc::clone(pending)).payload(&message.value[..]);
    if !message.key.is_empty() {
        record = record.key(message.key.as_bytes());
    }
    loop {
        match client.producer.send(record) {
            Ok(()) => return,
            // The queue empties at the rate of acknowledgements, or of timeouts when the broker is away.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                client.bell.ring(false);
                tokio::time::sleep(QUEUE_FULL_PAUSE).await;
            }
            Err((error, _)) => {
                pending.lock().settle(1, Some(error));
                return;
            }
        }
    }
}
