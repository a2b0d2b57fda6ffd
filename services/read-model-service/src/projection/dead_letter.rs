//! A message that could not be handled, with everyone who could not and what was decided.

use std::collections::BTreeMap;

use bytes::Bytes;

use sagaline_contracts::payload::{DeadLetter, RedriveAction};
use sagaline_contracts::{Event, EventId, OrderId, Payload, Timestamp};
use sagaline_saga::message_id;
use sagaline_store::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LetterState;
use super::bounds::{clipped, clipped_value, stored_name};
use super::decision::{Decision, OrphanDiscard};
use super::details::storable;
use super::fact::concerns;
use super::history::{Dated, Shorten, unite};
use super::order::Unreadable;
use super::render::json;

/// The most deaths, and the most decisions, that are kept of one message.
const HISTORY_MAX: usize = 500;
/// What is kept of the payload of a message as it died first: it is what an operator has handled again.
const FIRST_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What is kept of the payload of the other deaths.
const LATER_BYTES_MAX: usize = 2 * 1024;
/// What is kept of an error, and of a name.
const ERROR_BYTES_MAX: usize = 2 * 1024;
const NAME_BYTES_MAX: usize = 256;

/// A message that could not be handled: the set of its deaths and of the decisions about it.
#[derive(Debug, Clone, PartialEq)]
pub struct PostMortem {
    id: String,
    deaths: Vec<Dated<DeadLetter>>,
    decisions: Vec<Dated<Decision>>,
}

/// How one consumer's copy stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Copy<'a> {
    /// The service, when the letter says which.
    pub consumer: &'a str,
    /// What was wrong, the last time.
    pub error: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// When it died, the last time.
    pub at: Timestamp,
    /// What became of it.
    pub state: LetterState,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DeadLetterRecord")]
pub(crate) struct DocumentOut<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    dead_letter_id: &'a str,
    state: LetterState,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    original_type: &'a str,
    original_event_id: &'a str,
    error: &'a str,
    payload: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    at: Timestamp,
    last_died_at: Timestamp,
    updated_at: Timestamp,
    consumers: Vec<Copy<'a>>,
    deaths: &'a [Dated<DeadLetter>],
    decisions: &'a [Dated<Decision>],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentIn {
    dead_letter_id: String,
    deaths: Vec<Dated<DeadLetter>>,
    decisions: Vec<Dated<Decision>>,
}

/// The id of the message that a dead letter is about; another program's letter may not say it.
pub(crate) fn letter_id(event: &Event, letter: &DeadLetter) -> String {
    match (letter, &letter.original_topic) {
        (
            DeadLetter {
                dead_letter_id: Some(id),
                ..
            },
            _,
        ) => id.clone(),
        (
            DeadLetter {
                partition: Some(partition),
                offset: Some(offset),
                ..
            },
            Some(topic),
        ) => message_id(topic, *partition, *offset).to_string(),
        _ => event.id.to_string(),
    }
}

/// A death with its texts cut and at most so many bytes of its payload.
fn bounded(letter: &DeadLetter, payload_max: usize) -> DeadLetter {
    let name = |text: &str| clipped(text, NAME_BYTES_MAX).into_owned();
    let long = |text: &String| clipped(text, payload_max).into_owned();
    DeadLetter {
        original_type: name(&letter.original_type),
        original_event_id: name(&letter.original_event_id),
        order_id: letter.order_id.clone(),
        error: clipped(&letter.error, ERROR_BYTES_MAX).into_owned(),
        payload: clipped_value(&letter.payload, payload_max),
        original_topic: letter.original_topic.as_deref().map(name),
        partition: letter.partition,
        offset: letter.offset,
        consumer: letter.consumer.as_deref().map(name),
        attempts: letter.attempts,
        raw: letter.raw.as_ref().map(long),
        dead_letter_id: letter.dead_letter_id.as_ref().map(long),
    }
}

