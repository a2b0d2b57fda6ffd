//! The one document that a service keeps of an order.

use std::collections::{BTreeMap, VecDeque};

use sagaline_contracts::{Event, EventId, EventType, OrderId, Payload, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::derived_event_id;
use crate::session::OUTBOX_GRACE;

/// The most distinct events that a service takes for one order; further ones are dead letters.
pub(crate) const EVENTS_MAX: usize = 2_000;
/// The most bytes that those may have together: stores take documents of 16 MB at most.
pub(crate) const WAITING_BYTES_MAX: usize = 6 * 1_024 * 1_024;
/// The most bytes that one event may have that a service tells because of another: none that means something comes near it,
/// and one that the broker does not take would never arrive.
pub(crate) const EMISSION_BYTES_MAX: usize = 256 * 1_024;
/// The most bytes of headers that are handed on from a cause to what it causes: they are kept with each.
const HEADERS_BYTES_MAX: usize = 4_096;
/// The most events that wait behind a parked one, or for something that they depend on.
pub(crate) const WAITING_MAX: usize = 1_000;

/// What a service knows of one order, saved as one document by compare-and-set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    bound(deserialize = "S: Deserialize<'de> + Default")
)]
pub struct OrderRecord<S> {
    /// The order.
    pub order_id: OrderId,
    /// The participant's own state.
    pub state: S,
    /// The latest timestamp that was given out for this order: the next one is later.
    #[serde(default)]
    pub clock: Timestamp,
    /// The inbox: every event that was handled, with what it caused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Applied>,
    /// Events that came before something that they depend on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early: Vec<Held>,
    /// Events that wait, in order: the first for a retry or an operator, the others behind it.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub parked: VecDeque<Parked>,
    /// Emissions that no Kafka record would bring back: published, but not known to be acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxEntry>,
}

/// An event that was handled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Applied {
    /// Its id.
    pub id: EventId,
    /// What it caused, published again on every redelivery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emitted: Vec<Emission>,
}

/// An event to publish, as it goes on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Emission {
    /// Its id.
    pub id: EventId,
    /// Where it goes.
    pub topic: String,
    /// The envelope.
    pub event: Box<RawValue>,
}

impl Emission {
    /// `event` on its way to its own topic.
    pub fn of(event: &Event) -> Self {
        Self::to(event.event_type().as_str(), event)
    }

    /// `event` on its way to `topic`.
    pub fn to(topic: &str, event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            topic: topic.to_owned(),
            event: raw_json(event.encode()),
        }
    }
}

/// Where a message stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A message that is kept in the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    /// Where it stood.
    pub source: Source,
    /// Its event id; a derived one when it has none that can be read.
    pub id: EventId,
    /// What it says.
    pub message: Message,
}

/// A message's value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Message {
    /// JSON: a valid event, or not.
    Json(Box<RawValue>),
    /// Anything else, in base64.
    Base64(String),
    /// No value at all.
    Missing,
}

impl Message {
    /// How many bytes it takes in a record.
    pub fn size(&self) -> usize {
        match self {
            Self::Json(json) => json.get().len(),
            Self::Base64(text) => text.len(),
            Self::Missing => 0,
        }
    }
}

/// An event that waits, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// The event. (Not flattened: serde cannot hand a raw value through a flattened field.)
    pub held: Held,
    /// Why it waits.
    pub reason: ParkedReason,
    /// How often it was tried in vain.
    #[serde(default)]
    pub attempts: u32,
}

/// Why an event waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ParkedReason {
    /// An earlier event of the order waits.
    Behind,
    /// Its effect failed; it is tried again.
    Retry {
        /// When.
        due: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// It is a dead letter; an operator decides.
    #[serde(rename_all = "camelCase")]
    DeadLetter {
        /// What went wrong.
        error: String,
        /// The dead letter, published again on every redelivery.
        letter: Emission,
    },
}

/// An emission that waits for its acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxEntry {
    /// The event.
    pub emission: Emission,
    /// How often it was published without an acknowledgement.
    pub attempts: u32,
    /// When it is published again.
    pub next_attempt: Timestamp,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl<S: Default> OrderRecord<S> {
    /// An order that the service has not heard of.
    pub fn unknown(order_id: OrderId) -> Self {
        Self {
            order_id,
            state: S::default(),
            clock: Timestamp::EPOCH,
            applied: Vec::new(),
            early: Vec::new(),
            parked: VecDeque::new(),
            outbox: Vec::new(),
        }
    }

    /// A record that an HTTP request makes: `cause` is the request's id, and the events it causes stand in the outbox
    /// until they are known to be acknowledged.
    pub fn create(
        order_id: OrderId,
        state: S,
        service: &str,
        cause: &EventId,
        payloads: Vec<Payload>,
        now: Timestamp,
    ) -> Self {
        let outbox_due = now + OUTBOX_GRACE;
        let mut record = Self::unknown(order_id);
        record.state = state;
        let emitted = record.emissions(service, cause, None, payloads, now);
        record.outbox = emitted
            .into_iter()
            .map(|emission| OutboxEntry::new(emission, outbox_due))
            .collect();
        record
    }
}

