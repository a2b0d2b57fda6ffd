//! The envelope: the one way in and the one way out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::envelope::Envelope;
use crate::{EventId, EventType, OrderId, Payload, Rejected, RejectedKind, Timestamp, schema};

/// The major version of every envelope that this build reads and writes.
pub const ENVELOPE_VERSION: u32 = 1;

/// An event of the contract: it exists only if it is valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique, and the same on every redelivery.
    pub id: EventId,
    /// When it happened, hybrid-logical: later than its cause, whatever the clocks say.
    pub timestamp: Timestamp,
    /// What belongs together; the order's id for a saga.
    pub correlation_id: String,
    /// The event that caused this one.
    pub causation_id: Option<EventId>,
    /// The order, which is also the message key; a dead letter may not know it.
    pub order_id: Option<OrderId>,
    /// What happened.
    pub payload: Payload,
    /// Additions that services hand on without reading them.
    pub headers: BTreeMap<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireOut<'a> {
    event_id: &'a EventId,
    r#type: &'static str,
    version: u32,
    timestamp: Timestamp,
    correlation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a EventId>,
    key: &'a str,
    payload: &'a Payload,
    headers: &'a BTreeMap<String, Value>,
}

impl Event {
    /// The event's type.
    pub const fn event_type(&self) -> EventType {
        self.payload.event_type()
    }

    /// The message key: the order's id, or nothing for a dead letter without one.
    pub fn key(&self) -> &str {
        self.order_id.as_ref().map_or("", OrderId::as_str)
    }

    /// The event as JSON, as it stands in the message's value.
    pub fn encode(&self) -> Vec<u8> {
        let wire = WireOut {
            event_id: &self.id,
            r#type: self.event_type().as_str(),
            version: ENVELOPE_VERSION,
            timestamp: self.timestamp,
            correlation_id: &self.correlation_id,
            causation_id: self.causation_id.as_ref(),
            key: self.key(),
            payload: &self.payload,
            headers: &self.headers,
        };
        let mut json = Vec::with_capacity(512);
        // Every map key is a string and no Serialize of ours fails, so neither can this.
        if let Err(error) = serde_json::to_writer(&mut json, &wire) {
            unreachable!("an event is always JSON: {error}");
        }
        json
    }

    /// Reads a message of the topic for `expected`.
    ///
    /// # Errors
    /// Says for a person what is wrong, naming the field where there is one.
    pub fn decode(
        expected: EventType,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Self, Rejected> {
        let value = value.ok_or_else(|| {
            Rejected::new(
                RejectedKind::NoValue,
                "the message has no value; an event is a JSON object",
            )
        })?;
        let event = Self::from_json(expected, value)?;
        match key {
            _ if event.order_id.is_none() => Ok(event),
            None | Some([]) => Err(Rejected::new(
                RejectedKind::NoKey,
                format!(
                    "the message has no key; it must be payload.orderId, {:?}",
                    event.key()
                ),
            )),
            Some(key) if key != event.key().as_bytes() => Err(Rejected::new(
                RejectedKind::KeyMismatch,
                format!(
                    "the message's key is {:?}, but payload.orderId is {:?}",
                    String::from_utf8_lossy(key),
                    event.key()
                ),
            )),
            Some(_) => Ok(event),
        }
    }

    /// Reads an event of type `expected` from JSON, without a message around it.
    pub fn from_json(expected: EventType, json: &[u8]) -> Result<Self, Rejected> {
        let text = std::str::from_utf8(json).map_err(|error| {
            Rejected::new(
                RejectedKind::NotJson,
                format!("the value is not UTF-8: {error}"),
            )
        })?;
        let wire = Envelope::read(expected, text)
            .map_err(|error| schema::explain(expected, text, &error))?;
        if wire.r#type != expected.as_str() {
            return Err(Rejected::wrong_topic(expected, &wire.r#type));
        }
        if wire.version != i64::from(ENVELOPE_VERSION) {
            return Err(Rejected::new(
                RejectedKind::UnknownVersion,
                format!(
                    "version is {}; this build reads version {ENVELOPE_VERSION}",
                    wire.version
                ),
            ));
        }
        let payload = wire.payload;
        let order_id = payload.order_id().cloned();
        if order_id.as_ref().is_some_and(|id| id.as_str() != wire.key) {
            return Err(Rejected::new(
                RejectedKind::KeyMismatch,
                format!(
                    "key is {:?}, but payload.orderId is {:?}",
                    wire.key,
                    order_id.map(|id| id.to_string()).unwrap_or_default()
                ),
            ));
        }
        Ok(Self {
            id: wire.event_id,
            timestamp: wire.timestamp,
            correlation_id: wire.correlation_id.into_owned(),
            causation_id: wire.causation_id,
            order_id,
            payload,
            headers: wire.headers,
        })
    }
}
