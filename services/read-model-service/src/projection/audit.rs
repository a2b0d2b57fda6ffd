//! Who asked for what, when, and what became of it.

use bytes::Bytes;
use sagaline_commands::{action_name, step_name};
use sagaline_contracts::payload::RedriveAction;
use sagaline_contracts::{EventId, EventType, OrderId, Timestamp};
use sagaline_saga::derived_event_id;
use sagaline_store::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::{clipped, stored_name};
use super::decision::OrphanDiscard;
use super::entry::Entry;
use super::fact::Fact;
use super::history::{Dated, Shorten, unite};
use super::order::Unreadable;
use super::render::json;
use super::{Order, SAGA_TIMEOUT};

const ANSWERS_MAX: usize = 20;
/// What is kept of an answer's reason; the timeline has all of it.
const REASON_BYTES_MAX: usize = 4 * 1024;
const UNKNOWN: &str = "unknown";
/// How the read model answers what was asked of it alone, and is done.
const DONE: &str = "done";

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditOutcome {
    /// Nobody has answered yet.
    Pending,
    /// It was carried out.
    Accepted,
    /// It was refused.
    Rejected,
}

/// A command, with the answers to it as a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    command: Command,
    answers: Vec<Dated<Answer>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Command {
    #[serde(rename = "commandId")]
    id: EventId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    /// As `CommandRejected` names it: `retry payment`, `releaseInventory`, `redrive`.
    #[serde(rename = "command")]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter_id: Option<String>,
    requested_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    at: Timestamp,
}

/// A command that no event tells of: it is kept by the read model itself, in the form of the audit.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept(pub Audit);

/// What an operator asked of the read model itself.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The command's id.
    pub id: EventId,
    /// What: `rebuild`, `redrive`, `discard`.
    pub command: &'a str,
    /// The dead letter that it is about.
    pub dead_letter_id: Option<&'a str>,
    /// The dead letter's order.
    pub order_id: Option<OrderId>,
    /// Who.
    pub requested_by: &'a str,
    /// What else is worth knowing.
    pub note: Option<&'a str>,
    /// When.
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Answer {
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditRecord")]
pub(crate) struct DocumentOut<'a> {
    #[serde(rename = "_id")]
    id: &'a EventId,
    #[serde(flatten)]
    command: &'a Command,
    outcome: AuditOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    answers: &'a [Dated<Answer>],
}

#[derive(Deserialize)]
struct DocumentIn {
    #[serde(flatten)]
    command: Command,
    answers: Vec<Dated<Answer>>,
}

impl Audit {
    /// The audit of every command that is known of an order, with the answers that are known.
    pub fn of_order(order: &Order) -> impl Iterator<Item = Self> {
        order.entries.iter().filter_map(|entry| {
            let command = Command::of(entry, order.id())?;
            let answers = answers(order, &entry.id);
            Some(Self { command, answers })
        })
    }

    /// The audit of a decision about a dead letter that belongs to no order.
    pub fn of_discard(discard: &OrphanDiscard) -> Self {
        let command = Command {
            id: discard.command_id.clone(),
            order_id: None,
            name: redrive_name(RedriveAction::Discard).to_owned(),
            attempt: None,
            dead_letter_id: Some(discard.dead_letter_id.clone()),
            requested_by: discard.requested_by.clone(),
            note: None,
            at: discard.at,
        };
        Self {
            command,
            answers: Vec::new(),
        }
    }

    /// The audit of what was asked of the read model itself.
    pub fn of_asked(asked: Asked<'_>) -> Self {
        let command = Command {
            id: asked.id,
            order_id: asked.order_id,
            name: asked.command.to_owned(),
            attempt: None,
            dead_letter_id: asked.dead_letter_id.map(str::to_owned),
            requested_by: asked.requested_by.to_owned(),
            note: asked.note.map(str::to_owned),
            at: asked.at,
        };
        Self {
            command,
            answers: Vec::new(),
        }
    }

