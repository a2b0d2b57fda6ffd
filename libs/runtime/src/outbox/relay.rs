//! Publishes outbox entries.

use std::collections::HashMap;
use std::sync::Arc;

use sagaline_contracts::{EventId, OrderId};
use sagaline_saga::Emission;

use super::{AckedSet, RelayFaults};
use crate::{BrokerError, Outage, Outbound, Producer};

/// What a fault on purpose says.
const FAULT: &str = "it was not published: a fault that was asked for";

/// An entry that is not known to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unacknowledged {
    /// The event.
    pub id: EventId,
    /// What went wrong.
    pub why: String,
}

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

    /// Publishes entries and remembers those that are acknowledged; gives the others. `attempt` is 1 the first time.
    pub async fn publish(
        &self,
        emissions: &[(OrderId, Emission)],
        attempt: u32,
    ) -> Vec<Unacknowledged> {
        let (struck, tried): (Vec<_>, Vec<_>) = emissions
            .iter()
            .partition(|(_, emission)| self.faults.strikes(emission, attempt));
        let mut left: Vec<Unacknowledged> = struck
            .into_iter()
            .map(|(_, emission)| Unacknowledged::of(emission, FAULT))
            .collect();
        if tried.is_empty() {
            return left;
        }
        let ids = || tried.iter().map(|(_, emission)| emission.id.clone());
        if sagaline_saga::planted!("acked before published") {
            self.acked.insert(ids());
        }
        let messages = tried
            .iter()
            .map(|(order_id, emission)| Outbound::emission(order_id.as_str(), emission))
            .collect();
        match self.producer.publish(messages).await {
            Ok(()) => self.acked.insert(ids()),
            Err(BrokerError::Refused { refused }) => {
                let reasons: HashMap<usize, String> = refused
                    .into_iter()
                    .map(|one| (one.at, one.reason))
                    .collect();
                let taken = ids()
                    .enumerate()
                    .filter(|(at, _)| !reasons.contains_key(at));
                self.acked.insert(taken.map(|(_, id)| id));
                for (at, (_, emission)) in tried.iter().enumerate() {
                    let why = reasons.get(&at);
                    left.extend(why.map(|why| Unacknowledged::of(emission, why)));
                }
            }
            Err(error) => {
                let why = Outage::from(error).chain();
                let all = tried.iter();
                left.extend(all.map(|(_, emission)| Unacknowledged::of(emission, &why)));
            }
        }
        left
    }
}

impl Unacknowledged {
    fn of(emission: &Emission, why: &str) -> Self {
        Self {
            id: emission.id.clone(),
            why: why.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use sagaline_contracts::EventType;
    use sagaline_contracts::payload::{OrderCancelled, OrderConfirmed};
    use sagaline_saga::given::event;

    use super::*;
    use crate::RefusedMessage;

    /// Takes everything, but the messages at these positions.
    #[derive(Default)]
    struct Strict {
        refuses: Vec<usize>,
        taken: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Producer for Strict {
        async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
            let refused: Vec<RefusedMessage> = self
                .refuses
                .iter()
                .map(|at| RefusedMessage {
                    at: *at,
                    reason: "too large".to_owned(),
                })
                .collect();
            let taken = messages
                .into_iter()
                .enumerate()
                .filter(|(at, _)| !self.refuses.contains(at));
            self.taken.lock().extend(taken.map(|(_, one)| one.key));
            if refused.is_empty() {
                return Ok(());
            }
            Err(BrokerError::Refused { refused })
        }
    }

    /// Orders that are confirmed and cancelled in turn.
    fn entries() -> Vec<(OrderId, Emission)> {
        let one = |n: usize| {
            let order_id = OrderId::new(format!("o-{n}")).unwrap();
            let id = format!("e-{n}");
            let told = if n.is_multiple_of(2) {
                let attempt = None;
                event(
                    &id,
                    OrderConfirmed {
                        order_id: order_id.clone(),
                        attempt,
                    },
                )
            } else {
                let cancelled = OrderCancelled {
                    order_id: order_id.clone(),
                    reason: "r".to_owned(),
                    attempt: None,
                };
                event(&id, cancelled)
            };
            (order_id, Emission::of(&told))
        };
        (0..4).map(one).collect()
    }

    async fn publish(refuses: &[usize], faults: RelayFaults) -> (Vec<String>, Vec<String>, usize) {
        let producer = Arc::new(Strict {
            refuses: refuses.to_vec(),
            ..Strict::default()
        });
        let shared = Arc::clone(&producer) as Arc<dyn Producer>;
        let relay = OutboxRelay::new(shared, AckedSet::default(), faults);
        let entries = entries();
        let left = relay.publish(&entries, 1).await;
        let left: Vec<String> = left.into_iter().map(|one| one.id.to_string()).collect();
        let acked = |(_, emission): &&(OrderId, Emission)| relay.acked().contains(&emission.id);
        let acked = entries.iter().filter(acked).count();
        let taken = producer.taken.lock().clone();
        (taken, left, acked)
    }

    #[tokio::test]
    async fn a_type_that_is_to_fail_stops_no_other_that_is_published_with_it() {
        let faults = RelayFaults {
            fail_type: Some(EventType::OrderCancelled),
            ..RelayFaults::default()
        };
        let (taken, left, acked) = publish(&[], faults).await;
        assert_eq!(taken, ["o-0", "o-2"]);
        assert_eq!(left, ["e-1", "e-3"]);
        assert_eq!(acked, 2);
    }

    #[tokio::test]
    async fn a_failure_that_is_to_come_once_stops_one_event() {
        let faults = RelayFaults {
            fail_once: true.into(),
            ..RelayFaults::default()
        };
        let (taken, left, _) = publish(&[], faults).await;
        assert_eq!((taken.len(), left), (3, vec!["e-0".to_owned()]));
    }

    #[tokio::test]
    async fn what_the_broker_refuses_for_good_is_named_and_the_others_are_acknowledged() {
        let (taken, left, acked) = publish(&[2], RelayFaults::default()).await;
        assert_eq!(taken, ["o-0", "o-1", "o-3"]);
        assert_eq!((left, acked), (vec!["e-2".to_owned()], 3));
    }
}
