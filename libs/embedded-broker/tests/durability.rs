//! What was acknowledged is there after a restart, after kill -9, and after the end of the log is torn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::duration_suboptimal_units,
    clippy::redundant_closure_for_method_calls,
    reason = "a test fails by panicking, measures real time, and its modules are nobody else's"
)]
mod common;

use common::raw::{RawClient, batch, produce, produced};
use common::{PATIENCE, client, consumer, producer, receive, send, start_with, subscribe};
use kafka_protocol::ResponseError;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use sagaline_embedded_broker::{BrokerConfig, BrokerError, EmbeddedBroker};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

fn durable(directory: &Path) -> BrokerConfig {
    BrokerConfig {
        data_dir: Some(directory.to_owned()),
        ..BrokerConfig::default()
    }
}

fn log_files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

/// All values of a partition, by offset, as they are between the watermarks.
fn read_partition(address: &str, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let consumer: BaseConsumer = client(address).set("group.id", "check").create().unwrap();
    let (low, high) = consumer
        .fetch_watermarks(topic, partition, PATIENCE)
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, partition, Offset::Offset(low))
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let mut found = Vec::new();
    let begun = Instant::now();
    while found.last().map_or(low, |(offset, _)| offset + 1) < high {
        assert!(
            begun.elapsed() < PATIENCE,
            "only {} records of {topic}/{partition}",
            found.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            found.push((message.offset(), value));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_offsets_topics_and_settings_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start_with(durable(directory.path())).await;
    let address = broker.address().to_string();
    broker
        .create_topics(&["orders", "unused"], 3)
        .await
        .unwrap();
    let sender = producer(&address);
    for n in 0..20 {
        send(&sender, "orders", Some(1), &n.to_string()).await;
    }
    let first = consumer(&address, "readers", &[]);
    subscribe(&first, &["orders"]);
    receive(&first, 8).await;
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("orders", 1, Offset::Offset(8))
        .unwrap();
    first.commit(&offsets, CommitMode::Sync).unwrap();
    drop((first, sender));
    broker.shutdown().await;

    let broker = start_with(durable(directory.path())).await;
    let address = broker.address().to_string();
    let reader: BaseConsumer = client(&address).create().unwrap();
    let metadata = reader.fetch_metadata(None, PATIENCE).unwrap();
    let topics: HashMap<_, _> = metadata
        .topics()
        .iter()
        .map(|topic| (topic.name(), topic.partitions().len()))
        .collect();
    assert_eq!(topics, HashMap::from([("orders", 3), ("unused", 3)]));
    let second = consumer(&address, "readers", &[]);
    subscribe(&second, &["orders"]);
    let expected: Vec<String> = (8..20).map(|n| n.to_string()).collect();
    assert_eq!(receive(&second, 12).await, expected);
    // New records go behind the old ones.
    assert_eq!(
        send(&producer(&address), "orders", Some(1), "next").await,
        (1, 20)
    );
    assert_eq!(receive(&second, 1).await, ["next"]);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_segments_are_read_back_by_their_indexes_and_deleted_when_there_are_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let config = BrokerConfig {
        segment_bytes: 200_000,
        tail_cache_bytes: 10_000,
        ..durable(directory.path())
    };
    let broker = start_with(config.clone()).await;
    let address = broker.address().to_string();
    broker.create_topics(&["orders"], 2).await.unwrap();
    let sender = producer(&address);
    let filler = "x".repeat(5_000);
    for n in 0..200 {
        send(&sender, "orders", Some(n % 2), &format!("{n} {filler}")).await;
    }
    let segments = log_files(directory.path()).len();
    assert!(segments >= 5, "1 MB in segments of 200 kB are {segments}");
    // Most of this is read from the disk: the cache holds two records.
    let check = |found: Vec<(i64, String)>, parity: usize| {
        assert_eq!(found.len(), 100);
        for (at, (offset, value)) in found.iter().enumerate() {
            assert_eq!(*offset, i64::try_from(at).unwrap());
            assert!(
                value.starts_with(&format!("{} x", at * 2 + parity)),
                "{at}: {}",
                &value[..10]
            );
        }
    };
    check(read_partition(&address, "orders", 0), 0);
    broker.shutdown().await;

    // Twice: first the entries are scanned and index files are written by housekeeping, then these are used.
    for _ in 0..2 {
        let broker = start_with(config.clone()).await;
        let address = broker.address().to_string();
        check(read_partition(&address, "orders", 0), 0);
        check(read_partition(&address, "orders", 1), 1);
        wait_until(|| has_indexes(directory.path(), segments - 1)).await;
        broker.shutdown().await;
    }

    let broker = start_with(BrokerConfig {
        log_bytes: 500_000,
        ..config
    })
    .await;
    let address = broker.address().to_string();
    wait_until(|| log_files(directory.path()).len() <= 3).await;
    let reader: BaseConsumer = client(&address).create().unwrap();
    let (low, high) = reader.fetch_watermarks("orders", 0, PATIENCE).unwrap();
    assert!(low > 20 && high == 100, "{low} to {high}");
    assert_eq!(
        read_partition(&address, "orders", 0).len(),
        usize::try_from(high - low).unwrap()
    );
    broker.shutdown().await;
}

fn has_indexes(directory: &Path, count: usize) -> bool {
    log_files(directory)
        .iter()
        .filter(|path| path.with_extension("index").exists())
        .count()
        >= count
}

async fn wait_until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "this did not come to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_is_cut_off_at_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start_with(durable(directory.path())).await;
    let sender = producer(&broker.address().to_string());
    for n in 0..3 {
        send(&sender, "orders", Some(0), &n.to_string()).await;
    }
    broker.shutdown().await;
    let log = log_files(directory.path()).remove(0);
    let whole = fs::read(&log).unwrap();
    let mut ends = Vec::new();
    for cut in (0..130).step_by(7) {
        let torn = tempfile::tempdir().unwrap();
        fs::write(
            torn.path().join(log.file_name().unwrap()),
            &whole[..whole.len() - cut],
        )
        .unwrap();
        let broker = start_with(durable(torn.path())).await;
        let address = broker.address().to_string();
        let found = read_partition(&address, "orders", 0);
        assert!(
            found
                .iter()
                .map(|(_, value)| value.as_str())
                .eq(["0", "1", "2"].into_iter().take(found.len()))
        );
        ends.push(found.len());
        let (_, offset) = send(&producer(&address), "orders", Some(0), "again").await;
        assert_eq!(usize::try_from(offset).unwrap(), found.len());
        broker.shutdown().await;
        let broker = start_with(durable(torn.path())).await;
        assert_eq!(
            read_partition(&broker.address().to_string(), "orders", 0).len(),
            found.len() + 1
        );
        broker.shutdown().await;
    }
    assert_eq!(ends.first(), Some(&3));
    assert!(
        ends.is_sorted_by(|a, b| a >= b) && ends.last() < Some(&3),
        "{ends:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_directory_has_one_broker() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start_with(durable(directory.path())).await;
    let second = EmbeddedBroker::start(durable(directory.path())).await;
    assert!(
        matches!(second, Err(BrokerError::Locked { .. })),
        "{second:?}"
    );
    broker.shutdown().await;
    start_with(durable(directory.path())).await.shutdown().await;
}

const CHILD_DIRECTORY: &str = "EMBEDDED_BROKER_TEST_DIRECTORY";
const CHILD_PORT: &str = "EMBEDDED_BROKER_TEST_PORT";
const CHILD_SEGMENT_BYTES: &str = "EMBEDDED_BROKER_TEST_SEGMENT_BYTES";
const CHILD_READY: &str = "child listens on ";

/// A broker that can be killed: this test binary, started again as a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started as a child process by another test"]
async fn child_process() {
    let directory = std::env::var(CHILD_DIRECTORY).unwrap();
    let port: u16 = std::env::var(CHILD_PORT).unwrap().parse().unwrap();
    let segment_bytes = std::env::var(CHILD_SEGMENT_BYTES).unwrap().parse().unwrap();
    let broker = start_with(BrokerConfig {
        listen: (Ipv4Addr::LOCALHOST, port).into(),
        segment_bytes,
        ..durable(Path::new(&directory))
    })
    .await;
    println!("{CHILD_READY}{}", broker.address());
    std::future::pending::<()>().await;
}

struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// With segments so small that the log is cut many times while it is killed.
    fn start(port: u16, directory: &Path) -> Self {
        Self::run(
            Command::new(std::env::current_exe().unwrap()),
            port,
            directory,
            30_000,
        )
    }

    /// With files that cannot grow beyond 50 to 100 kB, as if the disk were full.
    fn start_on_a_full_disk(directory: &Path) -> Self {
        let mut shell = Command::new("sh");
        let limit = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
        shell
            .args(["-c", limit])
            .arg(std::env::current_exe().unwrap());
        Self::run(shell, 0, directory, 10_000_000)
    }

    fn run(mut command: Command, port: u16, directory: &Path, segment_bytes: u64) -> Self {
        let mut child = command
            .args(["--exact", "child_process", "--ignored", "--nocapture"])
            .env(CHILD_SEGMENT_BYTES, segment_bytes.to_string())
            .env(CHILD_DIRECTORY, directory)
            .env(CHILD_PORT, port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once(CHILD_READY)?;
            Some(address.to_owned())
        });
        let address = ready.expect("the child process starts");
        Self { child, address }
    }

    fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(0, directory.path());
    let (address, port) = (process.address.clone(), process.port());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn(produce_everything(
        producer(&address),
        Arc::clone(&acknowledged),
    ));
    for kill in 1..=4 {
        let goal = kill * TOTAL / 6;
        wait_until(|| acknowledged.load(Ordering::Relaxed) > goal).await;
        drop(process);
        let begun = Instant::now();
        process = Process::start(port, directory.path());
        println!("back {:?} after kill {kill}", begun.elapsed());
    }
    let acknowledged = load.await.unwrap();
    let mut seen = HashMap::new();
    for partition in 0..4 {
        for (offset, value) in read_partition(&address, "orders", partition) {
            let before = seen.insert(value.clone(), (partition, offset));
            assert_eq!(before, None, "{value} is there twice, also at {offset}");
        }
    }
    assert_eq!(acknowledged.len(), TOTAL);
    let segments = log_files(directory.path()).len();
    assert!(segments > 10, "only {segments} segments were written");
    for (value, place) in acknowledged {
        assert_eq!(seen.get(&value), Some(&place), "{value}");
    }
}

