//! Faults on real parts: processes are killed and frozen, lines are cut, disks fill up, while orders flow; afterwards every
//! invariant is checked from the outside, over every order that was answered.
//!
//! `cargo test` runs the short form. `SAGALINE_FAULTS=long` (`scripts/test-faults`) runs all of it. Either prints a table, and
//! writes it to `target/faults/report.md`.
#![allow(
    clippy::panic,
    clippy::type_complexity,
    clippy::maybe_infinite_iter,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod drill;
#[path = "../e2e/fate.rs"]
mod fate;
mod report;
mod scenarios;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use report::Report;
use scenarios::Scenario;
use world::World;

/// Fates of payments and shipments follow from order ids at this rate; see [`fate`].
pub const RATE: &str = "0.3";

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Within `scripts/test`.
    Short,
    /// `scripts/test-faults`.
    Long,
}

impl Form {
    fn chosen() -> Self {
        if std::env::var("SAGALINE_FAULTS").is_ok_and(|form| form == "long") {
            Self::Long
        } else {
            Self::Short
        }
    }
}

/// What trials share: one pipeline at a time, and the table.
struct Shared {
    runtime: Runtime,
    /// With the grounds that it is for.
    world: Mutex<Option<World>>,
    report: Mutex<Report>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The scenarios of a pipeline share it.
    arguments.test_threads = Some(1);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    let shared = Arc::new(Shared {
        runtime,
        world: Mutex::default(),
        report: Mutex::default(),
    });
    let form = Form::chosen();
    let trials = scenarios::all()
        .into_iter()
        .filter(|scenario| form == Form::Long || scenario.in_short_form)
        .map(|scenario| trial(scenario, &shared))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The last pipeline ends before the report is written.
    let last = lock(&shared.world).take();
    if let Some(last) = last.filter(|_| std::env::var_os("SAGALINE_KEEP_LOGS").is_some()) {
        last.keep_logs(&folder().join("last"));
    }
    if let Err(error) = lock(&shared.report).publish(&folder(), form) {
        eprintln!("error: the report was not written: {error:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trial(scenario: Scenario, shared: &Arc<Shared>) -> Trial {
    let shared = Arc::clone(shared);
    let ignored = scenario.grounds.impossible_here();
    let runner = move || {
        let mut place = lock(&shared.world);
        let ran = shared.runtime.block_on(run(&scenario, &mut place));
        if let Some(world) = place.as_mut() {
            lock(&shared.report).take(&scenario, world.take_rows());
        }
        let Err(error) = ran else { return Ok(()) };
        // What a failed scenario leaves behind is no ground for the next one.
        if let Some(world) = place.take() {
            world.keep_logs(&folder().join(scenario.name));
        }
        eprintln!("{}: {error:#}", scenario.name);
        lock(&shared.report).failed(&scenario, &error);
        Err(Failed::from(format!("{error:#}")))
    };
    Trial::test(scenario.name, runner).with_ignored_flag(ignored)
}

async fn run(scenario: &Scenario, place: &mut Option<World>) -> anyhow::Result<()> {
    if place
        .as_ref()
        .is_none_or(|world| world.grounds() != scenario.grounds)
    {
        // Two pipelines at a time are too much for a small machine.
        drop(place.take());
        *place = Some(World::start(scenario.grounds, &binaries()).await?);
    }
    let Some(world) = place.as_mut() else {
        anyhow::bail!("no pipeline");
    };
    (scenario.run)(world).await
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the report goes, and the logs of pipelines that failed.
fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.unwrap_or(Path::new(".")).join("faults")
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
