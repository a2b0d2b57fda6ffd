//! One event of an order, as the timeline holds it.

use std::borrow::Cow;
use std::cmp::Ordering;

use bytes::Bytes;
use sagaline_contracts::{Event, EventId, EventType, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::details::details;
use super::fact::Fact;
use super::lifecycle::is_lifecycle;
use super::order::Unreadable;
use super::render::{append, json};
use super::{LetterState, Status};

/// What an entry takes beside its payload, roughly.
const HEAD_SIZE: usize = 256;

/// One event of an order, as the timeline holds it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) id: EventId,
    pub(super) cause: Option<EventId>,
    pub(super) kind: EventType,
    pub(super) timestamp: Timestamp,
    pub(super) attempt: Option<u32>,
    pub(super) fact: Fact,
    /// When it took effect: later than its cause, whatever the clocks say.
    pub(super) effective: Timestamp,
    /// How many causes of the set stand before it.
    pub(super) depth: u32,
    /// What became of a dead letter.
    pub(super) letter_state: Option<LetterState>,
    /// How it stands in the document; the payload comes last. It is rendered when it comes, and not on every save.
    json: Vec<u8>,
    /// Where in `json` the payload begins.
    details_at: usize,
}

/// What places an entry among those that are kept when there are too many: the earliest of the lifecycle first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeepKey {
    pub(super) is_command: bool,
    pub(super) timestamp: Timestamp,
    pub(super) event_id: EventId,
}

/// An entry as it stands in the document.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EntryHead")]
pub(super) struct EntryOut<'a> {
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
}

impl Entry {
    /// The entry of an event; `wire` is how it came.
    pub fn new(event: Event, wire: &[u8]) -> Self {
        let details = details(&event.payload, wire);
        let mut entry = Self {
            id: event.id,
            cause: event.causation_id,
            kind: event.payload.event_type(),
            timestamp: event.timestamp,
            attempt: event.payload.attempt(),
            fact: Fact::of(event.payload),
            effective: event.timestamp,
            depth: 0,
            letter_state: None,
            json: Vec::new(),
            details_at: 0,
        };
        entry.render(&details);
        entry
    }

    pub(super) fn from_stored(stored: EntryIn<'_>) -> Result<Self, Unreadable> {
        let kind = EventType::parse(&stored.r#type)
            .ok_or_else(|| Unreadable::UnknownType(stored.r#type.clone().into_owned()))?;
        let timestamp = stored.timestamp.unwrap_or(stored.at);
        let details = stored.details.get().as_bytes();
        let mut entry = Self {
            id: stored.event_id,
            cause: stored.causation_id,
            kind,
            timestamp,
            attempt: stored.attempt,
            fact: Fact::parse(kind, details)?,
            effective: timestamp,
            depth: 0,
            letter_state: None,
            json: Vec::new(),
            details_at: 0,
        };
        entry.render(details);
        Ok(entry)
    }

    fn render(&mut self, details: &[u8]) {
        let out = EntryOut {
            r#type: self.kind.as_str(),
            at: self.effective,
            event_id: &self.id,
            causation_id: self.cause.as_ref(),
            attempt: self.attempt,
            timestamp: (self.timestamp != self.effective).then_some(self.timestamp),
            status: self.letter_state.map(LetterState::in_timeline),
        };
        let mut json = json(&out, HEAD_SIZE + details.len());
        self.details_at = append(&mut json, "details", details);
        self.json = json;
    }

    fn render_again(&mut self) {
        let details = self.details().to_vec();
        self.render(&details);
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
    pub fn details(&self) -> &[u8] {
        &self.json[self.details_at..self.json.len() - 1]
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
        };
        let mut json = json(&told, HEAD_SIZE + self.details().len());
        append(&mut json, "details", self.details());
        json.into()
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
        HEAD_SIZE + self.details().len()
    }

    /// Which of two events of the same id is the one that is shown: it must not depend on which came first.
    pub(super) fn content_order(&self, other: &Self) -> Ordering {
        let key = |entry: &Self| (entry.timestamp, entry.kind, entry.attempt);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.details().cmp(other.details()))
            .then_with(|| self.cause.cmp(&other.cause))
    }

    pub(super) fn place(&mut self, effective: Timestamp, depth: u32) {
        if self.effective != effective {
            self.effective = effective;
            self.render_again();
        }
        self.depth = depth;
    }

    pub(super) fn set_letter_state(&mut self, state: LetterState) {
        if self.letter_state != Some(state) {
            self.letter_state = Some(state);
            self.render_again();
        }
    }

    /// How it stands in the document.
    pub(super) fn json(&self) -> &[u8] {
        &self.json
    }
}
