//! A broker that remembers what was published, and gives what it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_runtime::{Broker, BrokerError, Consumer, Inbound, Outbound, Producer};

/// A broker that remembers what was published, and gives what it is told to.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeBroker(Arc<Remembered>);

#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) published: Mutex<Vec<Outbound>>,
    pub(crate) is_down: AtomicBool,
    pub(crate) batches: Mutex<VecDeque<Vec<Inbound>>>,
}

struct FakeProducer(FakeBroker);
struct FakeConsumer(FakeBroker);

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
