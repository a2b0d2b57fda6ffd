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

fn dead_letter(
    held: &Held,
    event: Option<&Event>,
    order_id: OrderId,
    consumer: &str,
    attempts: u32,
    error: &str,
) -> DeadLetter {
    let json: Option<Value> = match &held.message {
        Message::Json(json) => serde_json::from_str(json.get()).ok(),
        Message::Base64(_) | Message::Missing => None,
    };
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
        error: error.to_owned(),
        payload: json.as_ref().map_or(Value::Null, |json| {
            json.get("payload").unwrap_or(json).clone()
        }),
        original_topic: Some(held.source.topic.clone()),
        partition: Some(held.source.partition),
        offset: Some(held.source.offset),
        consumer: Some(consumer.to_owned()),
        attempts: Some(attempts),
        raw: match &held.message {
            Message::Base64(raw) => Some(raw.clone()),
            Message::Json(_) | Message::Missing => None,
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
