//! Reads an envelope and the payload in it in one pass: the topic says what the payload is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use crate::wire::{self, Text};
use crate::{EventId, EventType, Payload, Timestamp};

/// An envelope whose parts are valid each on its own.
pub(crate) struct Envelope<'a> {
    pub(crate) event_id: EventId,
    pub(crate) r#type: Cow<'a, str>,
    pub(crate) version: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) correlation_id: Cow<'a, str>,
    pub(crate) causation_id: Option<EventId>,
    pub(crate) key: Cow<'a, str>,
    pub(crate) payload: Payload,
    pub(crate) headers: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    EventId,
    Type,
    Version,
    Timestamp,
    CorrelationId,
    CausationId,
    Key,
    Payload,
    Headers,
    #[serde(other)]
    Unknown,
}

#[expect(
    clippy::option_option,
    reason = "not there, or there as null: a field that stands twice is refused"
)]
#[derive(Default)]
struct Fields<'a> {
    event_id: Option<EventId>,
    r#type: Option<Cow<'a, str>>,
    version: Option<i64>,
    timestamp: Option<Timestamp>,
    correlation_id: Option<Cow<'a, str>>,
    causation_id: Option<Option<EventId>>,
    key: Option<Cow<'a, str>>,
    payload: Option<Payload>,
    headers: Option<Option<BTreeMap<String, Value>>>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of an event that should be of type `expected`. Whether it is, the caller checks.
    pub(crate) fn read(expected: EventType, text: &'a str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let envelope = json.deserialize_map(EnvelopeVisitor(expected))?;
        json.end()?;
        Ok(envelope)
    }
}

struct EnvelopeVisitor(EventType);

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event, a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(field) = map.next_key()? {
            fields.take(&field, self.0, &mut map)?;
        }
        fields.complete()
    }
}

impl<'de> Fields<'de> {
    fn take<A: MapAccess<'de>>(
        &mut self,
        field: &Field,
        expected: EventType,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match field {
            Field::EventId => once(&mut self.event_id, "eventId", map.next_value()?),
            Field::Type => once(&mut self.r#type, "type", map.next_value_seed(Text)?),
            Field::Version => once(&mut self.version, "version", map.next_value_seed(Version)?),
            Field::Timestamp => once(&mut self.timestamp, "timestamp", map.next_value()?),
            Field::CorrelationId => {
                let text = map.next_value_seed(Text)?;
                once(&mut self.correlation_id, "correlationId", text)
            }
            Field::CausationId => once(&mut self.causation_id, "causationId", map.next_value()?),
            Field::Key => once(&mut self.key, "key", map.next_value_seed(Text)?),
            Field::Payload => {
                let payload = map.next_value_seed(PayloadOf(expected))?;
                once(&mut self.payload, "payload", payload)
            }
            Field::Headers => once(&mut self.headers, "headers", map.next_value()?),
            Field::Unknown => map.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn complete<E: Error>(self) -> Result<Envelope<'de>, E> {
        Ok(Envelope {
            event_id: required(self.event_id, "eventId")?,
            r#type: required(self.r#type, "type")?,
            version: required(self.version, "version")?,
            timestamp: required(self.timestamp, "timestamp")?,
            correlation_id: required(self.correlation_id, "correlationId")?,
            causation_id: self.causation_id.flatten(),
            key: required(self.key, "key")?,
            payload: required(self.payload, "payload")?,
            headers: self.headers.flatten().unwrap_or_default(),
        })
    }
}

fn once<T, E: Error>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

fn required<T, E: Error>(slot: Option<T>, name: &'static str) -> Result<T, E> {
    slot.ok_or_else(|| E::missing_field(name))
}

struct Version;

impl<'de> DeserializeSeed<'de> for Version {
    type Value = i64;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        wire::whole(deserializer)
    }
}

struct PayloadOf(EventType);

impl<'de> DeserializeSeed<'de> for PayloadOf {
    type Value = Payload;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Payload, D::Error> {
        Payload::read(self.0, deserializer)
    }
}
