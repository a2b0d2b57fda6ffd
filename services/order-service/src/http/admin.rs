//! `POST /admin/retry/:id` and `POST /admin/compensate/:id`: operators' commands.
//!
//! A command is an event: it is published and acknowledged before the caller is told, and decided again by whoever owns
//! the attempt (this service) or the pivot (shipping).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sagaline_commands::{
    Accepted, Command, CompensateRequest, Issued, OrderView, Refusal, RetryRequest,
};
use sagaline_contracts::{Event, OrderId, ShortText};
use sagaline_runtime::{BrokerError, Outbound};
use sagaline_service_kit::{Admin, IdempotencyKey, Json, Operation, Path, Problem};

use super::{App, DEPENDENCY_LIMIT, RETRY_AFTER_OUTAGE_S};

pub(super) fn describe_retry() -> Operation {
    command("retryOrder", "Starts a cancelled order's next attempt").body::<RetryRequest>()
}

pub(super) fn describe_compensate() -> Operation {
    command(
        "compensateOrder",
        "Wishes to undo an order before it is shipped, or to refund it afterwards",
    )
    .body::<CompensateRequest>()
}

fn command(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .path::<OrderId>("id", "The order")
        .idempotent()
        .for_admins()
        .answers::<Accepted>(202, "The command is given: its event is published")
        .refuses(404, "There is no order of this id")
        .refuses(
            409,
            "It cannot be: `reason` says why, `outcome` how the order stands",
        )
}

pub(super) async fn retry(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    Json(body): Json<RetryRequest>,
) -> Result<Response, Problem> {
    app.command(&id, &Command::Retry(body.step), &admin, key)
        .await
}

pub(super) async fn compensate(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    key: IdempotencyKey,
    Json(body): Json<CompensateRequest>,
) -> Result<Response, Problem> {
    if !body.has_usable_reason() {
        return Err(Problem::bad_request("reason", ShortText::RULE));
    }
    let CompensateRequest { action, reason } = body;
    app.command(&id, &Command::Compensate { action, reason }, &admin, key)
        .await
}

impl App {
    async fn command(
        &self,
        id: &OrderId,
        command: &Command,
        admin: &Admin,
        key: IdempotencyKey,
    ) -> Result<Response, Problem> {
        let record = self.find_or_404(id).await?;
        let view = record.state.view(&record.order_id);
        let view = view.ok_or_else(|| Problem::not_found("there is no order of this id"))?;
        let key = key.0.as_deref();
        let now = self.ports.clock.now();
        let known = |event: &_| record.knows(event);
        let issued = match command.issue(&view, &admin.sub, key, now, known) {
            Ok(issued) => issued,
            Err(refusal) => {
                let event = command.rejection(&view, &refusal, &admin.sub, key, now);
                return Err(self.refused(&view, &refusal, &event).await);
            }
        };
        if let Issued::Publish(event) = &issued {
            self.publish(event).await.map_err(|error| {
                tracing::warn!(order_id = %id, %error, "a command was not published");
                Problem::unavailable(
                    "the broker is unavailable, so the command may not have been given: try again",
                    RETRY_AFTER_OUTAGE_S,
                )
            })?;
        }
        let command_id = issued.command_id().clone();
        tracing::info!(order_id = %id, command = command.name(), sub = admin.sub, %command_id, "command accepted");
        Ok((StatusCode::ACCEPTED, Json(Accepted::new(command_id))).into_response())
    }

    /// Records a refusal where every other operator's action is, and answers with it.
    async fn refused(&self, view: &OrderView, refusal: &Refusal, event: &Event) -> Problem {
        if let Err(error) = self.publish(event).await {
            // The answer is the same; only its record is missing, and the log has it.
            tracing::warn!(order_id = %view.order_id, %refusal, %error, "a refusal was not recorded");
        }
        Problem::conflict(refusal.to_string())
            .with("orderId", view.order_id.as_str())
            .with("reason", refusal.code())
            .with("outcome", view.outcome.as_str())
    }

    /// Publishes an event and waits until it is acknowledged.
    async fn publish(&self, event: &Event) -> Result<(), BrokerError> {
        let publish = self.producer.publish(vec![Outbound::event(event)]);
        tokio::time::timeout(DEPENDENCY_LIMIT, publish)
            .await
            .unwrap_or_else(|elapsed| Err(BrokerError::unavailable("publish a command", elapsed)))
    }
}
