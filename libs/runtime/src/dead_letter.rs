//! Dead letters of messages that belong to no order.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagaline_contracts::payload::DeadLetter;
use sagaline_contracts::{Event, EventType, OrderId, Rejected, Timestamp};
use sagaline_saga::{derived_event_id, message_id};
use serde_json::Value;

use crate::{Inbound, Outbound};

/// The dead letter of a message that `consumer` could not handle and that parks no order there. It is the same event on
/// every redelivery, but for its timestamp.
pub fn orphan(consumer: &str, message: &Inbound, rejected: &Rejected, now: Timestamp) -> Outbound {
    letter(consumer, message, rejected, 1, now)
}

/// The same for a message that `consumer` did not even try to handle and does not keep: a redrive has to bring it back.
pub fn untried(consumer: &str, message: &Inbound, rejected: &Rejected, now: Timestamp) -> Outbound {
    letter(consumer, message, rejected, 0, now)
}

fn letter(
    consumer: &str,
    message: &Inbound,
    rejected: &Rejected,
    attempts: u32,
    now: Timestamp,
) -> Outbound {
    let id = message_id(&message.topic, message.partition, message.offset);
    let json: Option<Value> = message
        .value
        .as_deref()
        .and_then(|value| serde_json::from_slice(value).ok());
    let text = |name: &str| {
        json.as_ref()
            .and_then(|json| json.get(name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let order_id = message
        .key
        .as_deref()
        .and_then(|key| std::str::from_utf8(key).ok())
        .and_then(|key| OrderId::new(key).ok());
    let raw = match (&json, &message.value) {
        (None, Some(value)) => Some(BASE64_STANDARD.encode(value)),
        _ => None,
    };
    let event = Event {
        id: derived_event_id(&id, consumer, EventType::DeadLetter, attempts as usize),
        timestamp: now,
        correlation_id: order_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        causation_id: None,
        order_id: order_id.clone(),
        payload: DeadLetter {
            original_type: text("type").unwrap_or_else(|| message.topic.to_string()),
            original_event_id: text("eventId").unwrap_or_else(|| "unknown".to_owned()),
            order_id,
            error: rejected.reason.clone(),
            payload: json.as_ref().map_or(Value::Null, |json| {
                json.get("payload").unwrap_or(json).clone()
            }),
            original_topic: Some(message.topic.to_string()),
            partition: Some(message.partition),
            offset: Some(message.offset),
            consumer: Some(consumer.to_owned()),
            attempts: Some(attempts),
            raw,
            dead_letter_id: Some(id.to_string()),
        }
        .into(),
        headers: std::collections::BTreeMap::default(),
    };
    let topic = EventType::parse(&message.topic)
        .unwrap_or(EventType::DeadLetter)
        .dead_letter_topic();
    Outbound {
        topic: topic.into(),
        key: event.key().to_owned(),
        value: event.encode().into(),
    }
}
