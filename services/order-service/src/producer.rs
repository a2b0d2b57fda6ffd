//! A producer that connects when it can: the service starts, and says that it is not ready, without a broker.

use std::sync::Arc;

use async_trait::async_trait;
use sagaline_runtime::{Broker, BrokerError, Outbound, Producer};
use tokio::sync::OnceCell;

/// Connects at its first use, and again at the next while that fails.
pub(crate) struct LazyProducer {
    broker: Arc<dyn Broker>,
    name: &'static str,
    connected: OnceCell<Arc<dyn Producer>>,
}

impl LazyProducer {
    /// A producer of `broker` that is not connected yet; `name` stands in the broker's logs.
    pub(crate) fn new(broker: Arc<dyn Broker>, name: &'static str) -> Self {
        Self {
            broker,
            name,
            connected: OnceCell::new(),
        }
    }

    /// Connects now, so that the first order does not wait for it.
    pub(crate) async fn connect(&self) -> Result<&Arc<dyn Producer>, BrokerError> {
        let connect = || self.broker.producer(self.name);
        self.connected.get_or_try_init(connect).await
    }
}

#[async_trait]
impl Producer for LazyProducer {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        self.connect().await?.publish(messages).await
    }
}
