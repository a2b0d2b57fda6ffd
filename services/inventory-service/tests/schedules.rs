//! Stock under hostile schedules: instances that race, crash between any two store calls, lose answers, and write on although
//! they were thought dead. Every schedule follows from its seed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod hostile;

use hostile::schedule::{self, Rules};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_unit_is_accounted_for_and_none_is_promised_twice(seed in any::<u64>()) {
        schedule::run(seed, Rules::hostile());
    }

    #[test]
    fn an_order_that_cannot_be_served_leaves_nothing_behind(seed in any::<u64>()) {
        schedule::run(seed, Rules { units: 3, ..Rules::hostile() });
    }

    #[test]
    fn a_store_that_answers_and_instances_that_live_need_no_luck_either(seed in any::<u64>()) {
        schedule::run(seed, Rules { crashes: 0, faults: 0, ..Rules::hostile() });
    }
}

/// A schedule that never meets a conflict, a crash or a shortage would prove nothing.
#[test]
fn the_schedules_are_hostile_enough() {
    let mut total = hostile::world::Tally::default();
    for seed in 0..100 {
        total += schedule::run(seed, Rules::hostile());
    }
    assert!(total.orders_shipped > 100, "{total:?}");
    assert!(total.orders_undone > 100, "{total:?}");
    assert!(total.shortages > 100, "{total:?}");
    assert!(total.stock_conflicts > 100, "{total:?}");
    assert!(total.order_conflicts > 100, "{total:?}");
    assert!(total.crashes > 100, "{total:?}");
    assert!(total.faults > 100, "{total:?}");
}
