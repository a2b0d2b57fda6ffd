//! The service's HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sagaline_commands::{Command, Issued};
use sagaline_contracts::OrderId;
use sagaline_contracts::payload::{Action, Step};
use sagaline_runtime::{Outbound, Ports, Producer};
use sagaline_saga::OrderRecord;
use sagaline_service_kit::{Admin, AdminGate, Json, Path, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::{COLLECTION, Order, Phase};
use crate::intake::{Placed, Refused, SharedIntake};
use crate::validate::{Checkout, PlaceOrder};

const POLL: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) intake: SharedIntake,
    pub(crate) ports: Ports,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) gate: AdminGate,
    pub(crate) checkout_wait: Duration,
}

impl FromRef<Api> for AdminGate {
    fn from_ref(api: &Api) -> Self {
        api.gate.clone()
    }
}

pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(order))
        .route("/api/checkout", post(checkout))
        .route("/admin/retry/{id}", post(retry))
        .route("/admin/compensate/{id}", post(compensate))
        .with_state(api)
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if (1..=128).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Problem::bad_request(
            "Idempotency-Key",
            "must be 1 to 128 printable characters",
        )),
    }
}

fn refused(refused: Refused) -> Problem {
    Problem::unavailable(refused.to_string(), 1)
}

async fn place(
    State(api): State<Api>,
    headers: HeaderMap,
    Json(body): Json<PlaceOrder>,
) -> Result<Response, Problem> {
    let request = body.validated()?;
    let placed = api
        .intake
        .place(request, key(&headers)?)
        .await
        .map_err(refused)?;
    match placed {
        Placed::Created(id) => {
            Ok((StatusCode::CREATED, Json(json!({ "orderId": id }))).into_response())
        }
        Placed::Again(id) => Ok((StatusCode::OK, Json(json!({ "orderId": id }))).into_response()),
        Placed::Conflict(identity) => Err(Problem::conflict(format!(
            "another order was placed under the same {identity}"
        ))),
    }
}

async fn find(api: &Api, id: &str) -> Result<OrderRecord<Order>, Problem> {
    let unknown = || Problem::not_found(format!("there is no order {id:?}"));
    OrderId::new(id).map_err(|error| Problem::bad_request("id", error.to_string()))?;
    let loaded = api
        .ports
        .store
        .load(COLLECTION, &[id])
        .await
        .map_err(|error| {
            tracing::warn!(error = %error, "the store does not answer");
            Problem::unavailable("the store is unavailable", 1)
        })?;
    let stored = loaded.into_iter().next().flatten().ok_or_else(unknown)?;
    let record: OrderRecord<Order> =
        serde_json::from_slice(&stored.body).map_err(|_| Problem::internal())?;
    if record.state.phase == Phase::Unknown {
        return Err(unknown());
    }
    Ok(record)
}

fn show(record: &OrderRecord<Order>) -> Value {
    let order = &record.state;
    let outbox = record.outbox.first();
    json!({
        "_id": record.order_id, "orderId": record.order_id, "status": order.phase,
        "outcome": order.phase.outcome(), "reason": order.reason, "attempt": order.attempt, "items": order.items,
        "total": order.total, "currency": order.currency, "customerId": order.customer_id,
        "refunded": order.refunded, "stalled": order.is_stalled(), "createdAt": order.created_at, "updatedAt": order.updated_at,
        "parked": record.parked.len(),
        "outbox": {
            "pending": record.outbox.len(), "attempts": outbox.map(|entry| entry.attempts),
            "nextAttempt": outbox.map(|entry| entry.next_attempt), "lastError": outbox.and_then(|entry| entry.last_error.clone()),
        },
    })
}

async fn order(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    find(&api, &id).await.map(|record| Json(show(&record)))
}

async fn checkout(
    State(api): State<Api>,
    headers: HeaderMap,
    Json(body): Json<Checkout>,
) -> Result<Response, Problem> {
    let request = body.validated()?;
    let id = match api
        .intake
        .place(request, key(&headers)?)
        .await
        .map_err(refused)?
    {
        Placed::Created(id) | Placed::Again(id) => id,
        Placed::Conflict(identity) => {
            return Err(Problem::conflict(format!(
                "another order was placed under the same {identity}"
            )));
        }
    };
    let outcome = tokio::time::timeout(api.checkout_wait, async {
        loop {
            let record = find(&api, id.as_str()).await?;
            match record.state.phase {
                Phase::Confirmed => return Ok((true, "Your order is on its way.".to_owned())),
                Phase::Cancelled => {
                    let reason = record.state.reason.unwrap_or_default();
                    return Ok((
                        false,
                        format!("Your order could not be completed: {reason}."),
                    ));
                }
                Phase::Pending | Phase::Unknown => tokio::time::sleep(POLL).await,
            }
        }
    });
    match outcome.await {
        Ok(Ok((success, message))) => {
            let status = if success {
                StatusCode::OK
            } else {
                StatusCode::CONFLICT
            };
            Ok((
                status,
                Json(json!({ "success": success, "orderId": id, "message": message })),
            )
                .into_response())
        }
        Ok(Err(problem)) => Err(problem),
        Err(_) => {
            let message = "Your order is being worked on.";
            Ok((
                StatusCode::ACCEPTED,
                Json(json!({ "success": true, "orderId": id, "message": message })),
            )
                .into_response())
        }
    }
}

#[derive(Deserialize)]
struct RetryBody {
    step: Step,
}

#[derive(Deserialize)]
struct CompensateBody {
    action: Action,
    reason: Option<String>,
}

async fn command(
    api: &Api,
    id: &str,
    sub: &str,
    headers: &HeaderMap,
    command: Command,
) -> Result<Response, Problem> {
    let record = find(api, id).await?;
    let view = record
        .state
        .view(&record.order_id)
        .ok_or_else(Problem::internal)?;
    let now = api.ports.clock.now();
    let issued = command
        .issue(&view, sub, key(headers)?, now, |id| record.knows(id))
        .map_err(|refusal| Problem::conflict(refusal.to_string()))?;
    let command_id = issued.command_id().clone();
    if let Issued::Publish(event) = issued {
        api.producer
            .publish(vec![Outbound::event(&event)])
            .await
            .map_err(|error| {
                tracing::warn!(error = %error, "a command could not be published");
                Problem::unavailable("the broker is unavailable", 1)
            })?;
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({ "ok": true, "commandId": command_id })),
    )
        .into_response())
}

async fn retry(
    Admin { sub }: Admin,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<RetryBody>,
) -> Result<Response, Problem> {
    command(&api, &id, &sub, &headers, Command::Retry(body.step)).await
}

async fn compensate(
    Admin { sub }: Admin,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<CompensateBody>,
) -> Result<Response, Problem> {
    let wish = Command::Compensate {
        action: body.action,
        reason: body.reason,
    };
    command(&api, &id, &sub, &headers, wish).await
}
