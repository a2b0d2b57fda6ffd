//! The end-to-end suite: written once, run against every backend.
//!
//! One pipeline per backend is started and shared by its scenarios, which run one after the other; after each of them
//! every invariant is checked from the outside, over every order that was ever accepted there.
#![allow(
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::maybe_infinite_iter,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod fate;
mod scenarios;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use sagaline_testkit::client::{Client, order};
use sagaline_testkit::stack::{Backend, Stack};
use serde_json::Value;

use scenarios::Scenario;
use world::World;

/// Fates of payments and shipments follow from order ids at these rates; see [`fate`].
pub const RATE: &str = "0.3";

const FLAGS: [(&str, &str); 7] = [
    ("--payment-decline-rate", RATE),
    ("--carrier-failure-rate", RATE),
    ("--gateway-flaky-prefix", "flaky-"),
    ("--gateway-flaky-times", "2"),
    ("--gateway-outage-file", scenarios::lag::GATEWAY_OUTAGE),
    ("--saga-timeout", "12s"),
    ("--checkout-wait", "8s"),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The scenarios of a backend share its pipeline.
    arguments.test_threads = Some(1);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    let runtime = Arc::new(runtime);
    let mut trials = Vec::new();
    for (name, backend) in [
        ("embedded", Backend::Embedded),
        ("durable", Backend::Durable),
        ("real", Backend::Real),
    ] {
        let world = Arc::new(Mutex::new(None));
        for scenario in scenarios::all() {
            if !(scenario.runs_on)(backend) {
                continue;
            }
            trials.push(trial(name, backend, scenario, &runtime, &world));
        }
        // Last: everything stops in order, with exit code 0.
        let (runtime, world) = (Arc::clone(&runtime), Arc::clone(&world));
        trials.push(Trial::test(
            format!("{name}::at_the_end_every_process_drains_and_exits_with_0"),
            move || {
                let world: Option<World> =
                    world.lock().unwrap_or_else(PoisonError::into_inner).take();
                match world {
                    Some(world) => runtime
                        .block_on(world.stack.stop())
                        .map_err(|error| Failed::from(format!("{error:#}"))),
                    None => Ok(()),
                }
            },
        ));
    }
    let shared = Arc::clone(&runtime);
    trials.push(Trial::test(
        "embedded::a_gateway_that_hangs_holds_up_no_stop",
        move || {
            shared
                .block_on(stop_beside_a_hanging_gateway())
                .map_err(|error| Failed::from(format!("{error:#}")))
        },
    ));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A call to the gateway is under way and will not end; the process stops within ten seconds all the same, with exit code 0.
async fn stop_beside_a_hanging_gateway() -> Result<()> {
    let hangs = [
        ("--gateway-latency-ms", "600000"),
        ("--gateway-time-limit-ms", "600000"),
    ];
    let stack = Stack::start(Backend::Embedded, &binaries(), &hangs).await?;
    let client = Client::operator(&stack)?;
    // When the second is reserved, the first is at the gateway.
    for id in ["first", "second"] {
        client.accepted(&order(id, "SKU-1", 1)).await?;
        let reserved = |order: &Value| order["currentStatus"] == "INVENTORY_RESERVED";
        client.until(id, "reserved", reserved).await?;
    }
    let stopped = tokio::time::timeout(Duration::from_secs(10), stack.stop()).await;
    stopped.context("it did not stop within ten seconds")?
}

fn trial(
    name: &str,
    backend: Backend,
    scenario: Scenario,
    runtime: &Arc<tokio::runtime::Runtime>,
    world: &Arc<Mutex<Option<World>>>,
) -> Trial {
    let (runtime, world) = (Arc::clone(runtime), Arc::clone(world));
    Trial::test(format!("{name}::{}", scenario.name), move || {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        let ran = runtime.block_on(async {
            if world.is_none() {
                let stack = Stack::start(backend, &binaries(), &FLAGS).await?;
                *world = Some(World::new(stack)?);
            }
            let Some(world) = world.as_mut() else {
                anyhow::bail!("no pipeline");
            };
            (scenario.run)(world).await?;
            world.check_invariants().await
        });
        ran.map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// The folder of the binaries under test; `SAGALINE_BINARIES` names another one.
fn binaries() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_sagaline"))
        .parent()
        .map(Path::to_path_buf);
    std::env::var_os("SAGALINE_BINARIES")
        .map(PathBuf::from)
        .or(built)
        .unwrap_or_default()
}
