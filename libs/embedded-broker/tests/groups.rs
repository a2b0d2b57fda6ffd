//! Consumer groups: members come and go, nothing is lost and nothing is done twice.
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
    clippy::redundant_closure,
    reason = "a test fails by panicking, measures real time, and its modules are nobody else's"
)]
mod common;

use common::{PATIENCE, client, consumer, producer, send, start, subscribe};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const PARTITIONS: i32 = 4;

/// A member that commits each record before it reports it. When the commit is refused, the record belongs to someone
/// else by now and is not reported.
struct Worker {
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
    consumer: Arc<StreamConsumer>,
}

/// A failed test must not leave workers that keep the runtime from ending.
impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Worker {
    fn start(
        address: &str,
        settings: &[(&str, &str)],
        seen: mpsc::UnboundedSender<(i32, i64)>,
    ) -> Self {
        let mut all = vec![
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "100"),
            ("fetch.wait.max.ms", "50"),
        ];
        all.extend_from_slice(settings);
        let consumer = Arc::new(consumer(address, "workers", &all));
        subscribe(&consumer, &["jobs"]);
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::task::spawn_blocking({
            let (consumer, stop) = (Arc::clone(&consumer), Arc::clone(&stop));
            move || work(&consumer, &stop, &seen)
        });
        Self {
            stop,
            task: Some(task),
            consumer,
        }
    }

    fn assigned(&self) -> usize {
        self.consumer
            .assignment()
            .map_or(0, |assignment| assignment.count())
    }

    /// A copy: a list of the client's own keeps the client from ending.
    fn partitions(&self) -> Vec<i32> {
        let assignment = self.consumer.assignment().unwrap();
        let mut partitions: Vec<_> = assignment
            .elements()
            .iter()
            .map(TopicPartitionListElem::partition)
            .collect();
        partitions.sort_unstable();
        partitions
    }

    /// Ends it; the consumer leaves the group when it is dropped.
    async fn leave(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.take().unwrap().await.unwrap();
    }
}

fn work(consumer: &StreamConsumer, stop: &AtomicBool, seen: &mpsc::UnboundedSender<(i32, i64)>) {
    let runtime = tokio::runtime::Handle::current();
    while !stop.load(Ordering::Relaxed) {
        let next = async { tokio::time::timeout(Duration::from_millis(50), consumer.recv()).await };
        // An error is for example a broker that has ended before its consumers; the checks at the end see what is missing.
        let Ok(Ok(message)) = runtime.block_on(next) else {
            continue;
        };
        let mut offsets = TopicPartitionList::new();
        let behind = Offset::Offset(message.offset() + 1);
        offsets
            .add_partition_offset("jobs", message.partition(), behind)
            .unwrap();
        if commit_while_assigned(consumer, &offsets, message.partition()) {
            seen.send((message.partition(), message.offset())).unwrap();
        }
    }
}

/// A commit is refused in the middle of a rebalance; a partition that is kept goes on after it.
fn commit_while_assigned(
    consumer: &StreamConsumer,
    offsets: &TopicPartitionList,
    partition: i32,
) -> bool {
    let is_mine = || {
        let assignment = consumer.assignment().unwrap();
        assignment.find_partition("jobs", partition).is_some()
    };
    while is_mine() {
        if consumer.commit(offsets, CommitMode::Sync).is_ok() {
            return true;
        }
    }
    false
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{what} after {:?}", begun.elapsed());
}

