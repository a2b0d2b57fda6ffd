//! How far services are behind.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use sagaline_testkit::client::order;
use serde_json::Value;

use crate::world::World;

/// While this file is there, the gateway is down for everyone.
pub const GATEWAY_OUTAGE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/gateway-is-down");
/// The broker is asked every few seconds; and how soon a service takes a message up again after an outage.
const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(200);
const ORDERS: u64 = 5;

/// The outage ends however the test does.
struct Outage;

impl Outage {
    fn begin() -> Result<Self> {
        std::fs::write(GATEWAY_OUTAGE, "")?;
        Ok(Self)
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        // It fails when it has ended already.
        let _ = std::fs::remove_file(Path::new(GATEWAY_OUTAGE));
    }
}

pub async fn a_service_whose_gateway_is_down_falls_behind_alone_and_catches_up(
    world: &mut World,
) -> Result<()> {
    behind(world, "payment-service", |messages| messages == 0).await?;
    let outage = Outage::begin()?;
    for at in 0..ORDERS {
        world
            .place(&order(&format!("behind-{at}"), "SKU-1", 1))
            .await?;
    }
    behind(world, "payment-service", |messages| messages >= ORDERS).await?;
    behind(world, "inventory-service", |messages| messages == 0).await?;
    drop(outage);
    behind(world, "payment-service", |messages| messages == 0).await?;
    for at in 0..ORDERS {
        world.client.outcome(&format!("behind-{at}")).await?;
    }
    Ok(())
}

/// Waits until a group has so much to read.
async fn behind(world: &World, group: &str, wanted: impl Fn(u64) -> bool) -> Result<()> {
    let url = format!("{}/stats", world.client.addresses().read_model);
    let began = tokio::time::Instant::now();
    loop {
        let answer = world.client.http().get(&url).send().await?;
        let stats: Value = answer.json().await?;
        let mut lags = stats["lag"].as_array().into_iter().flatten();
        let lag = lags.find(|lag| lag["group"] == group);
        if lag
            .and_then(|lag| lag["messages"].as_u64())
            .is_some_and(&wanted)
        {
            return Ok(());
        }
        ensure!(
            began.elapsed() < LIMIT,
            "{group} is not as far behind as it should be after {LIMIT:?}: {}",
            stats["lag"]
        );
        tokio::time::sleep(POLL).await;
    }
}
