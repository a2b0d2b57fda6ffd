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
use crate::{BrokerError, Outbound, Producer, RefusedMessage, dead_letter};

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

/// What became of a message that was not taken: its position, and why.
type Failure = (usize, KafkaError);

/// Counts the acknowledgements of one `publish`.
struct Pending {
    left: usize,
    failures: Vec<Failure>,
    done: Option<oneshot::Sender<Vec<Failure>>>,
}

impl Pending {
    fn settle(&mut self, failure: Option<Failure>) {
        self.left = self.left.saturating_sub(1);
        self.failures.extend(failure);
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            // Nobody waits any more when the publisher gave up; the messages are acknowledged all the same.
            let _ = done.send(std::mem::take(&mut self.failures));
        }
    }
}

/// One message of a `publish`.
struct Ticket {
    at: usize,
    pending: Arc<Mutex<Pending>>,
}

/// Whether the broker, or its client, will not take a message however often it is sent. Everything else is waited out: also
/// what an operator has to mend, a missing right for instance, because it is not the message's fault.
fn is_for_good(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
        )
    )
}

struct Acknowledge;

impl ClientContext for Acknowledge {
    fn error(&self, error: KafkaError, reason: &str) {
        // Whoever publishes hears of it, and says it once.
        tracing::debug!(error = %error, reason, "kafka client");
    }
}

impl ProducerContext for Acknowledge {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Self::DeliveryOpaque) {
        let failure = result.as_ref().err().map(|(error, _)| error.clone());
        let failure = failure.map(|error| (ticket.at, error));
        ticket.pending.lock().settle(failure);
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

fn unavailable(messages: usize, error: KafkaError) -> BrokerError {
    BrokerError::unavailable(format!("publish {messages} messages"), error)
}

impl KafkaProducer {
    /// Sends messages; gives those that will never be taken.
    async fn send_all(&self, messages: &[Outbound]) -> Result<Vec<Failure>, BrokerError> {
        let client = Arc::clone(&self.client.read());
        let (done, settled) = oneshot::channel();
        let pending = Arc::new(Mutex::new(Pending {
            left: messages.len(),
            failures: Vec::new(),
            done: Some(done),
        }));
        for (at, message) in messages.iter().enumerate() {
            let pending = Arc::clone(&pending);
            send(&client, message, Ticket { at, pending }).await;
        }
        client.bell.ring(false);
        let failure = match tokio::time::timeout(ACKNOWLEDGED_LIMIT, settled).await {
            Ok(Ok(failures)) if failures.is_empty() => return Ok(failures),
            Ok(Ok(failures)) => {
                if client.producer.client().fatal_error().is_some() {
                    self.replace(&client)?;
                }
                match failures.iter().find(|(_, error)| !is_for_good(error)) {
                    None => return Ok(failures),
                    Some((_, error)) => error.clone(),
                }
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
        Err(unavailable(messages.len(), failure))
    }

    /// Sends one message alone, and a dead letter also without what it repeats; says why it will never be taken.
    async fn send_alone(&self, message: &Outbound) -> Result<Option<KafkaError>, BrokerError> {
        let as_it_is = self.send_all(std::slice::from_ref(message)).await?.pop();
        let Some((_, refused)) = as_it_is else {
            return Ok(None);
        };
        let Some(shorter) = dead_letter::without_message(message) else {
            return Ok(Some(refused));
        };
        let shortened = self.send_all(&[shorter]).await?.pop();
        Ok(shortened.map(|(_, refused)| refused))
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut refused = Vec::new();
        // The broker refuses what was sent together as a whole: whose fault it is, is seen when each goes alone.
        for (at, _) in self.send_all(&messages).await? {
            let Some(message) = messages.get(at) else {
                continue;
            };
            if let Some(error) = self.send_alone(message).await? {
                let reason = format!(
                    "{} bytes to {}: {error}",
                    message.value.len(),
                    message.topic
                );
                refused.push(RefusedMessage { at, reason });
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        refused.sort_unstable_by_key(|one| one.at);
        Err(BrokerError::Refused { refused })
    }
}

/// Queues one message; waits while the queue is full. What cannot be queued counts as settled.
async fn send(client: &Client, message: &Outbound, ticket: Ticket) {
    let mut record =
        BaseRecord::with_opaque_to(&message.topic, Box::new(ticket)).payload(&message.value[..]);
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
            Err((error, refused)) => {
                let ticket = refused.delivery_opaque;
                ticket.pending.lock().settle(Some((ticket.at, error)));
                return;
            }
        }
    }
}
