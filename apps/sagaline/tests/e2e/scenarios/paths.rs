//! When nothing goes wrong.

use anyhow::{Context, Result, ensure};
use sagaline_testkit::client::timeline;
use serde_json::{Value, json};

use crate::fate::{Fate, order_id};
use crate::world::World;

pub async fn an_order_is_placed_and_shipped(world: &mut World) -> Result<()> {
    let id = world.place_with_fate("happy", &[Fate::Ships]).await?;
    let projection = world.client.outcome_is(&id, "CONFIRMED").await?;
    let expected = [
        "OrderCreated",
        "InventoryReserved",
        "PaymentAuthorized",
        "OrderShipped",
        "OrderConfirmed",
    ]
    .map(str::to_owned);
    ensure!(timeline(&projection) == expected, "{projection}");
    ensure!(projection["currentStatus"] == "SHIPPED", "{projection}");
    ensure!(projection["_id"] == id.as_str(), "{projection}");
    let (status, order) = world.client.order(&id).await?;
    ensure!(status == 200, "{order}");
    let (status, payment) = world.client.payment(&id).await?;
    ensure!(status == 200 && payment["captured"] == 10, "{payment}");
    let (status, shipment) = world.client.shipment(&id).await?;
    ensure!(
        status == 200 && shipment["trackingId"].is_string(),
        "{shipment}"
    );
    ensure!(world.client.projection("no-such-order").await?.is_none());
    let (status, body) = world.client.order("no-such-order").await?;
    ensure!(
        status == 404 && body["error"].is_string(),
        "{status} {body}"
    );
    Ok(())
}

pub async fn an_order_of_several_lines_is_one_reservation_per_sku(world: &mut World) -> Result<()> {
    let id = order_id("lines", &[Fate::Ships]);
    let line = |sku: &str, qty: u32| json!({ "sku": sku, "qty": qty, "price": 10 });
    let items = json!([line("SKU-7", 2), line("SKU-8", 1), line("SKU-7", 3)]);
    world
        .place(&json!({ "orderId": id, "items": items, "total": 60 }))
        .await?;
    let projection = world.client.outcome_is(&id, "CONFIRMED").await?;
    let entries = projection["timeline"].as_array().context("no timeline")?;
    let reserved = entries
        .iter()
        .find(|entry| entry["type"] == "inventory.InventoryReserved.v1")
        .context("not reserved")?;
    let mut items: Vec<Value> = reserved["details"]["reservedItems"]
        .as_array()
        .context("no items")?
        .clone();
    items.sort_by_key(|item| item["sku"].to_string());
    ensure!(
        json!(items) == json!([{ "sku": "SKU-7", "qty": 5 }, { "sku": "SKU-8", "qty": 1 }]),
        "{items:?}"
    );
    Ok(())
}
