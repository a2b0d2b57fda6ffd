//! `GET /orders/:id`: an order's document.

use std::sync::Arc;

use axum::extract::State;
use sagaline_contracts::payload::OrderItem;
use sagaline_contracts::{Money, OrderId, Timestamp};
use sagaline_saga::{OrderRecord, Parked, ParkedReason};
use sagaline_service_kit::{Json, Operation, Path, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use crate::domain::{Order, Phase};

/// An order as its readers see it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderDocument {
    order_id: OrderId,
    status: Phase,
    outcome: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    attempt: u32,
    refunded: bool,
    stalled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    items: Vec<OrderItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    outbox: OutboxInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parked: Vec<ParkedInfo>,
}

/// What the broker has not acknowledged yet.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OutboxInfo {
    pending: usize,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<Timestamp>,
}

/// An event that waits.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ParkedInfo {
    event_id: String,
    topic: String,
    waits_for: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    attempts: u32,
}

pub(super) fn describe() -> Operation {
    Operation::new("showOrder", "An order's document")
        .path::<OrderId>("id", "The order")
        .answers::<OrderDocument>(200, "The order")
        .refuses(404, "There is no order of this id")
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
) -> Result<Json<OrderDocument>, Problem> {
    let record = app.find_or_404(&id).await?;
    let outbox = app.outbox_of(&record);
    Ok(Json(document(record, outbox)))
}

impl App {
    fn outbox_of(&self, record: &OrderRecord<Order>) -> OutboxInfo {
        let acked = self.relay.acked();
        let mut info = OutboxInfo::default();
        // An entry stays in its record until the next save, acknowledged or not.
        for entry in record
            .outbox
            .iter()
            .filter(|entry| !acked.contains(&entry.emission.id))
        {
            info.pending += 1;
            info.attempts = info.attempts.max(entry.attempts);
            info.last_error = info.last_error.or_else(|| entry.last_error.clone());
            let next = entry.next_attempt;
            info.next_attempt = Some(info.next_attempt.map_or(next, |earlier| earlier.min(next)));
        }
        info
    }
}

fn document(record: OrderRecord<Order>, outbox: OutboxInfo) -> OrderDocument {
    let order = record.state;
    OrderDocument {
        order_id: record.order_id,
        status: order.phase,
        outcome: order.phase,
        attempt: order.attempt,
        refunded: order.refunded,
        stalled: order.is_stalled(),
        reason: order.reason,
        deadline: order.deadline,
        items: order.items,
        total: order.total,
        currency: order.currency,
        customer_id: order.customer_id,
        client_request_id: order.client_request_id,
        created_at: order.created_at,
        updated_at: order.updated_at,
        outbox,
        parked: record.parked.into_iter().map(ParkedInfo::from).collect(),
    }
}

impl From<Parked> for ParkedInfo {
    fn from(parked: Parked) -> Self {
        let (waits_for, error, due) = match parked.reason {
            ParkedReason::Behind => ("an earlier event", None, None),
            ParkedReason::Retry { due, error } => ("its next try", Some(error), Some(due)),
            ParkedReason::DeadLetter { error, .. } => ("an operator", Some(error), None),
        };
        Self {
            event_id: parked.held.id.to_string(),
            topic: parked.held.source.topic,
            waits_for,
            error,
            due,
            attempts: parked.attempts,
        }
    }
}
