//! A copy of the data directory is a backup.

use std::path::Path;

use anyhow::{Result, ensure};
use sagaline_testkit::client::{Client, order};
use sagaline_testkit::invariants::{Known, violations};
use sagaline_testkit::stack::{ALL_IN_ONE, Backend, Stack};

use crate::{LIMIT, binaries, flow, projections};

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = std::process::Command::new("cp")
        .args(["-a", "--"])
        .args([from, to])
        .status()?;
    ensure!(copied.success(), "the copy failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_data_directory_brings_everything_back() {
    let mut stack = Stack::start(Backend::Durable, &binaries(), &[])
        .await
        .unwrap();
    let client = Client::operator(&stack).unwrap();
    let load = flow(&client, "kept", 50);
    load.so_many_more(100, LIMIT).await.unwrap();
    let kept = load.stop(LIMIT).await.unwrap();
    let mut known = Known {
        accepted: kept.orders,
        ..Known::default()
    };
    assert_eq!(
        violations(&client, &known).await.unwrap(),
        Vec::<String>::new()
    );
    let before = projections(&client, &known.accepted).await.unwrap();

    stack.terminate(ALL_IN_ONE).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    copy(stack.data(), &backup).unwrap();
    // What comes after the backup is lost with the disk that it was on.
    stack.restart(ALL_IN_ONE).await.unwrap();
    client.accepted(&order("lost", "SKU-1", 1)).await.unwrap();
    stack.kill_9(ALL_IN_ONE).unwrap();
    std::fs::remove_dir_all(stack.data()).unwrap();

    copy(&backup, stack.data()).unwrap();
    stack.restart(ALL_IN_ONE).await.unwrap();
    let after = projections(&client, &known.accepted).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(client.projection("lost").await.unwrap(), None);
    // And it goes on from there.
    known
        .accepted
        .push(client.accepted(&order("new", "SKU-1", 1)).await.unwrap());
    assert_eq!(
        violations(&client, &known).await.unwrap(),
        Vec::<String>::new()
    );
    stack.stop().await.unwrap();
}
