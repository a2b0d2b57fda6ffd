//! The simulation itself: the same seed is the same run, faults strike, and the services hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use std::ops::ControlFlow;
use std::process::Command;

use sagaline_simulation::plan::{Plan, Scale, What};
use sagaline_simulation::{Search, Wanted, run, shrink};

const SMALL: Scale = Scale {
    orders: 12,
    faults: true,
};
const TRACE: &str = "trace of the seeds: ";
const SEEDS: std::ops::Range<u64> = 40..48;

fn traces() -> Vec<u64> {
    let trace = |seed| {
        run(&Plan::of_seed(seed, SMALL), Wanted::default())
            .unwrap()
            .trace_hash
    };
    SEEDS.map(trace).collect()
}

#[test]
fn the_same_seed_is_the_same_run_also_when_others_run_beside_it() {
    let first = traces();
    let beside: Vec<_> = (0..3).map(|_| std::thread::spawn(traces)).collect();
    for other in beside {
        assert_eq!(other.join().unwrap(), first);
    }
    let mut different = first.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(
        different.len(),
        first.len(),
        "no two seeds are the same run"
    );
}

#[test]
fn the_same_seed_is_the_same_run_in_another_process() {
    let test = "the_same_seed_is_the_same_run_in_another_process";
    let here = format!("{TRACE}{:?}", traces());
    if std::env::var_os("SIMULATION_TRACE_ONLY").is_some() {
        println!("{here}");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("SIMULATION_TRACE_ONLY", "1")
        .output()
        .unwrap();
    let there = String::from_utf8(output.stdout).unwrap();
    assert!(there.contains(&here), "{there}\nis not\n{here}");
}

#[test]
fn what_is_asked_for_besides_the_verdict_does_not_change_the_run() {
    let plan = Plan::of_seed(7, SMALL);
    let silent = run(&plan, Wanted::default()).unwrap();
    let told = Wanted {
        story: true,
        coverage: true,
    };
    let told = run(&plan, told).unwrap();
    assert_eq!(told.trace_hash, silent.trace_hash);
    assert!(!told.story.is_empty() && silent.story.is_empty());
    assert!(!told.coverage.events.is_empty());
}

#[test]
fn every_order_of_a_calm_world_comes_to_its_outcome() {
    for seed in 1..6 {
        let scale = Scale {
            orders: 20,
            faults: false,
        };
        let report = run(&Plan::of_seed(seed, scale), Wanted::default()).unwrap();
        assert!(report.is_clean(), "{:#?}", report.broken);
        // What people do is not the world's fault.
        let mut struck = report.faults.clone();
        struck.remove("another body under the same identity");
        assert!(struck.is_empty(), "{struck:?}");
    }
}

#[test]
fn the_services_hold_whatever_strikes_and_every_kind_of_fault_does() {
    let search = Search {
        base: 1,
        seeds: 150,
        jobs: 2,
        scale: SMALL,
        coverage: true,
    };
    let found = search.run(|_| ControlFlow::Continue(())).unwrap();
    if let Some(failure) = found.failure {
        panic!("seed {}: {:#?}", failure.seed, failure.broken);
    }
    for fault in [
        "another body under the same identity",
        "answer to a client lost",
        "broker down",
        "carrier down",
        "clock jumps",
        "commit lost in a rebalance",
        "crash after a call",
        "crash before a call",
        "crash of a second instance",
        "downgrade",
        "gateway down",
        "message doubled",
        "more partitions",
        "old message doubled",
        "old messages dropped",
        "party answer lost",
        "party call lost",
        "party silent, but done",
        "pause",
        "poison",
        "publish lost",
        "publish partly written",
        "publish written later",
        "publish written, acknowledgement lost",
        "rebalance",
        "rebuild",
        "save done later",
        "save done, answer lost",
        "save partly done",
        "second instance",
        "store call lost",
        "store down",
        "topic withheld",
        "upgrade",
    ] {
        assert!(found.faults.contains_key(fault), "{fault} never struck");
    }
}

#[test]
fn a_plan_survives_its_way_through_json() {
    let plan = Plan::of_seed(3, SMALL);
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn a_plan_that_shows_nothing_is_not_shrunk() {
    let plan = Plan::of_seed(3, SMALL);
    assert_eq!(shrink(&plan, 10).unwrap(), plan);
    assert!(
        plan.steps
            .iter()
            .any(|step| matches!(step.what, What::Order(_)))
    );
}
