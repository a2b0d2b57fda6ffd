//! Dead letters, the audit, and answers to commands.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Moment;

/// A message that could not be handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id.
    pub dead_letter_id: String,
    /// `waiting`, `redriven` or `discarded`.
    pub state: String,
    /// The order that waits for it, where one could be made out.
    #[serde(default)]
    pub order_id: Option<String>,
    /// Where it stood.
    pub topic: String,
    /// Where it stood.
    #[serde(default)]
    pub partition: Option<i32>,
    /// Where it stood.
    #[serde(default)]
    pub offset: Option<i64>,
    /// What it says it is.
    pub original_type: String,
    /// Its event's id, or `unknown`.
    pub original_event_id: String,
    /// What is wrong, for a person.
    pub error: String,
    /// Its payload, or null when it could not be read.
    pub payload: Value,
    /// Its bytes in base64, when they are no JSON.
    #[serde(default)]
    pub raw: Option<String>,
    /// When it died first.
    pub at: Moment,
    /// When it died last.
    pub last_died_at: Moment,
    /// Who could not handle it.
    pub consumers: Vec<Copy>,
    /// What was decided.
    pub decisions: Vec<Decision>,
}

/// How one consumer's copy stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The service.
    pub consumer: String,
    /// What was wrong, the last time.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// `waiting`, `redriven` or `discarded`.
    pub state: String,
}

/// What an operator decided about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When.
    pub at: Moment,
    /// `redrive` or `discard`.
    pub action: String,
    /// Who.
    pub requested_by: String,
    /// With another payload.
    #[serde(default)]
    pub edited: bool,
}

/// Who asked for what, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The command's id.
    pub command_id: String,
    /// The order that it is about.
    #[serde(default)]
    pub order_id: Option<String>,
    /// What was asked.
    pub command: String,
    /// The attempt that it is about.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// The dead letter that it is about.
    #[serde(default)]
    pub dead_letter_id: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// Why, in the operator's words.
    #[serde(default)]
    pub note: Option<String>,
    /// When.
    pub at: Moment,
    /// `pending`, `accepted` or `rejected`.
    pub outcome: String,
    /// Why it was refused.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A command was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its id.
    pub command_id: String,
}

/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong, for a person.
    #[serde(default)]
    pub detail: String,
    /// The field that is wrong.
    #[serde(default)]
    pub field: Option<String>,
}
