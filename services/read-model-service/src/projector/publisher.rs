//! Publishing, with a producer that is made when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use sagaline_runtime::{Broker, BrokerError, Outbound, Producer};
use tokio::sync::OnceCell;

use crate::projection::PROJECTOR;

/// How long an acknowledgement may take.
const ACK_LIMIT: Duration = Duration::from_secs(10);

/// Publishes messages. Its producer is made when it is first needed, so that the service answers while the broker is down.
#[derive(Clone)]
pub struct Publisher {
    broker: Arc<dyn Broker>,
    producer: Arc<OnceCell<Arc<dyn Producer>>>,
}

impl Publisher {
    /// A publisher on this broker.
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self {
            broker,
            producer: Arc::default(),
        }
    }

    /// Publishes messages and returns when all are acknowledged.
    pub async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if messages.is_empty() {
            return Ok(());
        }
        let make = || self.broker.producer(PROJECTOR);
        let producer = self.producer.get_or_try_init(make).await?;
        match tokio::time::timeout(ACK_LIMIT, producer.publish(messages)).await {
            Ok(published) => published,
            Err(elapsed) => Err(BrokerError::unavailable("acknowledge messages", elapsed)),
        }
    }
}
