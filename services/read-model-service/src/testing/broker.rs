//! A broker that remembers what was published, and gives what it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_runtime::{
    Broker, BrokerError, Consumer, Inbound, Outbound, Producer, Replay, Span, Tail,
};
use tokio::sync::Notify;

/// A broker that remembers what was published, and gives what it is told to.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeBroker(Arc<Remembered>);

#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) published: Mutex<Vec<Outbound>>,
    pub(crate) is_down: AtomicBool,
    /// Whether the next looks at where topics end are answered; all are once this is empty.
    pub(crate) looks: Mutex<VecDeque<bool>>,
    /// What a replay gives.
    pub(crate) batches: Mutex<VecDeque<Vec<Inbound>>>,
    /// Messages that the topics do not have any more.
    pub(crate) gone: AtomicI64,
    /// A replay never ends by itself.
    pub(crate) is_endless: AtomicBool,
    /// What a tail is yet to give.
    pub(crate) tailed: Mutex<VecDeque<Vec<Inbound>>>,
    pub(crate) tail_grows: Notify,
    /// Done between the look at the topics' ends and the first message.
    pub(crate) before_replay: Mutex<Option<BeforeReplay>>,
}

/// What happens before the first message of a replay.
pub(crate) struct BeforeReplay(pub(crate) futures::future::BoxFuture<'static, ()>);

impl std::fmt::Debug for BeforeReplay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeforeReplay")
    }
}

struct FakeProducer(FakeBroker);
struct FakeConsumer(FakeBroker);
struct FakeTail(FakeBroker);
struct FakeReplay(FakeBroker, Vec<Span>);

impl std::ops::Deref for FakeBroker {
    type Target = Remembered;
    fn deref(&self) -> &Remembered {
        &self.0
    }
}

#[async_trait]
impl Broker for FakeBroker {
    async fn producer(&self, _: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        Ok(Arc::new(FakeProducer(self.clone())))
    }

    async fn consumer(&self, _: &str, _: &[&str]) -> Result<Box<dyn Consumer>, BrokerError> {
        Ok(Box::new(FakeConsumer(self.clone())))
    }

    async fn replay(&self, topics: &[&str]) -> Result<Box<dyn Replay>, BrokerError> {
        let is_answered = self.looks.lock().pop_front().unwrap_or(true);
        if !is_answered || self.is_down.load(Ordering::Relaxed) {
            return Err(BrokerError::unavailable(
                "say where topics end",
                "it is down",
            ));
        }
        let first = self.gone.load(Ordering::Relaxed);
        let span = Span {
            topic: topics[0].into(),
            partition: 0,
            first,
            end: first + 1_000,
        };
        Ok(Box::new(FakeReplay(self.clone(), vec![span])))
    }

    async fn tail(&self, _: &str, _: &[&str]) -> Result<Box<dyn Tail>, BrokerError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(BrokerError::unavailable(
                "say where topics end",
                "it is down",
            ));
        }
        Ok(Box::new(FakeTail(self.clone())))
    }

    async fn ensure_topics(&self, _: &[&str], _: i32) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

#[async_trait]
impl Producer for FakeProducer {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if self.0.is_down.load(Ordering::Relaxed) {
            return Err(BrokerError::unavailable("publish", "it is down"));
        }
        self.0.published.lock().extend(messages);
        Ok(())
    }
}

#[async_trait]
impl Replay for FakeReplay {
    fn spans(&self) -> &[Span] {
        &self.1
    }

    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        let before = self.0.before_replay.lock().take();
        if let Some(before) = before {
            before.0.await;
        }
        let batch = self.0.batches.lock().pop_front();
        if batch.is_none() && self.0.is_endless.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(Some(Vec::new()));
        }
        Ok(batch)
    }
}

#[async_trait]
impl Tail for FakeTail {
    async fn next(&mut self) -> Result<Vec<Inbound>, BrokerError> {
        loop {
            let grows = self.0.tail_grows.notified();
            if let Some(batch) = self.0.tailed.lock().pop_front() {
                return Ok(batch);
            }
            grows.await;
        }
    }
}

#[async_trait]
impl Consumer for FakeConsumer {
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        let batch = self.0.batches.lock().pop_front();
        if batch.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Some(batch.unwrap_or_default()))
    }

    async fn done(&mut self, _: &[Inbound]) {}

    fn retain_assigned(&self, _: &mut Vec<Inbound>) {}

    async fn close(self: Box<Self>, _: Duration) {}
}
