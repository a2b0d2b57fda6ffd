//! Dead letters of messages that belong to no order.

use std::collections::BTreeMap;

use sagaline_contracts::{Event, EventType, OrderId, Payload, Rejected, Timestamp};
use sagaline_saga::{
    Deceased, Message, Source, derived_event_id, message_id, without_message as letter_without,
};

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
    let source = Source {
        topic: message.topic.to_string(),
        partition: message.partition,
        offset: message.offset,
    };
    let order_id = message
        .key
        .as_deref()
        .and_then(|key| std::str::from_utf8(key).ok())
        .and_then(|key| OrderId::new(key).ok());
    let letter = Deceased {
        source: &source,
        message: &Message::of(message.value.as_ref().map(|value| value.to_vec())),
        event_id: None,
        order_id: order_id.clone(),
        consumer,
        attempts,
        error: &rejected.reason,
    }
    .letter();
    let place = message_id(&source.topic, source.partition, source.offset);
    let event = Event {
        id: derived_event_id(&place, consumer, EventType::DeadLetter, attempts as usize),
        timestamp: now,
        correlation_id: order_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        causation_id: None,
        order_id,
        payload: letter.into(),
        headers: BTreeMap::default(),
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

/// The same dead letter, under the same id, without what it repeats of its message; nothing for what is no dead letter,
/// or repeats nothing.
pub(crate) fn without_message(message: &Outbound) -> Option<Outbound> {
    if !message
        .topic
        .ends_with(sagaline_contracts::DEAD_LETTER_SUFFIX)
    {
        return None;
    }
    let event = Event::from_json(EventType::DeadLetter, &message.value).ok()?;
    let Payload::DeadLetter(letter) = &event.payload else {
        return None;
    };
    let payload = letter_without(letter)?.into();
    Some(Outbound {
        value: Event { payload, ..event }.encode().into(),
        ..message.clone()
    })
}
