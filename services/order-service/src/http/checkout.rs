//! `POST /api/checkout`: places an order and waits for its outcome, for a while.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sagaline_contracts::OrderId;
use sagaline_service_kit::{IdempotencyKey, Json, Operation, Problem};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::App;
use super::body::CheckoutBody;
use crate::intake::Placed;
use crate::waiters::{Ended, Place};

/// How often a waiter looks by himself: another instance may have saved the outcome.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The answer to a checkout.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CheckedOut")]
struct Answer<'a> {
    /// True when the order is confirmed; absent while it is in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    order_id: &'a OrderId,
    message: &'static str,
}

pub(super) fn describe() -> Operation {
    Operation::new("checkout", "Places an order and waits for its outcome, for a while")
        .idempotent()
        .body::<CheckoutBody>()
        .answers::<Answer<'_>>(200, "It is confirmed")
        .answers::<Answer<'_>>(202, "It is placed, and takes longer than the wait")
        .refuses(
            409,
            "It was cancelled (`success` is false, `orderId` and `reason` say more), or another request had the same key",
        )
}

pub(super) async fn checkout(
    State(app): State<Arc<App>>,
    key: IdempotencyKey,
    Json(body): Json<CheckoutBody>,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let failed = |problem: Problem| problem.with("success", false);
    let request = body.check().map_err(Problem::invalid).map_err(failed)?;
    let draft = app.draft(request, &key);
    // Before the order is there: so no outcome can come before somebody listens.
    let waiting = app.waiters.wait_for(draft.order_id());
    let placed = app
        .intake
        .place(draft)
        .await
        .map_err(Problem::from)
        .map_err(failed)?;
    let order_id = placed.order_id();
    // An order of before may have its outcome already, and another id than the request's first identity.
    let (waiting, look_first) = match &placed {
        Placed::Created(_) => (waiting, false),
        Placed::Before(_) => (app.waiters.wait_for(order_id), true),
    };
    let deadline = started + app.checkout_wait;
    let outcome = app.outcome(order_id, waiting, deadline, look_first).await;
    Ok(answer(order_id, outcome))
}

impl App {
    /// How the order ended, if it did so before the deadline and the shutdown.
    async fn outcome(
        &self,
        order_id: &OrderId,
        mut waiting: Place,
        deadline: Instant,
        look_first: bool,
    ) -> Option<Ended> {
        let mut look = look_first;
        loop {
            if look {
                // A store that is down for a moment does not end the wait, and one that hangs does not lengthen it.
                let found = tokio::time::timeout_at(deadline, self.find(order_id)).await;
                if let Ok(Ok(Some(record))) = found
                    && let Some(ended) = Ended::of(&record.state)
                {
                    return Some(ended);
                }
            }
            look = true;
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(deadline) => return None,
                ended = waiting.ended() => return Some(ended),
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }
}

fn answer(order_id: &OrderId, outcome: Option<Ended>) -> Response {
    match outcome {
        Some(Ended::Confirmed) => Json(Answer {
            success: Some(true),
            order_id,
            message: "Your order is confirmed and on its way.",
        })
        .into_response(),
        Some(Ended::Cancelled(reason)) => {
            let message = explain(&reason);
            Problem::conflict(message)
                .with("success", false)
                .with("orderId", order_id.as_str())
                .with("message", message)
                .with("reason", reason)
                .into_response()
        }
        None => {
            let answer = Json(Answer {
                success: None,
                order_id,
                message: "Your order is placed and still being processed. Its page shows how it ends.",
            });
            (StatusCode::ACCEPTED, answer).into_response()
        }
    }
}

/// A cancellation's reason, for the one who ordered.
fn explain(reason: &str) -> &'static str {
    match reason {
        "out_of_stock" => {
            "Sorry, there is not enough in stock for your order. You have not been charged."
        }
        "unknown_sku" => {
            "Sorry, one of the products is not sold any more. You have not been charged."
        }
        "card_declined" => "Your payment was declined. You have not been charged.",
        "carrier_error" => "Sorry, your order could not be shipped. What you paid is paid back.",
        "timeout" => {
            "Sorry, your order took too long and was cancelled. What you paid is paid back."
        }
        _ => "Your order was cancelled. What you paid is paid back.",
    }
}
