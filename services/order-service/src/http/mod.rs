//! The service's HTTP endpoints, one file a verb.

mod admin;
mod body;
mod checkout;
mod place;
mod show;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use sagaline_contracts::OrderId;
use sagaline_runtime::{OutboxRelay, Ports, Producer};
use sagaline_saga::OrderRecord;
use sagaline_service_kit::{AdminGate, Api, Problem};
use sagaline_store::StoreError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{COLLECTION, Order, OrderSaga, Phase, SERVICE};
use crate::intake::{Intake, IntakeError};
use crate::waiters::Waiters;

/// What callers are told to wait before they try again, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// The same, while a dependency is down.
const RETRY_AFTER_OUTAGE_S: u64 = 2;
/// How long a handler waits for the store or the broker.
const DEPENDENCY_LIMIT: Duration = Duration::from_secs(5);

/// What the handlers need.
pub(crate) struct App {
    /// The world.
    pub(crate) ports: Ports,
    /// Where new orders go.
    pub(crate) intake: Intake,
    /// How orders are decided.
    pub(crate) saga: OrderSaga,
    /// Who waits for an outcome.
    pub(crate) waiters: Waiters,
    /// Knows what is acknowledged.
    pub(crate) relay: OutboxRelay,
    /// Publishes operators' commands.
    pub(crate) producer: Arc<dyn Producer>,
    /// How long a checkout waits for its order's outcome.
    pub(crate) checkout_wait: Duration,
    /// Draws ids.
    pub(crate) draw_id: fn() -> Uuid,
    /// Cancelled when the service shall stop.
    pub(crate) shutdown: CancellationToken,
}

/// The routers' state: cheap to clone.
#[derive(Clone)]
struct AppState {
    app: Arc<App>,
    gate: AdminGate,
}

impl FromRef<AppState> for Arc<App> {
    fn from_ref(state: &AppState) -> Self {
        Arc::clone(&state.app)
    }
}

impl FromRef<AppState> for AdminGate {
    fn from_ref(state: &AppState) -> Self {
        state.gate.clone()
    }
}

/// All routes.
pub(crate) fn routes(app: App, gate: AdminGate) -> Router {
    Api::new(
        SERVICE,
        "Takes orders, knows how they end, owns their attempts",
    )
    .post("/orders", place::place, place::describe())
    .get("/orders/{id}", show::show, show::describe())
    .post("/api/checkout", checkout::checkout, checkout::describe())
    .post("/admin/retry/{id}", admin::retry, admin::describe_retry())
    .post(
        "/admin/compensate/{id}",
        admin::compensate,
        admin::describe_compensate(),
    )
    .with_state(AppState {
        app: Arc::new(app),
        gate,
    })
}

impl App {
    /// The document of an order, when somebody placed it.
    async fn find(&self, order_id: &OrderId) -> Result<Option<OrderRecord<Order>>, Problem> {
        let ids = [order_id.as_str()];
        let load = self.ports.store.load(COLLECTION, &ids);
        let loaded = match tokio::time::timeout(DEPENDENCY_LIMIT, load).await {
            Ok(loaded) => loaded.map_err(|error| store_problem(&error))?,
            Err(_) => return Err(store_unavailable()),
        };
        let Some(stored) = loaded.into_iter().flatten().next() else {
            return Ok(None);
        };
        let record: OrderRecord<Order> = serde_json::from_slice(&stored.body).map_err(|error| {
            tracing::error!(order_id = stored.id, %error, "a document cannot be read; inspect it by hand");
            Problem::internal()
        })?;
        Ok(Some(record).filter(|record| record.state.phase != Phase::Unknown))
    }

    async fn find_or_404(&self, order_id: &OrderId) -> Result<OrderRecord<Order>, Problem> {
        self.find(order_id)
            .await?
            .ok_or_else(|| Problem::not_found("there is no order of this id"))
    }
}

fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable { .. } => store_unavailable(),
        StoreError::Unusable { .. } => {
            tracing::error!(error = %error, "the store holds what cannot be used");
            Problem::internal()
        }
    }
}

fn store_unavailable() -> Problem {
    Problem::unavailable("the store is unavailable: try again", RETRY_AFTER_OUTAGE_S)
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let detail = error.to_string();
        match error {
            IntakeError::Full | IntakeError::Behind => Self::unavailable(detail, RETRY_AFTER_S),
            IntakeError::TooSlow | IntakeError::Unavailable => {
                Self::unavailable(detail, RETRY_AFTER_OUTAGE_S)
            }
            IntakeError::Conflict(identity) => {
                Self::conflict(detail).with("field", identity.name())
            }
            IntakeError::Unreadable(_) => Self::internal(),
        }
    }
}
