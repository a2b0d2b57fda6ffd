//! Placing orders: once, correctly, or not at all.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use sagaline_testkit::client::order;
use sagaline_testkit::topics::read_all;
use serde_json::{Value, json};

use crate::fate::{Fate, order_id};
use crate::world::World;

pub async fn the_same_request_again_is_the_same_order(world: &mut World) -> Result<()> {
    let id = order_id("idempotent", &[Fate::Ships]);
    let body = order(&id, "SKU-2", 1);
    let answers = try_join_all((0..30).map(|_| world.client.place(&body))).await?;
    let created = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::CREATED)
        .count();
    ensure!(created == 1, "{created} of 30 were created");
    ensure!(
        answers
            .iter()
            .all(|(status, body)| status.is_success() && body["orderId"] == id.as_str()),
        "{answers:?}"
    );
    world.known.accepted.push(id.clone());
    let (status, refusal) = world.client.place(&order(&id, "SKU-2", 2)).await?;
    ensure!(
        status == StatusCode::CONFLICT,
        "another body under the same id: {status} {refusal}"
    );

    let url = format!("{}/orders", world.client.addresses().order);
    let keyless = json!({ "items": [{ "sku": "SKU-2", "qty": 1, "price": 10 }], "total": 10 });
    let key = [("idempotency-key", id.as_str())];
    let (first, answer) = world
        .client
        .send_with(Method::POST, &url, Some(&keyless), &key)
        .await?;
    let (again, same) = world
        .client
        .send_with(Method::POST, &url, Some(&keyless), &key)
        .await?;
    ensure!(
        first == StatusCode::CREATED && again == StatusCode::OK && answer == same,
        "{answer} {same}"
    );
    world
        .known
        .accepted
        .push(answer["orderId"].as_str().unwrap_or_default().to_owned());

    world.client.outcome(&id).await?;
    let messages = read_all(world.kafka(), vec!["order.OrderCreated.v1".to_owned()]).await?;
    let ids: std::collections::BTreeSet<String> = messages
        .iter()
        .filter(|message| message.key.as_deref() == Some(id.as_bytes()))
        .map(|message| message.json()["eventId"].to_string())
        .collect();
    ensure!(ids.len() == 1, "{} distinct OrderCreated", ids.len());
    Ok(())
}

pub async fn bad_orders_are_refused_by_name(world: &mut World) -> Result<()> {
    let item =
        |sku: &str, qty: Value, price: Value| json!({ "sku": sku, "qty": qty, "price": price });
    let good = item("SKU-1", json!(1), json!(10));
    let table = [
        ("items", json!({ "items": [], "total": 0 })),
        ("items", json!({ "total": 10 })),
        (
            "qty",
            json!({ "items": [item("SKU-1", json!(0), json!(10))], "total": 0 }),
        ),
        (
            "qty",
            json!({ "items": [item("SKU-1", json!(-1), json!(10))], "total": 10 }),
        ),
        (
            "qty",
            json!({ "items": [item("SKU-1", json!("two"), json!(10))], "total": 10 }),
        ),
        ("total", json!({ "items": [good], "total": -10 })),
        ("total", json!({ "items": [good], "total": 10.001 })),
        ("total", json!({ "items": [good], "total": 11 })),
        (
            "orderId",
            json!({ "orderId": "no spaces", "items": [good], "total": 10 }),
        ),
        (
            "items",
            json!({ "items": vec![good.clone(); 101], "total": 1010 }),
        ),
    ];
    for (field, body) in table {
        let (status, answer) = world.client.place(&body).await?;
        ensure!(
            matches!(status.as_u16(), 400 | 422),
            "{body}: {status} {answer}"
        );
        ensure!(
            answer.to_string().contains(field),
            "{field} is not named: {answer}"
        );
        ensure!(answer["error"].is_string(), "{answer}");
    }
    let url = format!("{}/orders", world.client.addresses().order);
    let broken = world
        .client
        .http()
        .post(&url)
        .header("content-type", "application/json")
        .body("{\"items\":")
        .send()
        .await?;
    ensure!(
        broken.status() == StatusCode::BAD_REQUEST,
        "{}",
        broken.status()
    );
    let large = world
        .client
        .http()
        .post(&url)
        .header("content-type", "application/json")
        .body(vec![b' '; 70_000])
        .send()
        .await?;
    ensure!(
        large.status() == StatusCode::PAYLOAD_TOO_LARGE,
        "{}",
        large.status()
    );
    Ok(())
}

pub async fn checkout_waits_for_the_outcome(world: &mut World) -> Result<()> {
    let url = format!("{}/api/checkout", world.client.addresses().order);
    let checkout = |product: &str| json!({ "userId": "u-1", "items": [{ "productId": product, "quantity": 1, "price": 10 }] });
    let mut seen = [false, false];
    // Fates follow from ids that the service makes here: both outcomes come soon.
    for _ in 0..60 {
        let (status, answer) = world
            .client
            .send(Method::POST, &url, Some(&checkout("SKU-3")))
            .await?;
        let id = answer["orderId"].as_str().unwrap_or_default().to_owned();
        ensure!(
            !id.is_empty() && answer["message"].is_string(),
            "{status} {answer}"
        );
        world.known.accepted.push(id.clone());
        match status.as_u16() {
            200 => {
                ensure!(answer["success"] == true, "{answer}");
                world.client.outcome_is(&id, "CONFIRMED").await?;
                seen[0] = true;
            }
            409 => {
                ensure!(answer["success"] == false, "{answer}");
                world.client.outcome_is(&id, "CANCELLED").await?;
                seen[1] = true;
            }
            other => anyhow::bail!("{other}: {answer}"),
        }
        if seen == [true, true] {
            break;
        }
    }
    ensure!(
        seen == [true, true],
        "both outcomes should come within 60 orders: {seen:?}"
    );
    let (status, answer) = world
        .client
        .send(Method::POST, &url, Some(&checkout("NO-SUCH-SKU")))
        .await?;
    ensure!(
        status == StatusCode::CONFLICT && answer["success"] == false,
        "{status} {answer}"
    );
    world
        .known
        .accepted
        .push(answer["orderId"].as_str().unwrap_or_default().to_owned());
    Ok(())
}