const TOTAL: usize = 60_000;

/// Keeps thousands of records in flight until all are acknowledged; where each went.
async fn produce_everything(
    producer: FutureProducer,
    acknowledged: Arc<AtomicUsize>,
) -> Vec<(String, (i32, i64))> {
    let mut places = Vec::with_capacity(TOTAL);
    let mut in_flight = std::collections::VecDeque::new();
    for n in 0..TOTAL {
        let (value, partition) = (format!("{n}"), i32::try_from(n % 4).unwrap());
        let record: FutureRecord<'_, str, str> = FutureRecord::to("orders")
            .partition(partition)
            .payload(&value);
        in_flight.push_back((
            value.clone(),
            producer
                .send_result(record)
                .map_err(|(error, _)| error)
                .unwrap(),
        ));
        if in_flight.len() > 500 {
            let (value, delivery) = in_flight.pop_front().unwrap();
            let delivery = delivery.await.unwrap().map_err(|(error, _)| error).unwrap();
            places.push((value, (delivery.partition, delivery.offset)));
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
    for (value, delivery) in in_flight {
        let delivery = delivery.await.unwrap().map_err(|(error, _)| error).unwrap();
        places.push((value, (delivery.partition, delivery.offset)));
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_acknowledgements_and_not_readers() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start_on_a_full_disk(directory.path());
    let mut client = RawClient::connect(&process.address).await;
    send(&producer(&process.address), "orders", Some(0), "value").await;
    let mut acknowledged = 1;
    let refused = loop {
        let request = produce("orders", 0, batch(-1, -1, -1, 20));
        match produced(&client.call(9, &request).await) {
            (0, offset) => {
                assert_eq!(offset, acknowledged);
                acknowledged += 20;
                assert!(acknowledged < 100_000, "the disk does not get full");
            }
            (error, _) => break error,
        }
    };
    assert_eq!(refused, ResponseError::KafkaStorageError.code());
    let request = produce("orders", 1, batch(-1, -1, -1, 1));
    assert_eq!(
        produced(&client.call(9, &request).await).0,
        refused,
        "and so on"
    );
    let expected = usize::try_from(acknowledged).unwrap();
    assert_eq!(
        read_partition(&process.address, "orders", 0).len(),
        expected
    );
    drop(process);
    // With room on the disk it goes on where it was.
    let broker = start_with(durable(directory.path())).await;
    let address = broker.address().to_string();
    assert_eq!(read_partition(&address, "orders", 0).len(), expected);
    let next = send(&producer(&address), "orders", Some(0), "next").await;
    assert_eq!(next, (0, acknowledged));
    broker.shutdown().await;
}