    /// The same with its outcome: `refused` says why it could not be.
    #[must_use]
    pub fn answered(mut self, at: Timestamp, refused: Option<&str>) -> Self {
        let r#type = match refused {
            Some(_) => EventType::CommandRejected.as_str(),
            None => DONE,
        };
        self.answers.push(Dated {
            at,
            event_id: derived_event_id(self.id(), r#type, EventType::CommandRejected, 0),
            what: Answer {
                r#type: r#type.to_owned(),
                reason: refused.map(|why| clipped(why, REASON_BYTES_MAX).into_owned()),
            },
        });
        self
    }

    /// The audit of a stored document.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let stored: DocumentIn = serde_json::from_slice(body)?;
        let DocumentIn { command, answers } = stored;
        Ok(Self { command, answers })
    }

    /// The command's id.
    pub fn id(&self) -> &EventId {
        &self.command.id
    }

    /// Merges what is known here and there: the command as it was asked for first, and all answers; says whether that is more than before.
    pub fn merge(&mut self, other: Self) -> bool {
        // Two clicks are one command that was published at two times: which of them is shown must not depend on which came first.
        let is_first = other.command.content() < self.command.content();
        if is_first {
            self.command = other.command;
        }
        let before = self.answers.clone();
        unite(&mut self.answers, other.answers, ANSWERS_MAX);
        is_first || before != self.answers
    }

    /// What became of the command. A decision about a dead letter is carried out by whoever holds it, without an answer.
    pub fn outcome(&self) -> AuditOutcome {
        let is_done = |answer: &Dated<Answer>| answer.what.r#type == DONE;
        if self.answers.iter().any(is_done) {
            // It may have been cut off before.
            AuditOutcome::Accepted
        } else if self.answers.iter().any(|answer| answer.what.is_refusal()) {
            AuditOutcome::Rejected
        } else if self.answers.is_empty() && self.command.dead_letter_id.is_none() {
            AuditOutcome::Pending
        } else {
            AuditOutcome::Accepted
        }
    }

    /// The document: the API's form is the stored form.
    pub fn document(&self) -> (Bytes, Index) {
        let outcome = self.outcome();
        let refusals = self
            .answers
            .iter()
            .filter(|answer| answer.what.is_refusal());
        let reason = refusals
            .filter_map(|answer| answer.what.reason.as_deref())
            .next_back()
            .filter(|_| outcome == AuditOutcome::Rejected);
        let document = DocumentOut {
            id: self.id(),
            command: &self.command,
            outcome,
            reason,
            answers: &self.answers,
        };
        let by = &self.command.requested_by;
        let index = Index {
            due: None,
            tag: Some(stored_name(by).into_owned()),
            rank: Some(self.command.at.micros()),
            // A timeout's wish for an order that has shipped meanwhile gets no answer.
            settled: outcome != AuditOutcome::Pending || by == SAGA_TIMEOUT,
        };
        (json(&document, 512).into(), index)
    }
}

impl Shorten for Answer {}

impl Answer {
    fn is_refusal(&self) -> bool {
        self.r#type == EventType::CommandRejected.as_str()
    }
}

impl Command {
    /// Which of two of the same id counts.
    fn content(&self) -> (Timestamp, String) {
        let text = serde_json::to_string(self).unwrap_or_default();
        (self.at, text)
    }

