//! Publishes outbox entries.

use std::sync::Arc;

use sagaline_contracts::OrderId;
use sagaline_saga::Emission;

use super::{AckedSet, RelayFaults};
use crate::{BrokerError, Outbound, Producer};

/// Publishes outbox entries, and remembers which are acknowledged. At once, through an [`Announcer`](super::Announcer),
/// when their record was just saved; again, when the runner's sweep finds them unacknowledged.
#[derive(Clone)]
pub struct OutboxRelay {
    producer: Arc<dyn Producer>,
    acked: AckedSet,
    faults: Arc<RelayFaults>,
}

impl OutboxRelay {
    /// A relay on `producer`; what is acknowledged goes to `acked`.
    pub fn new(producer: Arc<dyn Producer>, acked: AckedSet, faults: RelayFaults) -> Self {
        Self {
            producer,
            acked,
            faults: Arc::new(faults),
        }
    }

    /// The ids that are known to be acknowledged.
    pub fn acked(&self) -> &AckedSet {
        &self.acked
    }

    /// Publishes entries and remembers that they are acknowledged. `attempt` is 1 the first time.
    pub async fn publish(
        &self,
        emissions: &[(OrderId, Emission)],
        attempt: u32,
    ) -> Result<(), BrokerError> {
        if emissions
            .iter()
            .any(|(_, emission)| self.faults.strikes(emission, attempt))
        {
            return Err(BrokerError::unavailable(
                "publish an outbox entry",
                "a fault that was asked for",
            ));
        }
        let messages = emissions
            .iter()
            .map(|(order_id, emission)| Outbound::emission(order_id.as_str(), emission))
            .collect();
        if sagaline_saga::planted!("acked before published") {
            self.acked
                .insert(emissions.iter().map(|(_, emission)| emission.id.clone()));
        }
        self.producer.publish(messages).await?;
        self.acked
            .insert(emissions.iter().map(|(_, emission)| emission.id.clone()));
        Ok(())
    }
}
