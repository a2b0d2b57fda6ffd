//! What the broker can do on this machine, with unmodified librdkafka clients in the same process:
//! `throughput [DATA_DIR]`. Without a directory it measures memory mode.
#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement reads the clock and reports rounded figures"
)]

use futures::StreamExt;
use hdrhistogram::Histogram;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, FutureProducer, FutureRecord, Producer, ProducerContext,
    ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode;
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TOPICS: [&str; 8] = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];
const PARTITIONS: i32 = 4;
const RECORDS: u64 = 1_000_000;
const VALUE_BYTES: usize = 600;
const PACED_PER_SECOND: u64 = 2_000;
const PACED_SECONDS: u64 = 10;
const IDLE: Duration = Duration::from_secs(10);
/// The kernel's unit of processor time.
const TICKS_PER_SECOND: f64 = 100.0;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let data_dir = std::env::args().nth(1).map(PathBuf::from);
    let mode = if data_dir.is_some() {
        "durable, fsync"
    } else {
        "in memory"
    };
    let opened = Instant::now();
    let broker = EmbeddedBroker::start(BrokerConfig {
        data_dir,
        retention_bytes: 256 << 20,
        ..BrokerConfig::default()
    })
    .await?;
    println!("mode: {mode}; ready after {:?}", opened.elapsed());
    broker.create_topics(&TOPICS, PARTITIONS).await?;
    let address = broker.address().to_string();
    let bulk = address.clone();
    tokio::task::spawn_blocking(move || produce_all(&bulk).map_err(|error| error.to_string()))
        .await??;
    consume_all(&address).await?;
    latency(&address).await?;
    idle(&address).await?;
    broker.shutdown().await;
    Ok(())
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

/// Counts acknowledgements.
#[derive(Clone, Default)]
struct Acknowledged(Arc<AtomicU64>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn produce_all(address: &str) -> Outcome<()> {
    let acknowledged = Acknowledged::default();
    let producer: ThreadedProducer<Acknowledged> = client(address)
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .set("queue.buffering.max.messages", "200000")
        .create_with_context(acknowledged.clone())?;
    let value = vec![b'x'; VALUE_BYTES];
    let begun = Instant::now();
    for n in 0..RECORDS {
        let (topic, partition) = place(n);
        let mut record = BaseRecord::<(), _>::to(topic)
            .partition(partition)
            .payload(&value);
        while let Err((error, refused)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            std::thread::yield_now();
            record = refused;
        }
    }
    producer.flush(Duration::from_mins(2))?;
    if acknowledged.0.load(Ordering::Relaxed) < RECORDS {
        return Err("not everything was acknowledged".into());
    }
    report("produce, acks=all", begun.elapsed());
    Ok(())
}

/// Eight topics of four partitions in turn.
fn place(n: u64) -> (&'static str, i32) {
    let slot = usize::try_from(n % 32).unwrap_or(0);
    (TOPICS[slot / 4], i32::try_from(slot % 4).unwrap_or(0))
}

fn report(what: &str, elapsed: Duration) {
    let rate = RECORDS as f64 / elapsed.as_secs_f64();
    println!("{what}: {RECORDS} x {VALUE_BYTES} B in {elapsed:.2?}, {rate:.0} records/s");
}

fn consumer(address: &str, group: &str) -> Outcome<StreamConsumer> {
    let consumer: StreamConsumer = client(address)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    consumer.subscribe(&TOPICS)?;
    Ok(consumer)
}

async fn consume_all(address: &str) -> Outcome<()> {
    let consumer = consumer(address, "all")?;
    let mut records = consumer.stream();
    let mut begun = None;
    for _ in 0..RECORDS {
        records.next().await.ok_or("the stream ended")??;
        begun.get_or_insert_with(Instant::now);
    }
    report(
        "consume, one member",
        begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
    );
    Ok(())
}

/// Records at a steady rate; each carries the time at which it was sent.
async fn latency(address: &str) -> Outcome<()> {
    let consumer = consumer(address, "all")?;
    let origin = Instant::now();
    let micros = move || u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let received = tokio::spawn(async move {
        let mut through = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
        let mut records = consumer.stream();
        while through.len() < PACED_PER_SECOND * PACED_SECONDS {
            let record = records.next().await.ok_or("the stream ended")?;
            let record = record.map_err(|error| error.to_string())?;
            let sent = record
                .payload()
                .and_then(|value| value.first_chunk())
                .map(|time| u64::from_le_bytes(*time));
            // The records of the bulk run begin with 'x', which is a time far in the future.
            if let Some(sent) = sent.filter(|&sent| sent <= micros()) {
                through.saturating_record(micros() - sent);
            }
        }
        Ok::<_, String>(through)
    });
    let producer: FutureProducer<DefaultClientContext> = client(address)
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create()?;
    // Until the consumer has joined, latency is not the broker's.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let acknowledged = Arc::new(parking_lot::Mutex::new(Histogram::<u64>::new(3)?));
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for n in 0..PACED_PER_SECOND * PACED_SECONDS {
        if n % (PACED_PER_SECOND / 200) == 0 {
            ticks.tick().await;
        }
        let sent = micros();
        let mut value = vec![b'x'; VALUE_BYTES];
        value[..8].copy_from_slice(&sent.to_le_bytes());
        let (topic, partition) = place(n);
        let record: FutureRecord<'_, (), _> =
            FutureRecord::to(topic).partition(partition).payload(&value);
        let delivery = producer.send_result(record).map_err(|(error, _)| error)?;
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            if let Ok(Ok(_)) = delivery.await {
                acknowledged.lock().saturating_record(micros() - sent);
            }
        });
    }
    let through = tokio::time::timeout(Duration::from_secs(30), received).await???;
    let show = |what: &str, histogram: &Histogram<u64>| {
        let millis = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        println!(
            "{what} at {PACED_PER_SECOND} records/s: p50 {:.2} ms, p99 {:.2} ms",
            millis(0.5),
            millis(0.99)
        );
    };
    show("acknowledged", &acknowledged.lock());
    show("produce to consume", &through);
    Ok(())
}

/// Eight consumers of everything, and nothing to consume: the processor time of broker and clients together.
async fn idle(address: &str) -> Outcome<()> {
    let consumers: Vec<StreamConsumer> = (0..8)
        .map(|n| consumer(address, &format!("idle-{n}")))
        .collect::<Outcome<_>>()?;
    for consumer in &consumers {
        consumer.recv().await?;
        consumer.pause(&consumer.assignment()?)?;
        let mut ends = consumer.assignment()?;
        ends.set_all_offsets(rdkafka::Offset::End)?;
        consumer.assign(&ends)?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = processor_ticks()?;
    tokio::time::sleep(IDLE).await;
    let used = (processor_ticks()? - before) / TICKS_PER_SECOND / IDLE.as_secs_f64();
    println!(
        "idle with 8 consumers of 32 partitions: {:.2} % of a core, clients included",
        used * 100.0
    );
    Ok(())
}

/// Processor time of this process so far (Linux).
fn processor_ticks() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .ok_or("no process state")?
        .1
        .split_whitespace()
        .collect();
    Ok(fields[11].parse::<f64>()? + fields[12].parse::<f64>()?)
}
