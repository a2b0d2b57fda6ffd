//! A broker that remembers, and delivers what it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_runtime::{Broker, BrokerError, Consumer, Inbound, Outbound, Producer};
use tokio::sync::{Notify, mpsc};

/// A broker that remembers what was published, and delivers what the test says.
#[derive(Default)]
pub(crate) struct TestBroker {
    pub(super) published: Mutex<Vec<Outbound>>,
    pub(super) changed: Notify,
    pub(crate) down: AtomicBool,
    pub(super) inbox: Mutex<Option<mpsc::UnboundedReceiver<Vec<Inbound>>>>,
}

#[async_trait]
impl Producer for TestBroker {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(BrokerError::unavailable("publish", "it is down"));
        }
        self.published.lock().extend(messages);
        self.changed.notify_waiters();
        Ok(())
    }
}

/// The broker as the runtime takes it.
pub(super) struct SharedBroker(pub(super) Arc<TestBroker>);

#[async_trait]
impl Broker for SharedBroker {
    async fn producer(&self, _: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        Ok(Arc::clone(&self.0) as Arc<dyn Producer>)
    }

    async fn consumer(&self, _: &str, _: &[&str]) -> Result<Box<dyn Consumer>, BrokerError> {
        let inbox = self.0.inbox.lock().take();
        let inbox =
            inbox.ok_or_else(|| BrokerError::Topics("one consumer is all there is".into()))?;
        Ok(Box::new(TestConsumer(inbox)))
    }

    async fn ensure_topics(&self, _: &[&str], _: i32) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

struct TestConsumer(mpsc::UnboundedReceiver<Vec<Inbound>>);

#[async_trait]
impl Consumer for TestConsumer {
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        Ok(self.0.recv().await)
    }

    async fn done(&mut self, _: &[Inbound]) {}

    fn retain_assigned(&self, _: &mut Vec<Inbound>) {}

    async fn close(self: Box<Self>, _: Duration) {}
}
