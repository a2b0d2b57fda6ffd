//! A full disk is waited out: nothing is acknowledged meanwhile, nothing that was acknowledged is lost, and it goes on by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod common;

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::raw::RawClient;
use common::{PATIENCE, client, consumer, producer, receive, send, start_with, subscribe};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sagaline_embedded_broker::BrokerConfig;
use tokio::task::JoinHandle;

const DIRECTORY: &str = "FULL_DISK_TEST_DIRECTORY";
/// How long it is looked whether something is acknowledged that must not be.
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);
const READY: &str = "child listens on ";

fn durable(directory: &Path) -> BrokerConfig {
    BrokerConfig {
        data_dir: Some(directory.to_owned()),
        ..BrokerConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started as a child process by another test"]
async fn child_process() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let broker = start_with(durable(Path::new(&directory))).await;
    println!("{READY}{}", broker.address());
    std::future::pending::<()>().await;
}

/// A broker in a process whose files cannot grow beyond a limit, as if the disk were full.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new("sh")
            // a write beyond the limit fails, instead of killing
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            // may be a file, which cannot grow either
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once(READY)?;
            Some(address.to_owned())
        });
        Self {
            child,
            address: ready.expect("the child process starts"),
        }
    }

    fn limit_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A producer that gives up after a while, to see that nothing was acknowledged.
fn impatient(address: &str) -> FutureProducer {
    client(address)
        .set("message.timeout.ms", "700")
        .create()
        .unwrap()
}

fn values(address: &str) -> Vec<String> {
    let reader: BaseConsumer = client(address).set("group.id", "check").create().unwrap();
    let (low, high) = reader.fetch_watermarks("orders", 0, PATIENCE).unwrap();
    let mut assignment = TopicPartitionList::new();
    let from = Offset::Offset(low);
    assignment.add_partition_offset("orders", 0, from).unwrap();
    reader.assign(&assignment).unwrap();
    let mut found = Vec::new();
    for offset in low..high {
        let message = reader.poll(PATIENCE).unwrap().unwrap();
        assert_eq!(message.offset(), offset);
        found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    found
}

fn committed(address: &str) -> Offset {
    let reader = consumer(address, "readers", &[]);
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition("orders", 0);
    let found = reader.committed_offsets(wanted, PATIENCE).unwrap();
    found.find_partition("orders", 0).unwrap().offset()
}

/// A commit by a thread of its own: the client may try it for as long as the broker refuses.
fn commit(reader: &Arc<StreamConsumer>, offset: i64) -> JoinHandle<KafkaResult<()>> {
    let reader = Arc::clone(reader);
    tokio::task::spawn_blocking(move || reader.commit(&offsets(offset), CommitMode::Sync))
}

fn offsets(offset: i64) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    let offset = Offset::Offset(offset);
    offsets.add_partition_offset("orders", 0, offset).unwrap();
    offsets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_by_itself_when_there_is_room_again() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path());
    let address = process.address.clone();
    let patient = producer(&address);
    for n in 0..10 {
        send(&patient, "orders", Some(0), &format!("before-{n}")).await;
    }
    let reader = Arc::new(consumer(&address, "readers", &[]));
    subscribe(&reader, &["orders"]);
    receive(&reader, 10).await;
    reader.commit(&offsets(3), CommitMode::Sync).unwrap();

    for round in 0..2 {
        process.limit_files(Some(1));
        let record: FutureRecord<'_, str, str> = FutureRecord::to("orders")
            .partition(0)
            .payload("nobody was told of this one");
        let refused = impatient(&address).send(record, Duration::ZERO).await;
        assert!(refused.is_err(), "acknowledged on a full disk: {refused:?}");
        // It is refused, or the client asks again until there is room.
        let mut commit = commit(&reader, 7 + round);
        let answer = tokio::time::timeout(UNACKNOWLEDGED, &mut commit).await;
        let is_acknowledged = matches!(answer, Ok(Ok(Ok(()))));
        assert!(!is_acknowledged, "a commit was acknowledged on a full disk");
        // This one does not give up, and has to be there once, in the end.
        let value = format!("during-{round}");
        let waiting = send(&patient, "orders", Some(0), &value);
        let room = async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            process.limit_files(None);
        };
        tokio::join!(waiting, room);
        send(&patient, "orders", Some(0), &format!("after-{round}")).await;
        if answer.is_err() {
            let answered = tokio::time::timeout(PATIENCE, commit).await;
            assert!(answered.is_ok(), "a commit is not answered, with room");
        }
    }

    let before_the_crash = values(&address);
    reader.commit(&offsets(9), CommitMode::Sync).unwrap();
    drop((reader, patient));
    drop(process);
    let broker = start_with(durable(directory.path())).await;
    let address = broker.address().to_string();
    let found = values(&address);
    assert_eq!(found, before_the_crash, "what was readable is still there");
    for (n, value) in found.iter().take(10).enumerate() {
        assert_eq!(*value, format!("before-{n}"));
    }
    for round in 0..2 {
        for value in [format!("during-{round}"), format!("after-{round}")] {
            let times = found.iter().filter(|found| **found == value).count();
            assert_eq!(times, 1, "{value}: {found:?}");
        }
    }
    assert_eq!(committed(&address), Offset::Offset(9));
    broker.shutdown().await;
}

/// A commit as it goes over the wire. A client of the library would ask again by itself for as long as the broker hangs up, and
/// could bring the older of two offsets last.
async fn commit_once(address: &str, offset: i64) -> io::Result<OffsetCommitResponse> {
    let text = |value: &str| StrBytes::from_string(value.to_owned());
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("readers")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let mut client = RawClient::connect(address).await;
    let answer = tokio::time::timeout(PATIENCE, client.ask(7, &request)).await;
    answer.expect("the broker answers, or hangs up")
}

/// An offset that is committed while nothing can be written is in memory alone; when there is room again it is written too,
/// or the broker would forget with a crash what it has told meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_written_is_written_later() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path());
    let address = process.address.clone();
    let patient = producer(&address);
    for n in 0..10 {
        send(&patient, "orders", Some(0), &n.to_string()).await;
    }
    process.limit_files(Some(1));
    // The first is what the writer fails on; the second is left out of the log.
    for offset in [4, 5] {
        let answer = commit_once(&address, offset).await;
        assert!(answer.is_err(), "answered on a full disk: {answer:?}");
    }
    process.limit_files(None);
    send(&patient, "orders", Some(0), "room").await;
    let told = committed(&address);
    drop(patient);
    drop(process);
    let broker = start_with(durable(directory.path())).await;
    assert_eq!(committed(&broker.address().to_string()), told);
    assert_eq!(told, Offset::Offset(5));
    broker.shutdown().await;
}
