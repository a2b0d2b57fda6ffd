//! `POST /orders`: places an order, durably.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sagaline_contracts::OrderId;
use sagaline_service_kit::{IdempotencyKey, Json, Operation, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::body::OrderBody;
use crate::domain::{Identities, NewOrder};
use crate::intake::{Draft, Placed};

/// The answer to an order that was placed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Placed")]
struct Answer<'a> {
    order_id: &'a OrderId,
}

pub(super) fn describe() -> Operation {
    Operation::new("placeOrder", "Places an order, durably")
        .idempotent()
        .body::<OrderBody>()
        .answers::<Answer<'_>>(201, "It is placed")
        .answers::<Answer<'_>>(200, "The same request was placed before: the same order")
        .refuses(
            409,
            "Another request had the same orderId, clientRequestId or Idempotency-Key; `field` says which",
        )
}

pub(super) async fn place(
    State(app): State<Arc<App>>,
    key: IdempotencyKey,
    Json(body): Json<OrderBody>,
) -> Result<Response, Problem> {
    let request = body.check().map_err(Problem::invalid)?;
    let draft = app.draft(request, &key);
    let placed = app.intake.place(draft).await?;
    let status = match placed {
        Placed::Created(_) => StatusCode::CREATED,
        Placed::Before(_) => StatusCode::OK,
    };
    let answer = Json(Answer {
        order_id: placed.order_id(),
    });
    Ok((status, answer).into_response())
}

impl App {
    /// A request on its way to the intake.
    pub(super) fn draft(&self, request: NewOrder, key: &IdempotencyKey) -> Draft {
        let identities = Identities::of(&request, key.0.as_deref(), self.draw_id);
        Draft::new(request, identities, &self.saga, self.ports.clock.now())
    }
}
