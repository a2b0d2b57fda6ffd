//! The read model follows from the topics alone.

use anyhow::{Result, ensure};
use sagaline_testkit::client::Client;
use sagaline_testkit::invariants::{Known, violations};
use sagaline_testkit::stack::{Backend, Stack};

use crate::{LIMIT, binaries, flow, projections, sagaline};

async fn rebuild(stack: &Stack) -> Result<()> {
    let mut command = tokio::process::Command::from(sagaline(stack));
    let made = command.args(["rebuild", "read-model"]).output().await?;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    ensure!(made.status.success(), "the rebuild failed: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_while_orders_flow_gives_the_same_bytes() {
    let flags = [
        ("--payment-decline-rate", "0.2"),
        ("--carrier-failure-rate", "0.2"),
    ];
    let stack = Stack::start(Backend::Embedded, &binaries(), &flags)
        .await
        .unwrap();
    let client = Client::operator(&stack).unwrap();
    let load = flow(&client, "before", 100);
    load.so_many_more(200, LIMIT).await.unwrap();
    let first = load.stop(LIMIT).await.unwrap();
    for id in &first.orders {
        client.outcome(id).await.unwrap();
    }
    let before = projections(&client, &first.orders).await.unwrap();

    // Orders go on while everything is made anew, twice.
    let load = flow(&client, "meanwhile", 100);
    for _ in 0..2 {
        load.so_many_more(50, LIMIT).await.unwrap();
        rebuild(&stack).await.unwrap();
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
    rebuild(&stack).await.unwrap();
    let rebuilt = projections(&client, &known.accepted).await.unwrap();
    assert_eq!(rebuilt, live);
    stack.stop().await.unwrap();
}