impl OutboxEntry {
    pub(crate) fn new(emission: Emission, next_attempt: Timestamp) -> Self {
        Self {
            emission,
            attempts: 0,
            next_attempt,
            last_error: None,
        }
    }
}

impl<S> OrderRecord<S> {
    /// Makes events of payloads: derived ids, timestamps later than the cause's and than all before.
    pub(crate) fn emissions(
        &mut self,
        service: &str,
        cause: &EventId,
        causing_event: Option<&Event>,
        payloads: Vec<Payload>,
        now: Timestamp,
    ) -> Vec<Emission> {
        let mut ordinals: Vec<(EventType, usize)> = Vec::new();
        payloads
            .into_iter()
            .map(|payload| {
                let kind = payload.event_type();
                let ordinal = ordinals.iter().filter(|(other, _)| *other == kind).count();
                ordinals.push((kind, ordinal));
                let event = Event {
                    id: derived_event_id(cause, service, kind, ordinal),
                    timestamp: self.tick(causing_event, now),
                    correlation_id: self.order_id.to_string(),
                    causation_id: causing_event.map(|event| event.id.clone()),
                    order_id: Some(self.order_id.clone()),
                    payload,
                    headers: causing_event.map(handed_on).unwrap_or_default(),
                };
                match &event.payload {
                    Payload::DeadLetter(letter) => {
                        let topic = letter.original_topic.as_deref().and_then(EventType::parse);
                        Emission::to(
                            topic.map_or(kind.dead_letter_topic(), EventType::dead_letter_topic),
                            &event,
                        )
                    }
                    _ => Emission::of(&event),
                }
            })
            .collect()
    }

    /// What is told from now on is later than `at`, also what names no event as its cause: a dead letter that dies again
    /// must be later than the redrive, or it is taken for redriven, and nobody sees it.
    pub(crate) fn follow(&mut self, at: Timestamp) {
        if crate::planted!("death before its redrive") {
            return;
        }
        self.clock = self.clock.max(at);
    }

    fn tick(&mut self, cause: Option<&Event>, now: Timestamp) -> Timestamp {
        if crate::planted!("timestamps of the machine") {
            return now;
        }
        let after_cause = cause.map_or(Timestamp::EPOCH, |event| event.timestamp.next());
        self.clock = now.max(after_cause).max(self.clock.next());
        self.clock
    }

    /// The event ids that this record has handled or holds.
    pub fn knows(&self, id: &EventId) -> bool {
        self.applied.iter().any(|applied| applied.id == *id)
            || self.early.iter().any(|held| held.id == *id)
            || self.parked.iter().any(|parked| parked.held.id == *id)
    }

    /// When the record next needs attention without an event: a retry or the outbox.
    pub fn due(&self) -> Option<Timestamp> {
        let retry = match self.parked.front().map(|parked| &parked.reason) {
            Some(ParkedReason::Retry { due, .. }) => Some(*due),
            _ => None,
        };
        self.outbox
            .iter()
            .map(|entry| entry.next_attempt)
            .chain(retry)
            .min()
    }
}

/// The headers that go on to what an event causes. Large ones end here: nobody reads them, and a record keeps what it emits.
fn handed_on(cause: &Event) -> BTreeMap<String, Value> {
    let is_small = cause.headers.is_empty()
        || serde_json::to_vec(&cause.headers).is_ok_and(|json| json.len() <= HEADERS_BYTES_MAX);
    if is_small {
        cause.headers.clone()
    } else {
        BTreeMap::new()
    }
}

/// JSON that was just written, or just parsed, as a raw value.
pub(crate) fn raw_json(json: Vec<u8>) -> Box<RawValue> {
    let text = String::from_utf8(json)
        .unwrap_or_else(|error| unreachable!("JSON of ours is UTF-8: {error}"));
    RawValue::from_string(text)
        .unwrap_or_else(|error| unreachable!("JSON of ours is JSON: {error}"))
}
