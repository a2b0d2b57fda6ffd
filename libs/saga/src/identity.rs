//! Ids that follow from what caused them: the same cause gives the same ids, on every redelivery and every instance.

use sagaline_contracts::{EventId, EventType, OrderId};
use uuid::Uuid;

// Made once with `uuidgen`; changing it would change every derived id.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_2b1e_9d55_4c0a_8f0e_51a7_3d2b_9c64);

fn derive(parts: &[&str]) -> EventId {
    // A unit separator cannot stand in any part, so no two lists of parts make the same name.
    let id = Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes());
    let mut buffer = Uuid::encode_buffer();
    match EventId::new(id.hyphenated().encode_lower(&mut buffer)) {
        Ok(id) => id,
        Err(error) => unreachable!("a UUID is a valid event id: {error}"),
    }
}

/// The id of the `ordinal`-th event of `kind` that `service` emits because of `cause`.
pub fn derived_event_id(
    cause: &EventId,
    service: &str,
    kind: EventType,
    ordinal: usize,
) -> EventId {
    crate::planted!("ids not derived" => {
        return derive(&["drawn", &crate::planted::draw().to_string(), service]);
    });
    derive(&[
        "emission",
        cause.as_str(),
        service,
        kind.as_str(),
        &ordinal.to_string(),
    ])
}

/// The id of a message by its place, for messages that have no readable id of their own; also a dead letter's id.
pub fn message_id(topic: &str, partition: i32, offset: i64) -> EventId {
    derive(&[
        "message",
        topic,
        &partition.to_string(),
        &offset.to_string(),
    ])
}

/// The id of an operator's command. `command` says what is asked of which attempt; `key` is the `Idempotency-Key`, or who
/// asks when there is none, so that two clicks are one command.
pub fn command_id(order_id: &OrderId, command: &str, key: &str) -> EventId {
    derive(&["command", order_id.as_str(), command, key])
}

/// The id of the cause of what happens when an order's deadline passes.
pub(crate) fn deadline_id(order_id: &OrderId, service: &str, deadline_micros: i64) -> EventId {
    derive(&[
        "deadline",
        order_id.as_str(),
        service,
        &deadline_micros.to_string(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_gives_the_same_id_and_another_one_another() {
        let cause = message_id("t", 0, 1);
        let id = derived_event_id(&cause, "s", EventType::OrderCreated, 0);
        assert_eq!(
            id,
            derived_event_id(&cause, "s", EventType::OrderCreated, 0)
        );
        assert_ne!(
            id,
            derived_event_id(&cause, "s", EventType::OrderCreated, 1)
        );
        assert_ne!(
            id,
            derived_event_id(&cause, "other", EventType::OrderCreated, 0)
        );
        assert_ne!(message_id("t", 1, 1), message_id("t", 11, 1));
    }
}
