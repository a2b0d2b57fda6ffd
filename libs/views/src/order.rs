//! Orders.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Amount, Moment};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Placed, or placed again.
    Created,
    /// All items are reserved.
    InventoryReserved,
    /// Not all items could be reserved.
    InventoryFailed,
    /// The amount is charged.
    PaymentAuthorized,
    /// Nothing was charged.
    PaymentFailed,
    /// The goods are on their way.
    Shipped,
    /// The goods will not be sent.
    ShippingFailed,
    /// What was charged is paid back.
    Refunded,
}

/// How an order's current attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It has not.
    #[default]
    Pending,
    /// Shipped.
    Confirmed,
    /// Undone.
    Cancelled,
}

/// An order's latest state, as the feed tells it; a document has these fields as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The order.
    pub order_id: String,
    /// Absent while nothing but commands is known.
    pub current_status: Option<Status>,
    /// How it ended.
    pub outcome: Outcome,
    /// The current attempt.
    pub attempt: u32,
    /// Why the current attempt failed.
    #[serde(default)]
    pub reason: Option<String>,
    /// What it costs.
    #[serde(default)]
    pub total: Option<Amount>,
    /// When it was placed.
    pub created_at: Moment,
    /// The latest that is known of it.
    pub updated_at: Moment,
    /// When the current attempt ended.
    #[serde(default)]
    pub ended_at: Option<Moment>,
    /// In flight for longer than the saga timeout.
    #[serde(default)]
    pub stalled_since: Option<Moment>,
    /// Messages that wait for an operator; later events of the order wait behind them.
    #[serde(default)]
    pub dead_letters_waiting: u32,
}

/// A message of the feed with `?batch=true`.
pub type Feed = Vec<State>;

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What.
    pub sku: String,
    /// How many.
    pub qty: u32,
    /// The price of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
}

/// One event, as a document's timeline holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `order.OrderCreated.v1`.
    pub r#type: String,
    /// When it took effect.
    pub at: Moment,
    /// Its id.
    pub event_id: String,
    /// The event that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The attempt that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Of a dead letter: `dead`, `redriven` or `discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The payload.
    pub details: Value,
}

/// One event, as an order's stream tells it: `status` is where the order stood after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// `order.OrderCreated.v1`.
    pub r#type: String,
    /// When it took effect.
    pub at: Moment,
    /// Its id.
    pub event_id: String,
    /// The event that caused it.
    #[serde(default)]
    pub causation_id: Option<String>,
    /// The attempt that it belongs to.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// Of a dead letter: `dead`, `redriven` or `discarded`.
    #[serde(default)]
    pub dead_letter_status: Option<String>,
    /// The payload.
    pub details: Value,
}

impl From<Told> for Entry {
    fn from(told: Told) -> Self {
        Self {
            r#type: told.r#type,
            at: told.at,
            event_id: told.event_id,
            causation_id: told.causation_id,
            attempt: told.attempt,
            status: told.dead_letter_status,
            details: told.details,
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// The step that an operator wanted retried.
    #[serde(default)]
    pub step: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: Moment,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Moment>,
    /// Why it failed.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Who wanted the current attempt undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    /// `releaseInventory` or `refundPayment`.
    pub action: String,
    /// Who.
    #[serde(default)]
    pub requested_by: Option<String>,
    /// When.
    pub at: Moment,
    /// Who ruled so.
    #[serde(default)]
    pub decided_by: Option<String>,
}

/// A message of the order that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its id.
    #[serde(default)]
    pub dead_letter_id: Option<String>,
    /// The service that could not handle it.
    #[serde(default)]
    pub consumer: Option<String>,
    /// Where it stood.
    pub topic: String,
    /// What was wrong.
    pub error: String,
    /// `dead`, `redriven` or `discarded`.
    pub status: String,
}

/// A command that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedCommand {
    /// The command.
    pub command: String,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub at: Moment,
}

/// `GET /orders/{orderId}`, and an element of `GET /orders`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// Three letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// Whose it is.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// What was ordered.
    #[serde(default)]
    pub items: Vec<Item>,
    /// Who wanted the current attempt undone.
    #[serde(default)]
    pub cancel: Option<Cancel>,
    /// Of an order that had more than one.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// Messages that could not be handled.
    #[serde(default)]
    pub dead_letters: Vec<Letter>,
    /// Commands that were refused.
    #[serde(default)]
    pub commands_rejected: Vec<RefusedCommand>,
    /// Its events.
    #[serde(default)]
    pub timeline: Vec<Entry>,
}

impl Order {
    /// Its state. A document lists its dead letters, where the feed counts those that wait.
    pub fn into_state(self) -> State {
        let waiting = self
            .dead_letters
            .iter()
            .filter(|letter| letter.status == "dead")
            .count();
        State {
            dead_letters_waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            ..self.state
        }
    }
}
