//! Events that no Kafka record would bring back: published at once, swept when that failed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use sagaline_contracts::{EventId, EventType, OrderId};
use sagaline_saga::Emission;
use tokio::sync::Semaphore;

use crate::{BrokerError, Outbound, Producer};

const REMEMBERED_MAX: usize = 200_000;
const IN_FLIGHT_MAX: usize = 64;

/// Event ids that are known to be acknowledged; the next save of their record takes them out of its outbox. It forgets
/// the oldest beyond a limit: then they are published once more, with the same ids.
#[derive(Clone, Default)]
pub struct AckedSet {
    ids: Arc<Mutex<(HashSet<EventId>, VecDeque<EventId>)>>,
}

impl AckedSet {
    /// These are acknowledged.
    pub fn insert(&self, acknowledged: impl IntoIterator<Item = EventId>) {
        let mut ids = self.ids.lock();
        for id in acknowledged {
            if ids.0.insert(id.clone()) {
                ids.1.push_back(id);
            }
        }
        while ids.1.len() > REMEMBERED_MAX {
            if let Some(oldest) = ids.1.pop_front() {
                ids.0.remove(&oldest);
            }
        }
    }

    /// Whether this one is.
    pub fn contains(&self, id: &EventId) -> bool {
        self.ids.lock().0.contains(id)
    }
}

/// Failures on purpose, to rehearse what the relay does about them.
#[derive(Debug, Default)]
pub struct RelayFaults {
    /// The very first publish fails.
    pub fail_once: AtomicBool,
    /// Every publish of this type fails.
    pub fail_type: Option<EventType>,
    /// An event's first publishes fail, until the attempt of this number.
    pub fail_until_attempt: u32,
}

impl RelayFaults {
    fn strikes(&self, emission: &Emission, attempt: u32) -> bool {
        self.fail_once.swap(false, Ordering::Relaxed)
            || self
                .fail_type
                .is_some_and(|kind| kind.as_str() == emission.topic)
            || attempt < self.fail_until_attempt
    }
}

/// Publishes outbox entries: at once when they are handed over, and again when the runner's sweep finds them unacknowledged.
#[derive(Clone)]
pub struct OutboxRelay {
    producer: Arc<dyn Producer>,
    acked: AckedSet,
    faults: Arc<RelayFaults>,
    in_flight: Arc<Semaphore>,
    pending: Arc<AtomicU64>,
}

impl OutboxRelay {
    /// A relay on `producer`; what is acknowledged goes to `acked`.
    pub fn new(producer: Arc<dyn Producer>, acked: AckedSet, faults: RelayFaults) -> Self {
        Self {
            producer,
            acked,
            faults: Arc::new(faults),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            pending: Arc::default(),
        }
    }

    /// The ids that are known to be acknowledged.
    pub fn acked(&self) -> &AckedSet {
        &self.acked
    }

    /// How many entries were handed over and are not acknowledged yet.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Publishes entries that were just saved, without waiting. When too much is in flight, or the broker is down, they are
    /// left to the sweep: they are in their records.
    pub fn hand_over(&self, emissions: Vec<(OrderId, Emission)>) {
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            return;
        };
        let relay = self.clone();
        tokio::spawn(async move {
            let count = emissions.len() as u64;
            relay.pending.fetch_add(count, Ordering::Relaxed);
            if let Err(error) = relay.publish(&emissions, 1).await {
                tracing::warn!(error = %error, events = count, "outbox entries were not published; they are swept later");
            }
            relay.pending.fetch_sub(count, Ordering::Relaxed);
            drop(permit);
        });
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
        self.producer.publish(messages).await?;
        self.acked
            .insert(emissions.iter().map(|(_, emission)| emission.id.clone()));
        Ok(())
    }
}