impl Shorten for DeadLetter {
    fn shortened(&self) -> Self {
        bounded(self, LATER_BYTES_MAX)
    }
}

impl Shorten for Decision {}

impl PostMortem {
    /// A message of which nothing is known.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self {
            id: stored_name(id.as_ref()).into_owned(),
            deaths: Vec::new(),
            decisions: Vec::new(),
        }
    }

    /// The message that an event tells about, when it is about a dead letter.
    pub fn of(event: &Event) -> Option<Self> {
        let (at, event_id) = (event.timestamp, event.id.clone());
        match &event.payload {
            Payload::DeadLetter(letter) => {
                let mut it = Self::new(letter_id(event, letter));
                let what = DeadLetter {
                    payload: storable(&letter.payload),
                    ..letter.clone()
                };
                let what = bounded(&what, FIRST_BYTES_MAX);
                it.deaths.push(Dated { at, event_id, what });
                Some(it)
            }
            Payload::RedriveRequested(request) => {
                let mut it = Self::new(&request.dead_letter_id);
                let what = Decision::of(request, event);
                it.decisions.push(Dated { at, event_id, what });
                Some(it)
            }
            _ => None,
        }
    }

    /// The message that is dropped by this.
    pub fn discarded(discard: &OrphanDiscard) -> Self {
        let what = Decision {
            action: RedriveAction::Discard,
            consumers: Vec::new(),
            requested_by: discard.requested_by.clone(),
            edited: false,
            answers: None,
        };
        let (at, event_id) = (discard.at, discard.command_id.clone());
        let mut it = Self::new(&discard.dead_letter_id);
        it.decisions.push(Dated { at, event_id, what });
        it
    }

    /// The message of a stored document.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let stored: DocumentIn = serde_json::from_slice(body)?;
        Ok(Self {
            id: stored.dead_letter_id,
            deaths: stored.deaths,
            decisions: stored.decisions,
        })
    }

    /// Merges what is known here and there; says whether that is more than before.
    pub fn merge(&mut self, other: Self) -> bool {
        let before = self.clone();
        unite(&mut self.deaths, other.deaths, HISTORY_MAX);
        unite(&mut self.decisions, other.decisions, HISTORY_MAX);
        before != *self
    }

    /// The id under which the message is stored.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The message's id as events say it: whoever holds it knows it by this one.
    pub fn told_id(&self) -> &str {
        let told = |death: &DeadLetter| death.dead_letter_id.is_some();
        let first = self.first_death().filter(|death| told(death));
        first
            .and_then(|death| death.dead_letter_id.as_deref())
            .unwrap_or(&self.id)
    }

    /// The message as it died first.
    pub fn first_death(&self) -> Option<&DeadLetter> {
        self.deaths.first().map(|death| &death.what)
    }

    /// When it died first.
    pub fn died_at(&self) -> Option<Timestamp> {
        self.deaths.first().map(|death| death.at)
    }

    /// The latest that is known of it.
    pub fn updated_at(&self) -> Timestamp {
        let deaths = self.deaths.last().map(|death| death.at);
        let decisions = self.decisions.last().map(|decision| decision.at);
        deaths.max(decisions).unwrap_or_default()
    }

    /// The ids of the latest deaths that nobody has decided about yet, by consumer: what an operator decides about next.
    pub fn undecided_deaths(&self) -> Vec<&EventId> {
        self.deaths_decided_by(None)
    }

    /// The ids of the latest deaths that this decision was about: of none of them there was one before.
    pub fn decided_deaths(&self, decision: &EventId) -> Vec<&EventId> {
        self.deaths_decided_by(Some(decision))
    }

    fn deaths_decided_by(&self, decision: Option<&EventId>) -> Vec<&EventId> {
        let of_it = |death: &&Dated<DeadLetter>| {
            self.decision_about(death).map(|decided| &decided.event_id) == decision
        };
        let latest = self.latest().into_values();
        latest.filter(of_it).map(|death| &death.event_id).collect()
    }

    /// The decisions, the earliest first, with the ids of their commands.
    pub fn decisions(&self) -> impl DoubleEndedIterator<Item = (&EventId, &Decision)> {
        self.decisions
            .iter()
            .map(|decision| (&decision.event_id, &decision.what))
    }

    /// The order that it belongs to, where one could be made out.
    pub fn order_id(&self) -> Option<&OrderId> {
        self.deaths
            .iter()
            .find_map(|death| death.what.order_id.as_ref())
    }

    /// The latest death at each consumer.
    fn latest(&self) -> BTreeMap<&str, &Dated<DeadLetter>> {
        self.deaths
            .iter()
            .map(|death| (death.what.consumer.as_deref().unwrap_or(""), death))
            .collect()
    }

    /// How each consumer's copy stands.
    pub fn copies(&self) -> Vec<Copy<'_>> {
        self.latest()
            .into_iter()
            .map(|(consumer, death)| Copy {
                consumer,
                error: &death.what.error,
                attempts: death.what.attempts.unwrap_or(1),
                at: death.at,
                state: self.state_of(death),
            })
            .collect()
    }

    /// The first decision about a death: what was decided cannot be decided again.
    fn decision_about(&self, death: &Dated<DeadLetter>) -> Option<&Dated<Decision>> {
        self.decisions.iter().find(|decision| {
            let answers = decision.what.answers.as_ref() == Some(&death.event_id);
            let is_later = (decision.at, &decision.event_id) > (death.at, &death.event_id);
            (is_later || answers)
                && concerns(&decision.what.consumers, death.what.consumer.as_deref())
        })
    }

    fn state_of(&self, death: &Dated<DeadLetter>) -> LetterState {
        self.decision_about(death)
            .map_or(LetterState::Waiting, |decision| decision.what.action.into())
    }

    /// What became of it: it waits as long as anyone's copy does.
    pub fn state(&self) -> LetterState {
        let states: Vec<LetterState> = self.copies().iter().map(|copy| copy.state).collect();
        [LetterState::Waiting, LetterState::Redriven]
            .into_iter()
            .find(|state| states.contains(state))
            .unwrap_or(if states.is_empty() {
                LetterState::Waiting
            } else {
                LetterState::Discarded
            })
    }

    /// The document: the API's form is the stored form. Nothing is listed before its death is known.
    pub fn document(&self) -> (Bytes, Index) {
        let empty = Value::Null;
        let first = self.first_death();
        let text = |of: fn(&DeadLetter) -> &str| first.map_or("", of);
        let state = self.state();
        let last_died_at = self.deaths.last().map(|death| death.at);
        let document = DocumentOut {
            id: &self.id,
            dead_letter_id: &self.id,
            state,
            order_id: self.order_id().map(OrderId::as_str),
            topic: first.map_or("", topic),
            partition: first.and_then(|letter| letter.partition),
            offset: first.and_then(|letter| letter.offset),
            original_type: text(|letter| &letter.original_type),
            original_event_id: text(|letter| &letter.original_event_id),
            error: text(|letter| &letter.error),
            payload: first.map_or(&empty, |letter| &letter.payload),
            raw: first.and_then(|letter| letter.raw.as_deref()),
            at: self.died_at().unwrap_or_else(|| self.updated_at()),
            last_died_at: last_died_at.unwrap_or_else(|| self.updated_at()),
            updated_at: self.updated_at(),
            consumers: self.copies(),
            deaths: &self.deaths,
            decisions: &self.decisions,
        };
        let index = Index {
            due: None,
            tag: Some(state.as_str().to_owned()),
            rank: last_died_at.map(Timestamp::micros),
            settled: state != LetterState::Waiting,
        };
        (json(&document, 1024).into(), index)
    }
}

/// The topic that a dead letter's message stood in.
pub(crate) fn topic(letter: &DeadLetter) -> &str {
    letter
        .original_topic
        .as_deref()
        .unwrap_or(&letter.original_type)
}
