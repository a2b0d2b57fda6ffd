//! The service's HTTP: what is in stock, and how more gets there.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::Router;
use sagaline_contracts::{Money, OrderId, Sku};
use sagaline_saga::{Clock, command_id};
use sagaline_service_kit::{Admin, AdminGate, Json, Path, Problem};
use sagaline_store::{Index, SaveResult, Store, StoreError, Stored, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::STOCK;
use crate::stock::{Restock, Stock};

const CONFLICTS_MAX: usize = 200;
const RESTOCK_MAX: u32 = 100_000_000;

#[derive(Clone)]
struct Api {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    gate: AdminGate,
}

impl FromRef<Api> for AdminGate {
    fn from_ref(api: &Api) -> Self {
        api.gate.clone()
    }
}

/// The service's routes, on the stock in `store`.
pub fn routes(store: Arc<dyn Store>, clock: Arc<dyn Clock>, gate: AdminGate) -> Router {
    Router::new()
        .route("/products", get(products))
        .route("/products/{sku}", get(product))
        .route("/admin/products/{sku}/restock", post(restock))
        .with_state(Api { store, clock, gate })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    sku: Sku,
    name: String,
    price: Money,
    available: u64,
    reserved: u64,
    shipped: u64,
    restocked: u64,
    version: u64,
}

impl Product {
    fn of(stored: &Stored) -> Result<Self, Problem> {
        let stock: Stock = serde_json::from_slice(&stored.body).map_err(|error| {
            tracing::error!(sku = stored.id, error = %error, "a stock document is damaged");
            Problem::internal()
        })?;
        Ok(Self {
            sku: stock.sku,
            name: stock.name,
            price: stock.price,
            available: stock.available,
            reserved: stock.reserved,
            shipped: stock.shipped,
            restocked: stock.restocked,
            version: stored.version,
        })
    }
}

fn outage(error: StoreError) -> Problem {
    tracing::warn!(error = %error, "the store does not answer");
    Problem::unavailable("the stock cannot be read or written just now", 1)
}

async fn products(State(api): State<Api>) -> Result<Json<Vec<Product>>, Problem> {
    let mut products = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = api.store.scan(STOCK, after.as_deref(), 500).await.map_err(outage)?;
        let Some(last) = page.last() else {
            return Ok(Json(products));
        };
        after = Some(last.id.clone());
        for stored in &page {
            products.push(Product::of(stored)?);
        }
    }
}

async fn find(api: &Api, sku: &str) -> Result<Stored, Problem> {
    let found = api.store.load(STOCK, &[sku]).await.map_err(outage)?;
    found.into_iter().next().flatten().ok_or_else(|| Problem::not_found(format!("there is no product {sku:?}")))
}

async fn product(State(api): State<Api>, Path(sku): Path<String>) -> Result<Json<Product>, Problem> {
    Product::of(&find(&api, &sku).await?).map(Json)
}

#[derive(Debug, Deserialize)]
struct RestockRequest {
    qty: u32,
}

async fn restock(
    Admin { sub }: Admin,
    State(api): State<Api>,
    Path(sku): Path<String>,
    headers: HeaderMap,
    Json(request): Json<RestockRequest>,
) -> Result<Json<Value>, Problem> {
    if !(1..=RESTOCK_MAX).contains(&request.qty) {
        return Err(Problem::bad_request("qty", format!("qty must be 1 to {RESTOCK_MAX}")));
    }
    let now = api.clock.now();
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    // Without a key every request adds: somebody may well mean it twice.
    let key = key.unwrap_or_else(|| sagaline_service_kit::ids::random_uuid().to_string());
    let stream = OrderId::new("restock").map_err(|_| Problem::internal())?;
    let command = command_id(&stream, &format!("restock {sku} {}", request.qty), &key).to_string();
    for _ in 0..CONFLICTS_MAX {
        let stored = find(&api, &sku).await?;
        let mut stock: Stock = serde_json::from_slice(&stored.body).map_err(|_| Problem::internal())?;
        let restock = Restock { command_id: command.clone(), qty: request.qty, by: sub.clone(), at: now.to_string() };
        if stock.restock(restock) {
            let body = serde_json::to_vec(&stock).map_err(|_| Problem::internal())?;
            let write = Write { id: sku.clone(), expected: stored.version, body: body.into(), index: Index::default() };
            let saved = api.store.save(STOCK, vec![write]).await.map_err(outage)?;
            if saved.first() != Some(&SaveResult::Saved) {
                continue;
            }
            tracing::info!(sku, qty = request.qty, by = sub, "restocked");
        }
        return Ok(Json(json!({ "ok": true, "commandId": command, "sku": sku, "available": stock.available })));
    }
    Err(Problem::unavailable("this product is written all the time; try again", 1))
}
