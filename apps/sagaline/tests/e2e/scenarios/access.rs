//! Who may do what.

use anyhow::{Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::Client;
use serde_json::json;

use crate::fate::Fate;
use crate::world::World;

pub async fn admin_endpoints_want_a_good_token(world: &mut World) -> Result<()> {
    let id = world.place_with_fate("access", &[Fate::Ships]).await?;
    world.client.outcome(&id).await?;
    let anonymous = Client::anonymous(&world.stack);
    let (order, read_model) = (
        &world.client.addresses().order,
        &world.client.addresses().read_model,
    );
    let body = json!({ "step": "payment", "action": "refundPayment", "qty": 1 });
    let endpoints = [
        (Method::POST, format!("{order}/admin/retry/{id}")),
        (Method::POST, format!("{order}/admin/compensate/{id}")),
        (Method::POST, format!("{read_model}/admin/retry/{id}")),
        (Method::POST, format!("{read_model}/admin/compensate/{id}")),
        (
            Method::POST,
            format!("{read_model}/admin/dead-letters/x/redrive"),
        ),
        (Method::GET, format!("{read_model}/admin/audit")),
        (
            Method::POST,
            format!(
                "{}/admin/products/SKU-1/restock",
                world.client.addresses().inventory
            ),
        ),
    ];
    let good = world.stack.token("ann")?;
    let forged = format!("{}x", good.trim_end_matches(|c: char| c != '.'));
    // {"alg":"none"} and {"sub":"x","role":"admin","exp":9999999999}
    let unsigned =
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4Iiwicm9sZSI6ImFkbWluIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
    for (method, url) in endpoints {
        for client in [
            anonymous.clone(),
            anonymous.with_token(&forged),
            anonymous.with_token(unsigned),
        ] {
            let (status, answer) = client.send(method.clone(), &url, Some(&body)).await?;
            ensure!(status == 401, "{url}: {status} {answer}");
        }
    }
    let (status, answer) = world.client.retry("no-such-order", "payment").await?;
    ensure!(status == 404, "{status} {answer}");
    let (status, answer) = world.client.retry(&id, "dance").await?;
    ensure!(
        status.is_client_error() && status != 404,
        "{status} {answer}"
    );
    Ok(())
}
