//! The service's HTTP: what is in stock, and how more gets there.

mod products;
mod restock;
mod restocks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use sagaline_saga::Clock;
use sagaline_service_kit::{AdminGate, Api as Routes, Problem};
use sagaline_store::{Store, StoreError, Stored};

use crate::effects::StockEffects;
use crate::{SERVICE, STOCK};

/// Documents that are read at once.
const PAGE: usize = 500;

/// What the handlers share.
#[derive(Clone)]
struct Api {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    effects: Arc<StockEffects>,
    gate: AdminGate,
}

impl FromRef<Api> for AdminGate {
    fn from_ref(api: &Api) -> Self {
        api.gate.clone()
    }
}

/// The service's routes: reads go to `store`, writes through the same ledger as the orders'.
pub fn routes(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    effects: Arc<StockEffects>,
    gate: AdminGate,
) -> Router {
    let api = Api {
        store,
        clock,
        effects,
        gate,
    };
    Routes::new(
        SERVICE,
        "Sets stock aside, gives it back, books it out; never oversells",
    )
    .get("/products", products::all, products::describe_all())
    .get("/products/{sku}", products::one, products::describe_one())
    .post(
        "/admin/products/{sku}/restock",
        restock::restock,
        restock::describe(),
    )
    .get("/admin/restocks", restocks::list, restocks::describe())
    .with_state(api)
}

/// Shows every stock document, by SKU.
async fn each_page(api: &Api, mut show: impl FnMut(&[Stored])) -> Result<(), Problem> {
    let mut after: Option<String> = None;
    loop {
        let page = api.store.scan(STOCK, after.as_deref(), PAGE).await;
        let page = page.map_err(|error| outage(&error))?;
        show(&page);
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

/// The kit's middleware logs requests; this says what is behind the answer.
fn outage(error: &StoreError) -> Problem {
    tracing::warn!(%error, "the stock cannot be reached");
    Problem::unavailable("the stock cannot be read or written just now", 1)
}

fn damaged(sku: &str, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(sku, %error, "a stock document is damaged");
    Problem::internal()
}

fn unknown(sku: &str) -> Problem {
    Problem::not_found(format!("there is no product {sku:?}"))
}
