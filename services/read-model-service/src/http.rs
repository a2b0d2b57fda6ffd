//! The HTTP interface.

mod admin;
mod audit;
mod dead_letters;
mod describe;
mod orders;
mod page;
mod rebuild;
mod stats;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use sagaline_contracts::OrderId;
use sagaline_runtime::{BrokerError, Outbound, Ports};
use sagaline_service_kit::{AdminGate, Api, Problem};
use sagaline_store::{StoreError, Stored};

use crate::collections::{DEAD_LETTERS, ORDERS, is_blank};
use crate::decisions;
use crate::elsewhere::Elsewhere;
use crate::live::Hub;
use crate::projection::{Audit, LetterState, Order, PROJECTOR, Unreadable};
use crate::projector::Publisher;
use crate::rebuild::Rebuilds;
use crate::stats::Stats;

/// How long a client is asked to wait when a dependency is down, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// What the routes stand on.
#[derive(Clone)]
pub struct App {
    /// The world.
    pub ports: Ports,
    /// Who is told of changes.
    pub hub: Arc<Hub>,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// How commands get to their services.
    pub publisher: Publisher,
    /// Who may operate.
    pub gate: AdminGate,
    /// The rebuilds of this process.
    pub rebuilds: Arc<Rebuilds>,
    /// What other instances are about to save.
    pub elsewhere: Arc<Elsewhere>,
}

impl FromRef<App> for AdminGate {
    fn from_ref(app: &App) -> Self {
        app.gate.clone()
    }
}

/// The service's routes.
pub fn routes(app: App) -> Router {
    Api::new(
        PROJECTOR,
        "Every order's timeline and state, live; dead letters, the audit, and operators' commands",
    )
    .get("/orders", orders::list, describe::orders())
    .get("/orders/stream", stream::feed, describe::feed())
    .get("/orders/{orderId}", orders::one, describe::order())
    .get(
        "/orders/{orderId}/stream",
        stream::order,
        describe::order_stream(),
    )
    .get("/stats", stats::stats, describe::stats())
    .get("/stats/history", stats::history, describe::history())
    .get(
        "/dead-letters",
        dead_letters::list,
        describe::dead_letters(),
    )
    .get(
        "/dead-letters/{deadLetterId}",
        dead_letters::one,
        describe::dead_letter(),
    )
    .post(
        "/admin/dead-letters/{deadLetterId}/redrive",
        dead_letters::redrive,
        describe::redrive(),
    )
    .post(
        "/admin/dead-letters/{deadLetterId}/discard",
        dead_letters::discard,
        describe::discard(),
    )
    .get("/admin/audit", audit::list, describe::audit())
    .post("/admin/rebuild", rebuild::start, describe::rebuild())
    .post("/admin/retry/{orderId}", admin::retry, describe::retry())
    .post(
        "/admin/compensate/{orderId}",
        admin::compensate,
        describe::compensate(),
    )
    .with_state(app)
}

impl App {
    /// How many messages wait for an operator.
    pub(crate) async fn waiting_letters(&self) -> Result<u64, StoreError> {
        let waiting = LetterState::Waiting.as_str();
        self.ports.store.count_tagged(DEAD_LETTERS, waiting).await
    }

    /// One document.
    async fn load(&self, collection: &str, id: &str) -> Result<Option<Stored>, Problem> {
        let loaded = self.ports.store.load(collection, &[id]).await;
        let stored = loaded.map_err(store_is_down)?.into_iter().next().flatten();
        Ok(stored.filter(|stored| !is_blank(stored)))
    }

    /// An order with what is known of it, if anything is.
    async fn load_order(&self, id: &OrderId) -> Result<Option<Order>, Problem> {
        let stored = self.load(ORDERS, id.as_str()).await?;
        let order = stored.map(|stored| Order::parse(&stored.body)).transpose();
        order.map_err(|error| unreadable(ORDERS, id.as_str(), &error))
    }

    /// Records what an operator asked of the read model itself.
    async fn record(&self, audit: Audit) -> Result<(), Problem> {
        let recorded = decisions::record(&*self.ports.store, audit).await;
        recorded.map_err(|outage| {
            self.rebuilds.unshown.notify_one();
            tracing::warn!(
                error = outage.chain(),
                "an operator's action was not recorded"
            );
            Problem::unavailable(
                "the store did not take the record of this; try again",
                RETRY_AFTER_S,
            )
        })
    }

    /// Publishes a command; returns when it is acknowledged.
    async fn publish(&self, message: Outbound) -> Result<(), Problem> {
        self.publisher
            .publish(vec![message])
            .await
            .map_err(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a command could not be published"
                );
                Problem::unavailable(
                    "the broker did not take the command; try again",
                    RETRY_AFTER_S,
                )
            })
    }
}

fn unknown_order(id: &OrderId) -> Problem {
    Problem::not_found(format!("order {id} is not known here")).instance(format!("/orders/{id}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn store_is_down(error: StoreError) -> Problem {
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "the store could not be read"
    );
    Problem::unavailable(
        "the store does not answer just now; try again",
        RETRY_AFTER_S,
    )
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn broker_is_down(error: BrokerError) -> Problem {
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "the broker could not be asked"
    );
    Problem::unavailable(
        "the broker does not answer just now; try again",
        RETRY_AFTER_S,
    )
}

fn unreadable(collection: &str, id: &str, error: &Unreadable) -> Problem {
    tracing::error!(collection, id, %error, "a document cannot be read");
    Problem::internal()
}
