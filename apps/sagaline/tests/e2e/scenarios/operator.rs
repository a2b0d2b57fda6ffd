//! What operators may do, and when.

use anyhow::{Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::timeline;
use serde_json::json;

use crate::fate::Fate;
use crate::world::World;

pub async fn a_cancel_before_shipping_undoes_everything(world: &mut World) -> Result<()> {
    // The gateway fails at first for this order, so it is in flight for a second at least.
    let id = world
        .place_with_fate("flaky-cancel", &[Fate::Ships])
        .await?;
    world
        .client
        .until(&id, "reserved", |order| {
            order["currentStatus"] == "INVENTORY_RESERVED"
        })
        .await?;
    let (status, body) = world.client.compensate(&id, "releaseInventory").await?;
    ensure!(status == 202, "{status} {body}");
    let projection = world.client.outcome_is(&id, "CANCELLED").await?;
    let events = timeline(&projection);
    ensure!(
        events.iter().any(|name| name == "ShippingFailed"),
        "{events:?}"
    );
    ensure!(
        events.iter().all(|name| name != "OrderShipped"),
        "{events:?}"
    );
    Ok(())
}

pub async fn after_shipping_a_release_is_refused_and_a_refund_is_one_effect(
    world: &mut World,
) -> Result<()> {
    let id = world.place_with_fate("refund", &[Fate::Ships]).await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    let (status, body) = world.client.compensate(&id, "releaseInventory").await?;
    ensure!(
        status == 409 && body["error"].is_string(),
        "{status} {body}"
    );
    let (status, body) = world.client.retry(&id, "payment").await?;
    ensure!(
        status == 409,
        "a confirmed order is not retried: {status} {body}"
    );
    let (first, body) = world.client.compensate(&id, "refundPayment").await?;
    ensure!(first == 202, "{first} {body}");
    let command = body["commandId"].clone();
    let (second, body) = world.client.compensate(&id, "refundPayment").await?;
    ensure!(
        second == 202 && body["commandId"] == command || second == 409,
        "{second} {body}"
    );
    let refunded = |order: &serde_json::Value| order["currentStatus"] == "REFUNDED";
    let projection = world.client.until(&id, "refunded", refunded).await?;
    ensure!(projection["outcome"] == "CONFIRMED", "{projection}");
    ensure!(
        timeline(&projection)
            .iter()
            .filter(|name| *name == "PaymentRefunded")
            .count()
            == 1,
        "{projection}"
    );
    Ok(())
}

pub async fn two_clicks_on_retry_start_one_attempt(world: &mut World) -> Result<()> {
    let id = world
        .place_with_fate("clicks", &[Fate::Declined, Fate::Ships])
        .await?;
    world.client.outcome_is(&id, "CANCELLED").await?;
    let read_model = format!("{}/admin/retry/{id}", world.client.addresses().read_model);
    let body = json!({ "step": "payment" });
    let (a, b, c) = tokio::join!(
        world.client.retry(&id, "payment"),
        world.client.retry(&id, "payment"),
        world.client.send(Method::POST, &read_model, Some(&body)),
    );
    let accepted = [a?, b?, c?]
        .iter()
        .filter(|(status, _)| *status == 202)
        .count();
    ensure!(accepted >= 1, "no click was accepted");
    let projection = world.client.outcome_is(&id, "CONFIRMED").await?;
    ensure!(projection["attempt"] == 2, "{projection}");
    ensure!(
        timeline(&projection)
            .iter()
            .filter(|name| *name == "OrderRetried")
            .count()
            == 1,
        "{projection}"
    );
    let audit = format!("{}/admin/audit", world.client.addresses().read_model);
    let (status, audit) = world.client.send(Method::GET, &audit, None).await?;
    ensure!(status == 200, "{audit}");
    let entries = audit.as_array().cloned().unwrap_or_default();
    ensure!(
        entries
            .iter()
            .any(|entry| entry["orderId"] == id.as_str() && entry.to_string().contains("ann")),
        "{audit}"
    );
    Ok(())
}