    fn of(entry: &Entry, order_id: &OrderId) -> Option<Self> {
        let (name, by, note) = match &entry.fact {
            Fact::Retry { step, by } => (format!("retry {}", step_name(*step)), by, None),
            // A wish with a cause is one that was sent on, for the audit the same wish.
            Fact::Compensation(wish) if wish.decided_by.is_none() && entry.cause.is_none() => (
                action_name(wish.action).to_owned(),
                &wish.by,
                wish.reason.clone(),
            ),
            // One without a cause was refused before it became an event.
            Fact::Refused(refused) if entry.cause.is_none() => {
                return Some(Self {
                    id: entry.id.clone(),
                    order_id: Some(order_id.clone()),
                    name: refused.command.clone(),
                    attempt: None,
                    dead_letter_id: None,
                    requested_by: refused.requested_by.clone(),
                    note: None,
                    at: entry.timestamp,
                });
            }
            Fact::Redrive(redrive) => {
                return Some(Self {
                    id: entry.id.clone(),
                    order_id: Some(order_id.clone()),
                    name: redrive_name(redrive.action).to_owned(),
                    attempt: None,
                    dead_letter_id: Some(stored_name(&redrive.dead_letter_id).into_owned()),
                    requested_by: redrive.requested_by.clone(),
                    note: redrive.event.is_some().then(|| "edited".to_owned()),
                    at: entry.timestamp,
                });
            }
            _ => return None,
        };
        Some(Self {
            id: entry.id.clone(),
            order_id: Some(order_id.clone()),
            name,
            attempt: entry.attempt,
            dead_letter_id: None,
            requested_by: by.as_deref().unwrap_or(UNKNOWN).to_owned(),
            note,
            at: entry.timestamp,
        })
    }
}

/// What a decision about a dead letter is called.
pub(crate) const fn redrive_name(action: RedriveAction) -> &'static str {
    match action {
        RedriveAction::Redrive => "redrive",
        RedriveAction::Discard => "discard",
    }
}

/// What was caused by a command, or by the same wish sent on.
fn answers(order: &Order, command: &EventId) -> Vec<Dated<Answer>> {
    let caused = |id: &EventId| {
        let id = id.clone();
        order
            .entries
            .iter()
            .filter(move |entry| entry.cause.as_ref() == Some(&id))
    };
    let direct = caused(command);
    let sent_on = caused(command)
        .filter(|e| is_wish(e))
        .flat_map(|wish| caused(&wish.id));
    // What was refused at once is its own answer.
    let itself = order
        .entries
        .iter()
        .filter(|entry| entry.id == *command && entry.kind == EventType::CommandRejected);
    direct
        .chain(sent_on)
        .chain(itself)
        .filter(|entry| is_answer(entry))
        .map(|entry| Dated {
            at: entry.timestamp,
            event_id: entry.id.clone(),
            what: Answer {
                r#type: entry.kind.as_str().to_owned(),
                reason: reason(entry),
            },
        })
        .collect()
}

fn is_wish(entry: &Entry) -> bool {
    matches!(&entry.fact, Fact::Compensation(wish) if wish.decided_by.is_none())
}

fn is_answer(entry: &Entry) -> bool {
    match entry.kind {
        EventType::OrderRetried | EventType::CommandRejected | EventType::ShippingFailed => true,
        EventType::CompensationRequested => !is_wish(entry),
        _ => false,
    }
}

fn reason(entry: &Entry) -> Option<String> {
    let reason = match &entry.fact {
        Fact::Refused(refusal) => &refusal.reason,
        Fact::Failed { reason } => reason,
        _ => return None,
    };
    Some(clipped(reason, REASON_BYTES_MAX).into_owned())
}

impl Order {
    /// Whether anything in it was asked for by someone.
    pub fn has_commands(&self) -> bool {
        self.entries.iter().any(|entry| {
            matches!(
                entry.kind,
                EventType::RetryRequested
                    | EventType::CompensationRequested
                    | EventType::RedriveRequested
                    | EventType::CommandRejected
            )
        })
    }
}

impl Kept {
    /// The kept form of a stored document.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        Audit::parse(body).map(Self)
    }

    /// Merges the answers that are known here and there; says whether that is more than before.
    pub fn merge(&mut self, other: Self) -> bool {
        self.0.merge(other.0)
    }

    /// The document: due until it is shown.
    pub fn document(&self) -> (Bytes, Index) {
        let (body, index) = self.0.document();
        let due = Some(self.0.command.at.micros());
        (body, Index { due, ..index })
    }
}
