//! An order as JSON: the document, which is what the API answers, and the state, which the feed tells.

use bytes::Bytes;
use sagaline_commands::Outcome;
use sagaline_contracts::{Money, OrderId, Timestamp};
use sagaline_store::Index;
use schemars::JsonSchema;
use serde::Serialize;

use super::Status;
use super::entry::KeepKey;
use super::fold::Fold;
use super::views::{AttemptView, CancelView, LetterView, Refused};

/// The document of an order: the API's form is the stored form.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OrderHead")]
pub(crate) struct Document<'a> {
    #[serde(rename = "_id")]
    id: &'a OrderId,
    order_id: &'a OrderId,
    current_status: Option<Status>,
    outcome: Outcome,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<&'a CancelView<'a>>,
    /// Only of an order that had more than one: of the first and only, everything stands above.
    #[serde(skip_serializing_if = "has_one_at_most")]
    attempts: &'a [AttemptView<'a>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dead_letters: &'a [LetterView<'a>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    commands_rejected: &'a [Refused<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<&'a KeepKey>,
}

/// The latest state of an order, for the feed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    order_id: &'a OrderId,
    current_status: Option<Status>,
    outcome: Outcome,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Money>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_zero")]
    dead_letters_waiting: u32,
}

fn has_one_at_most(attempts: &&[AttemptView<'_>]) -> bool {
    attempts.len() <= 1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Fold<'_> {
    /// The document. What is long in it was rendered before, and is only copied.
    pub fn document(&self) -> Bytes {
        let current = self.current();
        let document = Document {
            id: self.order.id(),
            order_id: self.order.id(),
            current_status: self.lifecycle.status,
            outcome: self.lifecycle.outcome,
            attempt: self.lifecycle.attempt.max(1),
            reason: self.reason(),
            total: self.placed.map(|placed| placed.total),
            currency: self.currency,
            customer_id: self.customer_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            ended_at: self.ended_at,
            stalled_since: self.stalled_since(),
            cancel: current.and_then(|view| view.cancel.as_ref()),
            attempts: &self.attempts,
            dead_letters: &self.letters,
            commands_rejected: &self.refused,
            truncated: self.order.cut.as_ref(),
        };
        let entries = &self.order.entries;
        let items = self.placed.map_or(&[][..], |placed| &placed.items);
        let size: usize = entries.iter().map(|entry| entry.json().len() + 1).sum();
        let mut json = json(&document, size + items.len() + 1024);
        if !items.is_empty() {
            append(&mut json, "items", items);
        }
        json.pop();
        json.extend_from_slice(b",\"timeline\":[");
        for (at, entry) in entries.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.extend_from_slice(entry.json());
        }
        json.extend_from_slice(b"]}");
        json.into()
    }

    /// The latest state, for the feed.
    pub fn state(&self) -> Bytes {
        let state = State {
            order_id: self.order.id(),
            current_status: self.lifecycle.status,
            outcome: self.lifecycle.outcome,
            attempt: self.lifecycle.attempt.max(1),
            reason: self.reason(),
            total: self.placed.map(|placed| placed.total),
            created_at: self.created_at,
            updated_at: self.updated_at,
            ended_at: self.ended_at,
            stalled_since: self.stalled_since(),
            dead_letters_waiting: self.head().letters_waiting,
        };
        json(&state, 384).into()
    }

    /// What the document is found and listed by. An order of which only commands are known is not listed.
    pub fn index(&self) -> Index {
        let status = self.lifecycle.status;
        Index {
            due: None,
            tag: status.map(|status| status.as_str().to_owned()),
            rank: status.map(|_| self.updated_at.micros()),
            settled: self.lifecycle.outcome != Outcome::Pending || status.is_none(),
        }
    }
}

/// Anything of ours as JSON, which takes about so many bytes.
pub(super) fn json<T: Serialize + ?Sized>(value: &T, size: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(size);
    // Every map key is a string and no Serialize of ours fails, so neither can this.
    if let Err(error) = serde_json::to_writer(&mut json, value) {
        unreachable!("a document is always JSON: {error}");
    }
    json
}

/// Appends a field, that is JSON already, to an object that is not empty; says where its value begins.
pub(super) fn append(object: &mut Vec<u8>, name: &str, value: &[u8]) -> usize {
    object.pop();
    object.extend_from_slice(b",\"");
    object.extend_from_slice(name.as_bytes());
    object.extend_from_slice(b"\":");
    let at = object.len();
    object.extend_from_slice(value);
    object.push(b'}');
    at
}