/// One member, then two, then three, then one dies and one leaves, with records coming all the time.
async fn members_come_and_go(strategy: &str) {
    let broker = start().await;
    let address = broker.address().to_string();
    broker.create_topics(&["jobs"], PARTITIONS).await.unwrap();
    let (report, mut reports) = mpsc::unbounded_channel();
    let settings = [("partition.assignment.strategy", strategy)];
    let feeding = Arc::new(AtomicBool::new(true));
    let feeder = tokio::spawn({
        let (feeding, producer) = (Arc::clone(&feeding), producer(&address));
        async move {
            let mut sent = [0_i64; PARTITIONS as usize];
            let mut n = 0_usize;
            while feeding.load(Ordering::Relaxed) {
                let partition = n % sent.len();
                send(
                    &producer,
                    "jobs",
                    Some(i32::try_from(partition).unwrap()),
                    &n.to_string(),
                )
                .await;
                sent[partition] += 1;
                n += 1;
            }
            sent
        }
    });
    let one = Worker::start(&address, &settings, report.clone());
    until("one member has all", || one.assigned() == 4).await;
    let two = Worker::start(&address, &settings, report.clone());
    until("two members have two each", || {
        one.assigned() == 2 && two.assigned() == 2
    })
    .await;
    let three = Worker::start(&address, &settings, report.clone());
    until("three members share", || {
        let mut counts = [one.assigned(), two.assigned(), three.assigned()];
        counts.sort_unstable();
        counts == [1, 1, 2]
    })
    .await;
    two.leave().await;
    until("two members share again", || {
        one.assigned() + three.assigned() == 4
    })
    .await;
    one.leave().await;
    until("the last member has all", || three.assigned() == 4).await;
    feeding.store(false, Ordering::Relaxed);
    let sent = feeder.await.unwrap();
    let total: i64 = sent.iter().sum();
    drop(report);
    let mut times: HashMap<(i32, i64), usize> = HashMap::new();
    while times.len() < usize::try_from(total).unwrap() {
        let seen = tokio::time::timeout(PATIENCE, reports.recv()).await;
        let seen = seen.unwrap_or_else(|_| panic!("{} of {total} records came", times.len()));
        *times.entry(seen.unwrap()).or_default() += 1;
    }
    three.leave().await;
    while let Some(seen) = reports.recv().await {
        *times.entry(seen).or_default() += 1;
    }
    let doubles: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubles.is_empty(), "committed more than once: {doubles:?}");
    assert_eq!(times.len(), usize::try_from(total).unwrap());
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_come_and_go_with_eager_rebalances() {
    members_come_and_go("range").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_come_and_go_with_cooperative_rebalances() {
    members_come_and_go("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_static_member_that_restarts_keeps_its_partitions_without_a_rebalance() {
    let broker = start().await;
    let address = broker.address().to_string();
    broker.create_topics(&["jobs"], PARTITIONS).await.unwrap();
    let (report, _reports) = mpsc::unbounded_channel();
    let first = Worker::start(&address, &[("group.instance.id", "a")], report.clone());
    let second = Worker::start(&address, &[("group.instance.id", "b")], report.clone());
    until("both have two", || {
        first.assigned() == 2 && second.assigned() == 2
    })
    .await;
    let before = second.partitions();
    // A static member does not leave the group when it is closed.
    second.leave().await;
    let again = Worker::start(&address, &[("group.instance.id", "b")], report);
    until("the second is back", || again.assigned() == 2).await;
    assert_eq!(again.partitions(), before);
    assert_eq!(first.assigned(), 2);
    first.leave().await;
    again.leave().await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_that_falls_silent_is_replaced_after_its_session() {
    let broker = start().await;
    let address = broker.address().to_string();
    broker.create_topics(&["jobs"], PARTITIONS).await.unwrap();
    // A client that joins by hand, speaks the protocol well, and then never again.
    let (report, _reports) = mpsc::unbounded_channel();
    let silent = common::raw::join_and_fall_silent(&address, "workers", "jobs", 1_500).await;
    let begun = Instant::now();
    let worker = Worker::start(
        &address,
        &[("partition.assignment.strategy", "range")],
        report,
    );
    until("the survivor has all", || worker.assigned() == 4).await;
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "the silent member was given no time"
    );
    drop(silent);
    worker.leave().await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn groups_are_listed_and_deleted() {
    let broker = start().await;
    let address = broker.address().to_string();
    broker.create_topics(&["jobs"], PARTITIONS).await.unwrap();
    let (report, _reports) = mpsc::unbounded_channel();
    let worker = Worker::start(&address, &[], report);
    until("the worker has all", || worker.assigned() == 4).await;
    let reader = consumer(&address, "other", &[]);
    let groups = reader.fetch_group_list(None, PATIENCE).unwrap();
    let found: Vec<_> = groups
        .groups()
        .iter()
        .map(|group| (group.name(), group.state(), group.members().len()))
        .collect();
    assert_eq!(found, [("workers", "Stable", 1)]);
    let admin: AdminClient<DefaultClientContext> = client(&address).create().unwrap();
    let refused = admin
        .delete_groups(&["workers"], &AdminOptions::new())
        .await
        .unwrap();
    assert!(
        refused[0].is_err(),
        "a group with members cannot be deleted"
    );
    worker.leave().await;
    until("the group is deleted", || {
        futures::executor::block_on(admin.delete_groups(&["workers"], &AdminOptions::new()))
            .unwrap()[0]
            .is_ok()
    })
    .await;
    assert_eq!(
        reader
            .fetch_group_list(None, PATIENCE)
            .unwrap()
            .groups()
            .len(),
        0
    );
    broker.shutdown().await;
}
