//! Messages as deliveries to orders.

use std::collections::HashMap;

use sagaline_contracts::{Event, EventType, OrderId, Rejected};
use sagaline_saga::{Delivery, Participant, Source, Status};

use super::handler::ParticipantHandler;
use crate::{Effects, Inbound, Outbound, dead_letter};

/// The messages of one order in a batch, by their positions.
pub(super) type Group = (OrderId, Vec<usize>);

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Decodes a batch and groups it by order, in the order of arrival; messages of no order become dead letters.
    pub(super) fn group(
        &self,
        batch: &[Inbound],
        publish: &mut Vec<Outbound>,
    ) -> (Vec<Group>, HashMap<usize, Delivery>) {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_order: HashMap<OrderId, usize> = HashMap::with_capacity(batch.len());
        let mut decoded = HashMap::with_capacity(batch.len());
        for (at, message) in batch.iter().enumerate() {
            match delivery(message) {
                Ok((order_id, delivery)) => {
                    decoded.insert(at, delivery);
                    let group = *by_order.entry(order_id).or_insert_with_key(|order_id| {
                        groups.push((order_id.clone(), Vec::new()));
                        groups.len() - 1
                    });
                    if let Some((_, messages)) = groups.get_mut(group) {
                        messages.push(at);
                    }
                }
                Err(_) if sagaline_saga::planted!("orphans dropped") => {}
                Err(rejected) => {
                    publish.push(dead_letter::orphan(
                        self.participant.name(),
                        message,
                        &rejected,
                        self.ports.clock.now(),
                    ));
                    self.metrics.processed(&message.topic, Status::Dead, 1);
                }
            }
        }
        (groups, decoded)
    }
}

/// Reads a message as a delivery to an order; an error when no order can be made out.
pub(super) fn delivery(message: &Inbound) -> Result<(OrderId, Delivery), Rejected> {
    let source = Source {
        topic: message.topic.to_string(),
        partition: message.partition,
        offset: message.offset,
    };
    let kind = EventType::parse(&message.topic).unwrap_or(EventType::DeadLetter);
    match Event::decode(kind, message.key.as_deref(), message.value.as_deref()) {
        Ok(event) => match event.order_id.clone() {
            Some(order_id) => Ok((order_id, Delivery::Event { source, event })),
            None => unreachable!("only dead letters have no order, and no participant reads those"),
        },
        Err(rejected) => {
            let key = message
                .key
                .as_deref()
                .and_then(|key| std::str::from_utf8(key).ok());
            match key.and_then(|key| OrderId::new(key).ok()) {
                Some(order_id) => {
                    let value = message.value.as_ref().map(|value| value.to_vec());
                    Ok((
                        order_id,
                        Delivery::Poison {
                            source,
                            value,
                            rejected,
                        },
                    ))
                }
                None => Err(rejected),
            }
        }
    }
}
