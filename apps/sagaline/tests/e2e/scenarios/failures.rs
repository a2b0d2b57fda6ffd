//! Each step's failure, its compensation, and the retry after it.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::{order, timeline};
use serde_json::{Value, json};

use crate::fate::{Fate, order_id};
use crate::world::World;

fn reason(projection: &Value) -> Option<&str> {
    let entries = projection["timeline"].as_array()?;
    let cancelled = entries
        .iter()
        .rev()
        .find(|entry| entry["type"] == "order.OrderCancelled.v1")?;
    cancelled["details"]["reason"].as_str()
}

async fn retried(world: &World, id: &str, step: &str) -> Result<Value> {
    let (status, body) = world.client.retry(id, step).await?;
    ensure!(
        status == 202 && body["ok"] == true && body["commandId"].is_string(),
        "{status} {body}"
    );
    let projection = world.client.outcome_is(id, "CONFIRMED").await?;
    ensure!(projection["attempt"] == 2, "{projection}");
    Ok(projection)
}

pub async fn a_declined_payment_gives_the_stock_back_and_a_retry_succeeds(
    world: &mut World,
) -> Result<()> {
    let id = world
        .place_with_fate("declined", &[Fate::Declined, Fate::Ships])
        .await?;
    let projection = world.client.outcome_is(&id, "CANCELLED").await?;
    ensure!(reason(&projection) == Some("card_declined"), "{projection}");
    ensure!(
        projection["currentStatus"] == "PAYMENT_FAILED",
        "{projection}"
    );
    let events = timeline(&projection);
    for event in [
        "PaymentFailed",
        "CompensationRequested",
        "InventoryReleased",
    ] {
        ensure!(
            events.iter().filter(|name| *name == event).count() == 1,
            "{events:?}"
        );
    }
    world.check_invariants().await?;
    retried(world, &id, "payment").await?;
    Ok(())
}

pub async fn a_refusing_carrier_gives_stock_and_money_back_and_a_retry_succeeds(
    world: &mut World,
) -> Result<()> {
    let id = world
        .place_with_fate("refused", &[Fate::Refused, Fate::Ships])
        .await?;
    let projection = world.client.outcome_is(&id, "CANCELLED").await?;
    ensure!(reason(&projection) == Some("carrier_error"), "{projection}");
    let events = timeline(&projection);
    ensure!(
        events
            .iter()
            .filter(|name| *name == "CompensationRequested")
            .count()
            == 2,
        "{events:?}"
    );
    for event in ["PaymentRefunded", "InventoryReleased"] {
        ensure!(
            events.iter().filter(|name| *name == event).count() == 1,
            "{events:?}"
        );
    }
    world.check_invariants().await?;
    retried(world, &id, "shipping").await?;
    Ok(())
}

pub async fn an_order_beyond_the_stock_is_cancelled_and_confirmed_after_a_restock(
    world: &mut World,
) -> Result<()> {
    let id = order_id("scarce", &[Fate::Ships, Fate::Ships]);
    world.place(&order(&id, "LIMITED-1", 6)).await?;
    let projection = world.client.outcome_is(&id, "CANCELLED").await?;
    ensure!(reason(&projection) == Some("out_of_stock"), "{projection}");
    ensure!(
        projection["currentStatus"] == "INVENTORY_FAILED",
        "{projection}"
    );
    let url = format!(
        "{}/admin/products/LIMITED-1/restock",
        world.client.addresses().inventory
    );
    let key = [("idempotency-key", "restock-for-scarce")];
    for _ in 0..2 {
        let (status, body) = world
            .client
            .send_with(Method::POST, &url, Some(&json!({ "qty": 6 })), &key)
            .await?;
        ensure!(status.is_success(), "{status} {body}");
    }
    *world
        .known
        .restocked
        .entry("LIMITED-1".to_owned())
        .or_default() += 6;
    retried(world, &id, "inventory").await?;
    Ok(())
}

pub async fn an_unknown_sku_is_named(world: &mut World) -> Result<()> {
    let id = order_id("unknown", &[Fate::Ships]);
    world.place(&order(&id, "NO-SUCH-SKU", 1)).await?;
    let projection = world.client.outcome_is(&id, "CANCELLED").await?;
    ensure!(reason(&projection) == Some("unknown_sku"), "{projection}");
    let entries = projection["timeline"].as_array().context("no timeline")?;
    let failed = entries
        .iter()
        .find(|entry| entry["type"] == "inventory.InventoryFailed.v1")
        .context("not failed")?;
    ensure!(
        failed["details"]["shortages"][0]["sku"] == "NO-SUCH-SKU",
        "{failed}"
    );
    Ok(())
}

pub async fn a_flaky_gateway_delays_only_its_own_order(world: &mut World) -> Result<()> {
    let flaky = world
        .place_with_fate("flaky", &[Fate::Ships, Fate::Ships])
        .await?;
    let other = world
        .place_with_fate("beside-flaky", &[Fate::Ships])
        .await?;
    world.client.outcome_is(&other, "CONFIRMED").await?;
    let projection = world.client.projection(&flaky).await?.context("unknown")?;
    ensure!(
        projection["outcome"] == "PENDING",
        "the flaky order was not delayed: {projection}"
    );
    world.client.outcome(&flaky).await?;
    Ok(())
}
