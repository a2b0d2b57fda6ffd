//! `POST /orders`: places an order, durably.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sagaline_contracts::OrderId;
use sagaline_service_kit::{Json, Problem};
use serde::Serialize;

use super::App;
use super::body::OrderBody;
use super::identify::IdempotencyKey;
use crate::domain::{Identities, NewOrder};
use crate::intake::{Draft, Placed};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    order_id: &'a OrderId,
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
