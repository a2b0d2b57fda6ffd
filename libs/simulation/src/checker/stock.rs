//! Invariant 1: every unit is accounted for, and shipped units are those in parcels.

use std::collections::BTreeMap;

use anyhow::Result;
use sagaline_contracts::{EventType, Payload};
use sagaline_store::Store;
use serde::Deserialize;
use serde_json::Value;

use super::Evidence;
use super::orders::of_type;
use crate::world::World;

/// What is read of a stock document.
#[derive(Debug, Deserialize)]
struct Stock {
    sku: String,
    initial: u64,
    restocked: u64,
    available: u64,
    reserved: u64,
    shipped: u64,
    #[serde(default)]
    marks: Value,
}

/// Whether every unit of a stock document is accounted for, and none is less than nothing.
pub(crate) fn is_conserved(body: &[u8]) -> bool {
    serde_json::from_slice::<Stock>(body).is_ok_and(|stock| {
        stock.initial + stock.restocked == stock.available + stock.reserved + stock.shipped
    })
}

pub(super) async fn check(world: &World, evidence: &mut Evidence) -> Result<()> {
    let mut shipped: BTreeMap<String, u64> = BTreeMap::new();
    for (order, parcels) in &evidence.parcels {
        if !parcels.iter().any(|(_, parcel)| parcel.stands()) {
            continue;
        }
        let events = evidence.orders.get(order);
        let created = events.and_then(|events| of_type(events, EventType::OrderCreated).next());
        if let Some(Payload::OrderCreated(created)) = created.map(|event| &event.payload) {
            for item in &created.items {
                *shipped.entry(item.sku.to_string()).or_default() += u64::from(item.qty);
            }
        }
    }
    let (least, most) = world.clients.restocked();
    let documents = world
        .shelf
        .scan(inventory_service::STOCK, None, 100_000)
        .await?;
    for document in documents {
        let Ok(stock) = serde_json::from_slice::<Stock>(&document.body) else {
            evidence.complain(format!("stock: {} cannot be read", document.id));
            continue;
        };
        let sku = &stock.sku;
        if !is_conserved(&document.body) {
            evidence.complain(format!(
                "stock: the units of {sku} do not add up: {stock:?}"
            ));
        }
        if !evidence.settled {
            continue;
        }
        if stock.reserved > 0
            || stock
                .marks
                .as_array()
                .is_some_and(|marks| !marks.is_empty())
        {
            evidence.complain(format!(
                "stock: {sku} is not at rest although every order is: {stock:?}"
            ));
        }
        let expected = shipped.get(sku).copied().unwrap_or(0);
        if stock.shipped != expected {
            evidence.complain(format!(
                "stock: {} of {sku} are shipped, and {expected} are in parcels",
                stock.shipped
            ));
        }
        let restocked = |of: &BTreeMap<String, u64>| of.get(sku).copied().unwrap_or(0);
        if stock.restocked < restocked(&least) || stock.restocked > restocked(&most) {
            evidence.complain(format!(
                "stock: {sku} was restocked by {} instead of {} to {}",
                stock.restocked,
                restocked(&least),
                restocked(&most)
            ));
        }
    }
    Ok(())
}
