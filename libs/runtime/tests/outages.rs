//! What a consumer loop says and does when the broker is gone, or has given its place away.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    missing_docs,
    reason = "tests fail by panicking; the world in memory has more than is used here"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{FakeBroker, FaultyStore, ManualClock, ports};
use parking_lot::Mutex;
use sagaline_runtime::{
    BatchHandler, ConsumerLoop, HealthSink, Inbound, LoopOptions, Outage, Ports,
};
use tokio_util::sync::CancellationToken;

/// What was said last of each dependency.
#[derive(Default)]
struct Said(Mutex<BTreeMap<&'static str, bool>>);

impl HealthSink for Said {
    fn up(&self, dependency: &'static str) {
        self.0.lock().insert(dependency, true);
    }

    fn down(&self, dependency: &'static str, _: &str) {
        self.0.lock().insert(dependency, false);
    }
}

#[derive(Default)]
struct Counter {
    handled: AtomicUsize,
    refuse: AtomicUsize,
}

#[async_trait]
impl BatchHandler for Counter {
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage> {
        if self.refuse.load(Ordering::SeqCst) > 0 {
            return Err(Outage::new("kafka", common::SwitchedOff));
        }
        self.handled.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(())
    }
}

struct Running {
    broker: Arc<FakeBroker>,
    said: Arc<Said>,
    counter: Arc<Counter>,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(broker: FakeBroker) -> Self {
        let (broker, said) = (Arc::new(broker), Arc::new(Said::default()));
        let counter = Arc::new(Counter::default());
        let (store, clock) = (
            Arc::new(FaultyStore::default()),
            Arc::new(ManualClock::default()),
        );
        let ports = Ports {
            health: Arc::clone(&said) as Arc<dyn HealthSink>,
            ..ports(&store, &broker, &clock)
        };
        let options = LoopOptions {
            tick_interval: Duration::from_millis(5),
            ping_interval: Duration::from_millis(10),
            ..LoopOptions::default()
        };
        let handler = Arc::clone(&counter) as Arc<dyn BatchHandler>;
        let looped = ConsumerLoop::new("test", vec!["topic"], handler, ports, options);
        let token = CancellationToken::new();
        let running = looped.run(token.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self {
            broker,
            said,
            counter,
            token,
            task,
        }
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "never: {what}; {:?}",
            self.said.0.lock()
        );
    }

    fn says(&self, dependency: &str) -> Option<bool> {
        self.said.0.lock().get(dependency).copied()
    }

    async fn stop(self) {
        self.token.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_service_says_that_the_broker_is_gone_and_that_it_is_back() {
    let running = Running::start(FakeBroker::default());
    running
        .until("all is well", |r| {
            r.says("kafka") == Some(true) && r.says("store") == Some(true)
        })
        .await;
    running.broker.away.store(true, Ordering::SeqCst);
    running
        .until("the broker is said to be gone", |r| {
            r.says("kafka") == Some(false)
        })
        .await;
    // The store is asked all the time, and its being there says nothing about the broker.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(running.says("kafka"), Some(false));
        assert_eq!(running.says("store"), Some(true));
    }
    running.broker.away.store(false, Ordering::SeqCst);
    running
        .until("the broker is said to be back", |r| {
            r.says("kafka") == Some(true)
        })
        .await;
    running.stop().await;
}

#[tokio::test]
async fn a_broker_that_answers_but_takes_nothing_is_not_said_to_be_there() {
    let running = Running::start(FakeBroker::default());
    running.counter.refuse.store(1, Ordering::SeqCst);
    running.broker.send("topic", Some("o-1"), Some(b"{}"));
    running
        .until("the batch was refused", |r| r.says("kafka") == Some(false))
        .await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(running.says("kafka"), Some(false), "a ping knew it better");
    }
    running.counter.refuse.store(0, Ordering::SeqCst);
    running
        .until("the batch is done", |r| r.says("kafka") == Some(true))
        .await;
    assert_eq!(running.counter.handled.load(Ordering::SeqCst), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_consumer_whose_place_was_given_away_joins_again() {
    let broker = FakeBroker::default();
    broker.replaced.before.store(3, Ordering::SeqCst);
    broker.send("topic", Some("o-1"), Some(b"{}"));
    let running = Running::start(broker);
    running
        .until("the message is handled", |r| {
            r.counter.handled.load(Ordering::SeqCst) == 1
        })
        .await;
    running.stop().await;
}
