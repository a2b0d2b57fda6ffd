//! `POST /admin/retry/{orderId}` and `POST /admin/compensate/{orderId}`: as on the order service.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sagaline_commands::{
    Accepted, Command, CompensateRequest, Issued, OrderView, Refusal, RetryRequest,
};
use sagaline_contracts::{Event, EventId, OrderId, ShortText};
use sagaline_runtime::Outbound;
use sagaline_service_kit::{Admin, IdempotencyKey, Json, Path, Problem};

use super::{App, unknown_order};

pub(super) async fn retry(
    admin: Admin,
    State(app): State<App>,
    Path(id): Path<OrderId>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<RetryRequest>,
) -> Result<Response, Problem> {
    issue(
        &app,
        &admin,
        &id,
        key.as_deref(),
        Command::Retry(request.step),
    )
    .await
}

pub(super) async fn compensate(
    admin: Admin,
    State(app): State<App>,
    Path(id): Path<OrderId>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<CompensateRequest>,
) -> Result<Response, Problem> {
    if !request.has_usable_reason() {
        return Err(Problem::bad_request("reason", ShortText::RULE));
    }
    let command = Command::Compensate {
        action: request.action,
        reason: request.reason,
    };
    issue(&app, &admin, &id, key.as_deref(), command).await
}

async fn issue(
    app: &App,
    admin: &Admin,
    id: &OrderId,
    key: Option<&str>,
    command: Command,
) -> Result<Response, Problem> {
    let order = app.load_order(id).await?.ok_or_else(|| unknown_order(id))?;
    let fold = order.fold();
    if fold.lifecycle.status.is_none() {
        return Err(unknown_order(id));
    }
    let now = app.ports.clock.now();
    let known = |id: &EventId| order.knows(id);
    let view = fold.command_view();
    let issued = match command.issue(&view, &admin.sub, key, now, known) {
        Ok(issued) => issued,
        Err(refusal) => {
            let event = command.rejection(&view, &refusal, &admin.sub, key, now);
            return Err(refused(app, &view, &refusal, &event).await);
        }
    };
    if let Issued::Publish(event) = &issued {
        app.publish(Outbound::event(event)).await?;
        tracing::info!(order_id = %id, command_id = %event.id, by = admin.sub, "a command was issued");
    }
    Ok(accepted(issued.command_id().clone()))
}

pub(super) fn accepted(command_id: EventId) -> Response {
    (StatusCode::ACCEPTED, Json(Accepted::new(command_id))).into_response()
}

/// Records a refusal where every other operator's action is, and answers with it.
async fn refused(app: &App, view: &OrderView, refusal: &Refusal, event: &Event) -> Problem {
    if app.publish(Outbound::event(event)).await.is_err() {
        // The answer is the same; only its record is missing, and the log has it.
        tracing::warn!(order_id = %view.order_id, %refusal, "a refusal was not recorded");
    }
    Problem::conflict(refusal.to_string())
        .with("orderId", view.order_id.as_str())
        .with("reason", refusal.code())
        .with("outcome", view.outcome.as_str())
}
