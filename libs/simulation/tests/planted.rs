//! Planted bugs are found, and cut down to something that a person can read.
#![cfg(feature = "planted-bugs")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use sagaline_saga::planted;
use sagaline_simulation::bugs::hunt;
use sagaline_simulation::plan::{Plan, Scale};
use sagaline_simulation::{Wanted, run, shrink};

const SCALE: Scale = Scale {
    orders: 20,
    faults: true,
};

#[test]
fn a_planted_bug_is_found_and_its_plan_becomes_short() {
    let bug = "commit before produce";
    let caught = hunt(bug, 1, 1_000, SCALE).unwrap().expect("it was missed");
    let plan = Plan::of_seed(caught.seeds, SCALE);
    planted::switch(Some(bug));
    let short = shrink(&plan, 200).unwrap();
    planted::switch(Some(bug));
    let still = run(&short, Wanted::default()).unwrap();
    // As it is read from the file that a failing run leaves.
    let kept: Plan = serde_json::from_slice(&serde_json::to_vec_pretty(&short).unwrap()).unwrap();
    planted::switch(Some(bug));
    let again = run(&kept, Wanted::default()).unwrap();
    planted::switch(None);
    assert!(!still.is_clean());
    assert_eq!(again, still, "the plan in the file is another run");
    assert!(
        short.steps.len() * 4 <= plan.steps.len(),
        "{} of {} steps are left",
        short.steps.len(),
        plan.steps.len()
    );
    assert!(run(&short, Wanted::default()).unwrap().is_clean());
}

/// Bugs that show themselves soon, one of each part. All of them, with as many seeds as it takes, are in `docs/reliability.md`.
const QUICK: [&str; 9] = [
    "no dedup",
    "ids not derived",
    "poison dropped",
    "ack before durable",
    "publish before save",
    "no hold",
    "declined without a ruling",
    "barred attempt shipped",
    "two clicks are two commands",
];

#[test]
fn bugs_of_every_part_are_found_within_a_few_seeds_and_nothing_is_found_without_them() {
    // A planted bug may make a service panic; the simulation notes it.
    std::panic::set_hook(Box::new(|_| {}));
    let mut seeds_most = 1;
    for bug in QUICK {
        let caught = hunt(bug, 1, 60, SCALE).unwrap();
        let caught = caught.unwrap_or_else(|| panic!("{bug} was missed"));
        seeds_most = seeds_most.max(caught.seeds);
    }
    for seed in 1..=seeds_most {
        let report = run(&Plan::of_seed(seed, SCALE), Wanted::default()).unwrap();
        assert!(report.is_clean(), "seed {seed}: {:#?}", report.broken);
    }
}
