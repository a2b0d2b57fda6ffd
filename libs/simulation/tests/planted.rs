//! Planted bugs are found, and cut down to something that a person can read.
#![cfg(feature = "planted-bugs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

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
    let still = run(&short, Wanted::default()).unwrap();
    planted::switch(None);
    assert!(!still.is_clean());
    assert!(
        short.steps.len() * 4 <= plan.steps.len(),
        "{} of {} steps are left",
        short.steps.len(),
        plan.steps.len()
    );
    assert!(run(&short, Wanted::default()).unwrap().is_clean());
}
