//! One event of an order, as the timeline holds it.

use std::borrow::Cow;
use std::cmp::Ordering;

use bytes::Bytes;
use sagaline_contracts::{Event, EventId, EventType, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::details::{details, raw};
use super::fact::Fact;
use super::lifecycle::is_lifecycle;
use super::order::Unreadable;
use super::render::json;
use super::{LetterState, Status};

/// One event of an order, as the timeline holds it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) id: EventId,
    pub(super) cause: Option<EventId>,
    pub(super) kind: EventType,
    pub(super) timestamp: Timestamp,
    pub(super) attempt: Option<u32>,
    pub(super) fact: Fact,
    pub(super) details: Box<RawValue>,
    /// When it took effect: later than its cause, whatever the clocks say.
    pub(super) effective: Timestamp,
    /// How many causes of the set stand before it.
    pub(super) depth: u32,
    /// What became of a dead letter.
    pub(super) letter_state: Option<LetterState>,
    /// How it stands in the document, once that is known.
    rendered: Option<Box<RawValue>>,
}

/// What places an entry among those that are kept when there are too many: the earliest of the lifecycle first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeepKey {
    pub(super) is_command: bool,
    pub(super) timestamp: Timestamp,
    pub(super) event_id: EventId,
}

/// An entry as it stands in the document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryOut<'a> {
    r#type: &'static str,
    at: Timestamp,
    event_id: &'a EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    details: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryIn<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    at: Timestamp,
    event_id: EventId,
    causation_id: Option<EventId>,
    attempt: Option<u32>,
    timestamp: Option<Timestamp>,
    #[serde(borrow)]
    details: &'a RawValue,
}

/// An entry as the order's stream tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    r#type: &'static str,
    at: Timestamp,
    status: Option<Status>,
    event_id: &'a EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_status: Option<&'static str>,
    details: &'a RawValue,
}

impl Entry {
    /// The entry of an event; `wire` is how it came.
    pub fn new(event: Event, wire: &[u8]) -> Self {
        let details = details(&event.payload, wire);
        Self {
            id: event.id,
            cause: event.causation_id,
            kind: event.payload.event_type(),
            timestamp: event.timestamp,
            attempt: event.payload.attempt(),
            fact: Fact::of(event.payload),
            details,
            effective: event.timestamp,
            depth: 0,
            letter_state: None,
            rendered: None,
        }
    }

    pub(super) fn from_stored(stored: EntryIn<'_>) -> Result<Self, Unreadable> {
        let kind = EventType::parse(&stored.r#type)
            .ok_or_else(|| Unreadable::UnknownType(stored.r#type.clone().into_owned()))?;
        let timestamp = stored.timestamp.unwrap_or(stored.at);
        Ok(Self {
            id: stored.event_id,
            cause: stored.causation_id,
            kind,
            timestamp,
            attempt: stored.attempt,
            fact: Fact::parse(kind, stored.details)?,
            details: stored.details.to_owned(),
            effective: timestamp,
            depth: 0,
            letter_state: None,
            rendered: None,
        })
    }

    /// The event's id.
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// The event's type.
    pub fn kind(&self) -> EventType {
        self.kind
    }

    /// When it took effect: its own timestamp, or just after its cause when its clock was behind.
    pub fn at(&self) -> Timestamp {
        self.effective
    }

    /// The attempt that it belongs to, when it says so.
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// The payload as JSON.
    pub fn details(&self) -> &RawValue {
        &self.details
    }

    /// The event that caused it.
    pub fn cause(&self) -> Option<&EventId> {
        self.cause.as_ref()
    }

    /// The entry as the order's stream tells it: `status` is where the order stood after it.
    pub fn told(&self, status: Option<Status>) -> Bytes {
        let told = Told {
            r#type: self.kind.as_str(),
            at: self.effective,
            status,
            event_id: &self.id,
            causation_id: self.cause.as_ref(),
            attempt: self.attempt,
            dead_letter_status: self.letter_state.map(LetterState::in_timeline),
            details: &self.details,
        };
        json(&told, 256 + self.details.get().len())
    }

    pub(super) fn keep_key(&self) -> KeepKey {
        KeepKey {
            is_command: !is_lifecycle(self.kind),
            timestamp: self.timestamp,
            event_id: self.id.clone(),
        }
    }

    /// What the entry takes in a document, roughly.
    pub(super) fn weight(&self) -> usize {
        256 + self.details.get().len()
    }

    /// Which of two events of the same id is the one that is shown: it must not depend on which came first.
    pub(super) fn content_order(&self, other: &Self) -> Ordering {
        let key = |entry: &Self| (entry.timestamp, entry.kind, entry.attempt);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.details.get().cmp(other.details.get()))
            .then_with(|| self.cause.cmp(&other.cause))
    }

    pub(super) fn place(&mut self, effective: Timestamp, depth: u32) {
        if self.effective != effective {
            self.effective = effective;
            self.rendered = None;
        }
        self.depth = depth;
    }

    pub(super) fn set_letter_state(&mut self, state: LetterState) {
        if self.letter_state != Some(state) {
            self.letter_state = Some(state);
            self.rendered = None;
        }
    }

    /// Makes sure that [`Entry::rendered`] is there: an entry is rendered once, and not on every save.
    pub(super) fn prepare(&mut self) {
        if self.rendered.is_none() {
            self.rendered = Some(raw(&EntryOut {
                r#type: self.kind.as_str(),
                at: self.effective,
                event_id: &self.id,
                causation_id: self.cause.as_ref(),
                attempt: self.attempt,
                timestamp: (self.timestamp != self.effective).then_some(self.timestamp),
                status: self.letter_state.map(LetterState::in_timeline),
                details: &self.details,
            }));
        }
    }

    pub(super) fn rendered(&self) -> &RawValue {
        self.rendered.as_deref().unwrap_or(RawValue::NULL)
    }
}
