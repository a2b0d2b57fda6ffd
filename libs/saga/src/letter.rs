//! Dead letters: what could not be handled, for a person. Every consumer makes them here, so that none is too large for the
//! broker, or nested too deeply to be read: a letter that cannot be published would stop everybody, and one that cannot be
//! read would be seen by nobody.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagaline_contracts::payload::DeadLetter;
use sagaline_contracts::{EventId, OrderId, ShortText};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Message, Source, message_id};

/// The most bytes of a message that its dead letter repeats.
const CARRIED_MAX: usize = 256 * 1_024;
/// How deep it may be nested: a letter is read like any other event, and it is two levels further up.
const DEPTH_MAX: usize = 100;
/// The most that a letter says about what is wrong.
const ERROR_CHARS_MAX: usize = 2_000;

/// A message that could not be handled, and everything that is known about it.
#[derive(Debug, Clone)]
pub struct Deceased<'a> {
    /// Where it stood.
    pub source: &'a Source,
    /// What it says.
    pub message: &'a Message,
    /// Its event id, when that could be read.
    pub event_id: Option<&'a EventId>,
    /// Its order, where one could be made out.
    pub order_id: Option<OrderId>,
    /// The service that could not handle it.
    pub consumer: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// What is wrong, for a person.
    pub error: &'a str,
}

/// What a letter repeats of its message.
enum Carried {
    Json(Value),
    Raw(String),
    /// There was nothing, or it is left out, with its size.
    Nothing(Option<usize>),
}

impl Message {
    /// A message's value, as it is kept.
    pub fn of(value: Option<Vec<u8>>) -> Self {
        let Some(value) = value else {
            return Self::Missing;
        };
        match serde_json::from_slice::<Box<RawValue>>(&value) {
            Ok(json) => Self::Json(json),
            Err(_) => Self::Base64(BASE64_STANDARD.encode(value)),
        }
    }

    fn carried(&self) -> Carried {
        match self {
            Self::Missing => Carried::Nothing(None),
            Self::Base64(raw) if raw.len() <= CARRIED_MAX => Carried::Raw(raw.clone()),
            Self::Base64(raw) => {
                let padding = raw.bytes().rev().take_while(|byte| *byte == b'=').count();
                Carried::Nothing(Some(raw.len() / 4 * 3 - padding))
            }
            Self::Json(json) => readable(json.get())
                .map(Carried::Json)
                .or_else(|| encoded(json.get()).map(Carried::Raw))
                .unwrap_or(Carried::Nothing(Some(json.get().len()))),
        }
    }
}

/// JSON that can be carried in another event.
fn readable(json: &str) -> Option<Value> {
    if json.len() > CARRIED_MAX {
        return None;
    }
    let value = serde_json::from_str(json).ok()?;
    // Numbers may be longer when they are written again.
    let is_short = || serde_json::to_vec(&value).is_ok_and(|json| json.len() <= CARRIED_MAX);
    (is_shallow(&value, DEPTH_MAX) && is_short()).then_some(value)
}

fn encoded(json: &str) -> Option<String> {
    (json.len() <= CARRIED_MAX / 4 * 3).then(|| BASE64_STANDARD.encode(json))
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

impl Deceased<'_> {
    /// The letter about it: bounded, whatever the message was.
    pub fn letter(self) -> DeadLetter {
        let place = self.source;
        let (json, raw, left_out) = match self.message.carried() {
            Carried::Json(json) => (Some(json), None, None),
            Carried::Raw(raw) => (None, Some(raw), None),
            Carried::Nothing(size) => (None, None, size),
        };
        let error = shortened(self.error);
        // What a message says of itself may be anything, and stands in the letter twice.
        let text = |name: &str| {
            let text = json.as_ref()?.get(name)?.as_str()?;
            ShortText::accepts(text).then(|| text.to_owned())
        };
        let original_type = text("type").unwrap_or_else(|| place.topic.clone());
        let original_event_id = self
            .event_id
            .map(ToString::to_string)
            .or_else(|| text("eventId"))
            .unwrap_or_else(|| "unknown".to_owned());
        DeadLetter {
            original_type,
            original_event_id,
            order_id: self.order_id,
            error: match left_out {
                Some(size) => format!("{error} (its {size} bytes are not repeated here)"),
                None => error,
            },
            payload: json.map_or(Value::Null, payload_of),
            original_topic: Some(place.topic.clone()),
            partition: Some(place.partition),
            offset: Some(place.offset),
            consumer: Some(self.consumer.to_owned()),
            attempts: Some(self.attempts),
            raw,
            dead_letter_id: Some(
                message_id(&place.topic, place.partition, place.offset).to_string(),
            ),
        }
    }
}

fn payload_of(mut json: Value) -> Value {
    match json.get_mut("payload") {
        Some(payload) => payload.take(),
        None => json,
    }
}

fn shortened(error: &str) -> String {
    match error.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!("{}…", error.get(..end).unwrap_or_default()),
        None => error.to_owned(),
    }
}

/// The same letter without what it repeats of its message, for a broker that takes less than others do; nothing when it
/// repeats nothing.
pub fn without_message(letter: &DeadLetter) -> Option<DeadLetter> {
    if letter.payload.is_null() && letter.raw.is_none() {
        return None;
    }
    let error = shortened(&letter.error);
    Some(DeadLetter {
        error: format!("{error} (the message is too large for the broker to be repeated here)"),
        payload: Value::Null,
        raw: None,
        ..letter.clone()
    })
}
