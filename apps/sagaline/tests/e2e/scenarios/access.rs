//! Who may do what.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use sagaline_service_kit::JwtKeys;
use sagaline_service_kit::secret::JwtSecret;
use sagaline_testkit::client::Client;
use serde_json::json;

use crate::fate::Fate;
use crate::world::World;

/// In 2020.
const LONG_AGO_S: i64 = 1_600_000_000;

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
    let secret: JwtSecret = world.stack.secret().parse()?;
    let hour = Duration::from_hours(1);
    let expired =
        JwtKeys::with_clock(&secret, Arc::new(|| LONG_AGO_S)).mint("ann", "admin", hour)?;
    let reader = JwtKeys::new(&secret).mint("ann", "reader", hour)?;
    for (method, url) in endpoints {
        for (client, wanted) in [
            (anonymous.clone(), 401),
            (anonymous.with_token(&forged), 401),
            (anonymous.with_token(unsigned), 401),
            (anonymous.with_token(&expired), 401),
            (anonymous.with_token(&reader), 403),
        ] {
            let (status, answer) = client.send(method.clone(), &url, Some(&body)).await?;
            ensure!(status == wanted, "{url}: {status} {answer}");
        }
    }
    // Nothing of it was done.
    let audit = format!("{read_model}/admin/audit");
    let (status, asked) = world.client.send(Method::GET, &audit, None).await?;
    ensure!(status == 200 && !asked.to_string().contains(&id), "{asked}");
    let (status, answer) = world.client.retry("no-such-order", "payment").await?;
    ensure!(status == 404, "{status} {answer}");
    let (status, answer) = world.client.retry(&id, "dance").await?;
    ensure!(
        status.is_client_error() && status != 404,
        "{status} {answer}"
    );
    Ok(())
}
