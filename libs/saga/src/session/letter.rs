//! Dead letters: what could not be handled, for a person.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagaline_contracts::payload::DeadLetter;
use sagaline_contracts::{Event, EventType, OrderId, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Session;
use crate::{Emission, Held, Message, Participant, message_id};

impl<P: Participant> Session<P> {
    pub(super) fn letter(
        &mut self,
        participant: &P,
        held: &Held,
        event: Option<&Event>,
        attempts: u32,
        error: &str,
        now: Timestamp,
    ) -> Option<Emission> {
        let letter = dead_letter(
            held,
            event,
            self.record.order_id.clone(),
            participant.name(),
            attempts,
            error,
        );
        // A later try of the same message is another dead letter event, for the same dead letter.
        let place = message_id(
            &held.source.topic,
            held.source.partition,
            held.source.offset,
        );
        let cause = crate::derived_event_id(
            &place,
            participant.name(),
            EventType::DeadLetter,
            attempts as usize,
        );
        self.record
            .emissions(participant.name(), &cause, event, vec![letter.into()], now)
            .pop()
    }
}

pub(super) fn message_of(value: Option<Vec<u8>>) -> Message {
    let Some(value) = value else {
        return Message::Missing;
    };
    match serde_json::from_slice::<Box<RawValue>>(&value) {
        Ok(json) => Message::Json(json),
        Err(_) => Message::Base64(BASE64_STANDARD.encode(value)),
    }
}

/// The most of a message that its dead letter repeats: a letter that the broker does not take would stop everybody.
const CARRIED_MAX: usize = 256 * 1_024;
/// How deep it may be nested: a letter is read like any other event, and it is two levels further up.
const DEPTH_MAX: usize = 100;

/// How large a message is that is too large to be repeated.
fn too_large(message: &Message) -> Option<usize> {
    Some(message.size()).filter(|size| *size > CARRIED_MAX)
}

/// A message as JSON that can be carried in another event.
fn readable(message: &Message) -> Option<Value> {
    let Message::Json(json) = message else {
        return None;
    };
    if too_large(message).is_some() {
        return None;
    }
    let value = serde_json::from_str(json.get()).ok()?;
    is_shallow(&value, DEPTH_MAX).then_some(value)
}

fn is_shallow(value: &Value, depth_left: usize) -> bool {
    match value {
        Value::Array(values) => {
            depth_left > 0 && values.iter().all(|value| is_shallow(value, depth_left - 1))
        }
        Value::Object(fields) => {
            depth_left > 0
                && fields
                    .values()
                    .all(|value| is_shallow(value, depth_left - 1))
        }
        _ => true,
    }
}

fn dead_letter(
    held: &Held,
    event: Option<&Event>,
    order_id: OrderId,
    consumer: &str,
    attempts: u32,
    error: &str,
) -> DeadLetter {
    let json = readable(&held.message);
    let text = |name: &str| {
        json.as_ref()
            .and_then(|json| json.get(name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    DeadLetter {
        original_type: text("type").unwrap_or_else(|| held.source.topic.clone()),
        original_event_id: event
            .map(|event| event.id.to_string())
            .or_else(|| text("eventId"))
            .unwrap_or_else(|| "unknown".to_owned()),
        order_id: Some(order_id),
        error: match too_large(&held.message) {
            Some(length) => format!("{error} (its {length} bytes are not repeated here)"),
            None => error.to_owned(),
        },
        payload: json.as_ref().map_or(Value::Null, |json| {
            json.get("payload").unwrap_or(json).clone()
        }),
        original_topic: Some(held.source.topic.clone()),
        partition: Some(held.source.partition),
        offset: Some(held.source.offset),
        consumer: Some(consumer.to_owned()),
        attempts: Some(attempts),
        raw: match &held.message {
            message if json.is_some() || too_large(message).is_some() => None,
            Message::Base64(raw) => Some(raw.clone()),
            Message::Json(json) => Some(BASE64_STANDARD.encode(json.get())),
            Message::Missing => None,
        },
        dead_letter_id: Some(
            message_id(
                &held.source.topic,
                held.source.partition,
                held.source.offset,
            )
            .to_string(),
        ),
    }
}
