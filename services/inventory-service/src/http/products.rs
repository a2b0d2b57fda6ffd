//! `GET /products` and `GET /products/{sku}`.

use axum::extract::State;
use sagaline_contracts::{Money, Sku};
use sagaline_service_kit::{Json, Operation, Path, Problem};
use sagaline_store::Stored;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Api, damaged, each_page, outage, unknown};
use crate::STOCK;
use crate::stock::StockDocument;

/// A product as the contract shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Product {
    sku: Sku,
    name: String,
    price: Money,
    initial: u64,
    restocked: u64,
    available: u64,
    reserved: u64,
    shipped: u64,
    version: u64,
}

impl Product {
    pub(super) fn new(document: &StockDocument, version: u64) -> Self {
        let counters = document.outlook();
        Self {
            sku: document.sku().clone(),
            name: document.name().to_owned(),
            price: document.price(),
            initial: counters.initial,
            restocked: counters.restocked,
            available: counters.available,
            reserved: counters.reserved,
            shipped: counters.shipped,
            version,
        }
    }

    fn read(stored: &Stored) -> Result<Self, Problem> {
        match StockDocument::decode(&stored.body) {
            Ok(document) => Ok(Self::new(&document, stored.version)),
            Err(error) => Err(damaged(&stored.id, &error)),
        }
    }
}

pub(super) fn describe_all() -> Operation {
    Operation::new("listProducts", "Every product with its stock")
        .answers::<Vec<Product>>(200, "The products")
}

pub(super) fn describe_one() -> Operation {
    Operation::new("showProduct", "A product with its stock")
        .path::<Sku>("sku", "The product")
        .answers::<Product>(200, "The product")
        .refuses(404, "There is no such product")
}

pub(super) async fn all(State(api): State<Api>) -> Result<Json<Vec<Product>>, Problem> {
    let mut products = Vec::new();
    // One that is damaged does not hide the others; reading has logged it.
    each_page(&api, |page| {
        products.extend(page.iter().filter_map(|stored| Product::read(stored).ok()));
    })
    .await?;
    Ok(Json(products))
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(sku): Path<String>,
) -> Result<Json<Product>, Problem> {
    let loaded = api.store.load(STOCK, &[&sku]).await;
    let found = loaded.map_err(|error| outage(&error))?.into_iter().next();
    let stored = found.flatten().ok_or_else(|| unknown(&sku))?;
    Product::read(&stored).map(Json)
}
