//! What an operator recovers with: a rebuilt read model, a backup, and the commands of the runbook, each of them run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod backup;
mod rebuild;
mod runbook;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::{Client, order};
use sagaline_testkit::load::{Load, MakeOrder};
use sagaline_testkit::stack::Stack;

const LIMIT: Duration = Duration::from_secs(30);

/// The folder of the binaries under test.
fn binaries() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_sagaline"));
    built.parent().unwrap().to_path_buf()
}

/// `sagaline ARGUMENTS` as an operator of this pipeline types it.
fn sagaline(stack: &Stack) -> std::process::Command {
    let mut command = std::process::Command::new(binaries().join("sagaline"));
    environment(&mut command, stack);
    command
}

/// Says where the pipeline is.
fn environment(command: &mut std::process::Command, stack: &Stack) {
    let at = stack.addresses();
    command
        .env("ORDER_SERVICE", &at.order)
        .env("INVENTORY", &at.inventory)
        .env("READ_MODEL", &at.read_model)
        .env("KAFKA_BROKERS", &at.kafka)
        .env("JWT_SECRET", stack.secret())
        .env("USER", "ann")
        .env_remove("MONGO_URL");
}

/// Orders that come while something else is done; every third is of three lines.
fn flow(client: &Client, name: &'static str, per_second: u32) -> Load {
    let make: MakeOrder = Arc::new(move |n| {
        let sku = format!("SKU-{}", 1 + n % 20);
        order(
            &format!("{name}-{n}"),
            &sku,
            1 + u32::try_from(n % 3).unwrap_or(0),
        )
    });
    Load::start(client, per_second, make)
}

/// The bytes that the read model answers for each of these orders.
async fn projections(client: &Client, orders: &[String]) -> Result<Vec<(String, String)>> {
    let mut all = Vec::with_capacity(orders.len());
    for id in orders {
        let url = format!("{}/orders/{id}", client.addresses().read_model);
        let answer = client.http().request(Method::GET, &url).send().await?;
        ensure!(answer.status().is_success(), "{id}: {}", answer.status());
        all.push((id.clone(), answer.text().await.context("an answer")?));
    }
    Ok(all)
}
