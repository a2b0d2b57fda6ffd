//! Operators' commands, and what could not be handled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::OrderId;

/// A step of the saga that can be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Reserve the items.
    Inventory,
    /// Charge the amount.
    Payment,
    /// Send the goods.
    Shipping,
}

/// What can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Give the reserved items back.
    ReleaseInventory,
    /// Pay the charged amount back.
    RefundPayment,
}

/// Who ruled that something is to be undone. A request without a ruling is an operator's wish or a timeout's: the
/// pivot's owner decides it first, which leaves no race in which goods go out unpaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Authority {
    /// Payment failed, so the pivot can never be passed in this attempt.
    Payment,
    /// Shipping owns the pivot.
    Shipping,
}

/// An operator asks for the order's next attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryRequested {
    /// The order.
    pub order_id: OrderId,
    /// The step that the operator wants to see again.
    #[serde(deserialize_with = "crate::wire::name")]
    pub step: Step,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The attempt that the operator saw fail: a second click of the same button is stale by then.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// Something that was done is to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompensationRequested {
    /// The order.
    pub order_id: OrderId,
    /// What is to be undone.
    #[serde(deserialize_with = "crate::wire::name")]
    pub action: Action,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The attempt that is to be undone.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
    /// Who decided it; absent while nobody has.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_name",
        skip_serializing_if = "Option::is_none"
    )]
    pub decided_by: Option<Authority>,
}

/// A command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandRejected {
    /// The order.
    pub order_id: OrderId,
    /// What was asked, for instance `retry payment` or `releaseInventory`.
    pub command: String,
    /// Why it cannot be.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
}

/// What an operator decided about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RedriveAction {
    /// Handle it again, as it was or as edited.
    Redrive,
    /// Drop it, and go on with what waits behind it.
    Discard,
}

/// An operator wants a dead letter handled again, or dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedriveRequested {
    /// The order.
    pub order_id: OrderId,
    /// The dead letter, see [`DeadLetter::dead_letter_id`].
    pub dead_letter_id: String,
    /// What to do with it.
    #[serde(deserialize_with = "crate::wire::name")]
    pub action: RedriveAction,
    /// The event to handle in its place, a whole envelope; absent: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// The services that it concerns; empty: every one that holds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<String>,
    /// Who asked.
    pub requested_by: String,
}

/// A message that a consumer could not handle; it stands in `<topic>.dlq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The message's type, or its topic's when it does not say.
    pub original_type: String,
    /// The message's event id, or `unknown`.
    pub original_event_id: String,
    /// The order that waits for it, where one could be made out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// What is wrong, for a person.
    pub error: String,
    /// The message's payload, or null when it could not be read.
    pub payload: Value,
    /// Where it stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_topic: Option<String>,
    /// Where it stood.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = -2_147_483_648_i32, max = 2_147_483_647))]
    pub partition: Option<i32>,
    /// Where it stood.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))]
    pub offset: Option<i64>,
    /// The service that could not handle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// How often it was tried.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempts: Option<u32>,
    /// The message's value in base64, when it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The same for every consumer of the same message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_id: Option<String>,
}
