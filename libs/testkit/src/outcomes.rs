//! Watches the topics for orders' outcomes, as they come.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::time::Instant;

const TOPICS: [&str; 2] = ["order.OrderConfirmed.v1", "order.OrderCancelled.v1"];
const POLL: Duration = Duration::from_millis(50);
/// How often it looks for partitions that were added.
const LOOK_AROUND: Duration = Duration::from_secs(1);
const METADATA_LIMIT: Duration = Duration::from_secs(5);

type Seen = HashMap<String, Instant>;

/// A reader of the outcomes' topics that goes on until it is dropped, through every outage of the broker.
#[derive(Debug)]
pub struct Outcomes {
    seen: watch::Receiver<Seen>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Outcomes {
    /// Begins to read from the first outcome that there ever was.
    pub fn watch(brokers: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "testkit-outcomes")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .set("reconnect.backoff.max.ms", "200")
            .create()?;
        let (sender, seen) = watch::channel(Seen::new());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("outcomes".to_owned())
            .spawn(move || follow(&consumer, &sender, &stopped))?;
        Ok(Self {
            seen,
            stop,
            thread: Some(thread),
        })
    }

    /// How many orders have an outcome.
    pub fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits until so many more orders have an outcome than now.
    pub async fn so_many_more(&self, count: usize, limit: Duration) -> Result<()> {
        let wanted = self.count() + count;
        let mut seen = self.seen.clone();
        let reached = seen.wait_for(|seen| seen.len() >= wanted);
        match tokio::time::timeout(limit, reached).await {
            Ok(reached) => reached.map(drop).map_err(Into::into),
            Err(_) => bail!(
                "{} of {wanted} outcomes after {limit:?}: the pipeline does not flow",
                self.count()
            ),
        }
    }

    /// Waits until all these orders have an outcome; when the last of them got it.
    pub async fn all(&self, orders: &[String], limit: Duration) -> Result<Option<Instant>> {
        let mut seen = self.seen.clone();
        let mut missing: HashSet<&str> = orders.iter().map(String::as_str).collect();
        let waited = tokio::time::timeout(limit, async {
            loop {
                {
                    let now = seen.borrow_and_update();
                    missing.retain(|order| !now.contains_key(*order));
                }
                if missing.is_empty() {
                    return anyhow::Ok(());
                }
                seen.changed().await?;
            }
        });
        match waited.await {
            Ok(done) => done?,
            Err(_) => bail!(
                "{} of {} orders have no outcome after {limit:?}, for instance {:?}",
                missing.len(),
                orders.len(),
                missing.iter().take(3).collect::<Vec<_>>()
            ),
        }
        let seen = self.seen.borrow();
        Ok(orders
            .iter()
            .filter_map(|order| seen.get(order))
            .max()
            .copied())
    }
}

impl Drop for Outcomes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn follow(consumer: &BaseConsumer, seen: &watch::Sender<Seen>, stop: &AtomicBool) {
    let mut assigned: HashSet<(&'static str, i32)> = HashSet::new();
    let mut looked: Option<Instant> = None;
    while !stop.load(Ordering::Acquire) {
        if looked.is_none_or(|at| at.elapsed() > LOOK_AROUND) {
            look_around(consumer, &mut assigned);
            looked = Some(Instant::now());
        }
        // An error is an outage of the broker: reading goes on behind what was read.
        if let Some(Ok(message)) = consumer.poll(POLL)
            && let Some(key) = message.key().and_then(|key| std::str::from_utf8(key).ok())
        {
            let (order, now) = (key.to_owned(), Instant::now());
            seen.send_modify(|seen| {
                seen.entry(order).or_insert(now);
            });
        }
    }
}

/// Takes in partitions that it does not read yet.
fn look_around(consumer: &BaseConsumer, assigned: &mut HashSet<(&'static str, i32)>) {
    for topic in TOPICS {
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), METADATA_LIMIT) else {
            return;
        };
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        let mut added = TopicPartitionList::new();
        for partition in partitions {
            if assigned.insert((topic, partition.id())) {
                added
                    .add_partition_offset(topic, partition.id(), Offset::Beginning)
                    .ok();
            }
        }
        if added.count() > 0 && consumer.incremental_assign(&added).is_err() {
            for place in added.elements() {
                assigned.remove(&(topic, place.partition()));
            }
        }
    }
}
