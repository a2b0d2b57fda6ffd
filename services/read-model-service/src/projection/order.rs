//! An order as the set of its events.

use std::collections::HashMap;

use sagaline_contracts::payload::{RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventId, EventType, OrderId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::causality::{Finder, arrange};
use super::entry::{Entry, EntryIn, KeepKey};
use super::fact::{Fact, concerns, replacement};
use super::fold::Fold;
use super::{LetterState, Lifecycle, PROJECTOR, Status};

/// The most events that are kept of one order; of more, the earliest of the lifecycle come first.
pub const EVENTS_MAX: usize = 5_000;
/// The most bytes, roughly, that the events of one order take.
const WEIGHT_MAX: usize = 6 * 1024 * 1024;

/// An order as the set of its events, in the timeline's order.
#[derive(Debug, Clone)]
pub struct Order {
    id: OrderId,
    pub(super) entries: Vec<Entry>,
    /// The first event that there was no room for: from there on everything is left out.
    pub(super) cut: Option<KeepKey>,
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Events that were new.
    pub added: Vec<(EventId, EventType)>,
    /// Events that were there already.
    pub duplicates: Vec<EventType>,
    /// The document is another one now.
    pub changed: bool,
}

/// A stored document that cannot be read: a damaged store, or one that a later version has written.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not the JSON that it should be.
    #[error("the document is not one that this version has written; rebuild the read model")]
    Json(#[from] serde_json::Error),
    /// It has an event of a type that this version does not know.
    #[error("the document has an event of the unknown type {0:?}; rebuild the read model")]
    UnknownType(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    order_id: OrderId,
    #[serde(borrow)]
    timeline: Vec<EntryIn<'a>>,
    #[serde(default)]
    truncated: Option<KeepKey>,
}

impl Order {
    /// An order that nothing is known of.
    pub fn new(id: OrderId) -> Self {
        Self {
            id,
            entries: Vec::new(),
            cut: None,
        }
    }

    /// The order of a stored document.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let stored: Stored<'_> = serde_json::from_slice(body)?;
        let entries: Result<Vec<Entry>, Unreadable> = stored
            .timeline
            .into_iter()
            .map(Entry::from_stored)
            .collect();
        let mut order = Self {
            id: stored.order_id,
            entries: entries?,
            cut: stored.truncated,
        };
        order.settle();
        Ok(order)
    }

    /// The order's id.
    pub fn id(&self) -> &OrderId {
        &self.id
    }

    /// The timeline.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Events were left out because there were too many.
    pub fn is_truncated(&self) -> bool {
        self.cut.is_some()
    }

    /// Merges events into the set, in any order and as often as they come.
    pub fn merge(&mut self, incoming: impl IntoIterator<Item = Entry>) -> Merged {
        let incoming = incoming.into_iter();
        let mut finder = Finder::new(&self.entries, incoming.size_hint().0);
        let mut merged = Merged::default();
        for entry in incoming {
            self.insert(entry, &mut finder, &mut merged);
        }
        self.apply_redriven(&mut finder, &mut merged);
        if merged.changed {
            self.keep_within_limits();
            self.settle();
        }
        merged
    }

    /// Merges another copy of the same order into this one.
    pub fn merge_copy(&mut self, other: Self) -> Merged {
        let cut_before = self.cut.clone();
        self.cut = self.cut.take().into_iter().chain(other.cut).min();
        let mut merged = self.merge(other.entries);
        if self.cut != cut_before {
            merged.changed = true;
            self.keep_within_limits();
            self.settle();
        }
        merged
    }

    fn insert(&mut self, entry: Entry, finder: &mut Finder, merged: &mut Merged) {
        if let Some(at) = finder.find(&self.entries, &entry.id) {
            merged.duplicates.push(entry.kind);
            if entry.content_order(&self.entries[at]).is_lt() {
                self.entries[at] = entry;
                merged.changed = true;
            }
            return;
        }
        if self
            .cut
            .as_ref()
            .is_some_and(|cut| entry.keep_key() >= *cut)
        {
            merged.duplicates.push(entry.kind);
            return;
        }
        finder.note(&entry.id, self.entries.len());
        merged.added.push((entry.id.clone(), entry.kind));
        self.entries.push(entry);
        merged.changed = true;
    }

    /// A message that could not be read takes its place in the timeline once an operator has redriven it to the read
    /// model, because the request carries the event.
    fn apply_redriven(&mut self, finder: &mut Finder, merged: &mut Merged) {
        let redriven: Vec<Entry> = self
            .entries
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Redrive(redrive) if self.is_for_us(redrive) => replacement(redrive),
                _ => None,
            })
            .filter_map(|event| self.entry_of(event))
            .collect();
        let counted = (merged.added.len(), merged.duplicates.len());
        for entry in redriven {
            self.insert(entry, finder, merged);
        }
        // They came within an event that is counted already.
        merged.added.truncate(counted.0);
        merged.duplicates.truncate(counted.1);
    }

    fn is_for_us(&self, redrive: &RedriveRequested) -> bool {
        if !redrive.consumers.is_empty() {
            return concerns(&redrive.consumers, Some(PROJECTOR));
        }
        self.entries.iter().any(|entry| match &entry.fact {
            Fact::Died(died) => {
                died.consumer.as_deref() == Some(PROJECTOR)
                    && died.letter.as_deref() == Some(&redrive.dead_letter_id)
            }
            _ => false,
        })
    }

    fn entry_of(&self, event: &Value) -> Option<Entry> {
        let (event, wire) = match event {
            Value::String(text) => (serde_json::from_str(text).ok()?, text.clone()),
            event => (event.clone(), event.to_string()),
        };
        let kind = EventType::parse(event.get("type")?.as_str()?)?;
        let event = Event::from_json(kind, wire.as_bytes()).ok()?;
        (event.order_id.as_ref() == Some(&self.id)).then(|| Entry::new(event, wire.as_bytes()))
    }

    /// Leaves out what there is no room for. What is kept depends on the set alone: it is sorted by a key that no other
    /// event changes, and cut off at the first that does not fit; that one's key is remembered.
    fn keep_within_limits(&mut self) {
        let weight: usize = self.entries.iter().map(Entry::weight).sum();
        let has_cut = self.cut.is_some();
        if self.entries.len() <= EVENTS_MAX && weight <= WEIGHT_MAX && !has_cut {
            return;
        }
        self.entries.sort_by_cached_key(Entry::keep_key);
        let mut weight = 0;
        let first_out = self.entries.iter().enumerate().position(|(at, entry)| {
            weight += entry.weight();
            at >= EVENTS_MAX
                || weight > WEIGHT_MAX
                || self
                    .cut
                    .as_ref()
                    .is_some_and(|cut| entry.keep_key() >= *cut)
        });
        if let Some(first_out) = first_out {
            let key = self.entries[first_out].keep_key();
            self.cut = self.cut.take().into_iter().chain(Some(key)).min();
            self.entries.truncate(first_out);
        }
    }

    /// Puts the entries in order and says what became of each dead letter: what an operator decided next about it.
    fn settle(&mut self) {
        arrange(&mut self.entries);
        if !self.entries.iter().any(|e| e.kind == EventType::DeadLetter) {
            return;
        }
        let mut later: HashMap<String, Vec<(RedriveAction, Vec<String>)>> = HashMap::new();
        for entry in self.entries.iter_mut().rev() {
            let state = match &entry.fact {
                Fact::Redrive(redrive) => {
                    let decision = (redrive.action, redrive.consumers.clone());
                    let decisions = later.entry(redrive.dead_letter_id.clone()).or_default();
                    decisions.push(decision);
                    continue;
                }
                Fact::Died(died) => {
                    let consumer = died.consumer.as_deref();
                    let decisions = died.letter.as_ref().and_then(|letter| later.get(letter));
                    decisions
                        .into_iter()
                        .flat_map(|decisions| decisions.iter().rev())
                        .find(|(_, consumers)| concerns(consumers, consumer))
                        .map_or(LetterState::Waiting, |(action, _)| (*action).into())
                }
                _ => continue,
            };
            entry.set_letter_state(state);
        }
    }

    /// What follows from the timeline.
    pub fn fold(&self) -> Fold<'_> {
        Fold::of(self)
    }

    /// Where the order stood after each event of the timeline.
    pub fn statuses(&self) -> impl Iterator<Item = (&Entry, Option<Status>)> {
        let mut lifecycle = Lifecycle::default();
        self.entries.iter().map(move |entry| {
            lifecycle.apply(entry.kind, entry.attempt);
            (entry, lifecycle.status)
        })
    }

    /// Whether an event of this id is in the set.
    pub fn knows(&self, id: &EventId) -> bool {
        self.entries.iter().any(|entry| entry.id == *id)
    }

    /// When the latest event took effect.
    pub fn updated_at(&self) -> Timestamp {
        self.entries.last().map_or(Timestamp::EPOCH, Entry::at)
    }
}
