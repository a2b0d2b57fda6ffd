//! The read model follows from the topics alone.

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::Client;
use sagaline_testkit::invariants::{Known, violations};
use sagaline_testkit::stack::{Backend, Stack};
use serde_json::Value;

use crate::{LIMIT, binaries, flow, projections, sagaline};

/// Who rebuilds: the service, when it is asked; or the command line, in the service's database.
#[derive(Clone)]
enum By {
    Service,
    CommandLine { mongo_url: String },
}

async fn rebuild(stack: &Stack, by: &By) -> Result<()> {
    let mut command = tokio::process::Command::from(sagaline(stack));
    command.args(["rebuild", "read-model"]);
    if let By::CommandLine { mongo_url } = by {
        command.env("MONGO_URL", mongo_url);
    }
    let made = command.output().await?;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    ensure!(made.status.success(), "the rebuild failed: {said}");
    Ok(())
}

/// Flags that let payments and shipments fail.
const FAILURES: [(&str, &str); 2] = [
    ("--payment-decline-rate", "0.2"),
    ("--carrier-failure-rate", "0.2"),
];

async fn rebuilds_while_orders_flow(stack: Stack, by: By, per_second: u32, orders: usize) {
    let client = Client::operator(&stack).unwrap();
    let load = flow(&client, "before", per_second);
    load.so_many_more(orders, LIMIT).await.unwrap();
    let first = load.stop(LIMIT).await.unwrap();
    for id in &first.orders {
        client.outcome(id).await.unwrap();
    }
    let before = projections(&client, &first.orders).await.unwrap();

    // Orders go on while everything is made anew, twice.
    let load = flow(&client, "meanwhile", per_second);
    for _ in 0..2 {
        load.so_many_more(orders / 4, LIMIT).await.unwrap();
        rebuild(&stack, &by).await.unwrap();
    }
    let second = load.stop(LIMIT).await.unwrap();
    let known = Known {
        accepted: [first.orders.clone(), second.orders].concat(),
        ..Known::default()
    };
    let broken = violations(&client, &known).await.unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
    let after = projections(&client, &first.orders).await.unwrap();
    assert_eq!(after, before);

    let live = projections(&client, &known.accepted).await.unwrap();
    rebuild(&stack, &by).await.unwrap();
    let rebuilt = projections(&client, &known.accepted).await.unwrap();
    assert_eq!(rebuilt, live);
    counts_become(&client, known.accepted.len()).await.unwrap();
    stack.stop().await.unwrap();
}

/// Waits until the service counts so many orders, all of them ended.
async fn counts_become(client: &Client, orders: usize) -> Result<()> {
    let url = format!("{}/stats", client.addresses().read_model);
    let mut last = Value::Null;
    let counting = async {
        loop {
            let answer = client.http().request(Method::GET, &url).send().await?;
            last = serde_json::from_str(&answer.text().await?)?;
            if last["total"] == orders && last["inFlight"] == 0 && last["counting"] == false {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let counted = tokio::time::timeout(LIMIT, counting).await;
    counted.unwrap_or_else(|_| Err(anyhow::anyhow!("{orders} orders, and it counts {last}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_while_orders_flow_gives_the_same_bytes() {
    let stack = Stack::start(Backend::Embedded, &binaries(), &FAILURES)
        .await
        .unwrap();
    rebuilds_while_orders_flow(stack, By::Service, 100, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_by_the_command_line_beside_the_running_service_gives_the_same_bytes() {
    let mut stack = Stack::start(Backend::Real, &binaries(), &FAILURES)
        .await
        .unwrap();
    let mongo_url = stack.mongo().unwrap().url();
    rebuilds_while_orders_flow(stack, By::CommandLine { mongo_url }, 20, 80).await;
}
