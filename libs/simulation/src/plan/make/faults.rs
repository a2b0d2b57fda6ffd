//! What strikes, and when.

use super::FAULTS_MS;
use crate::dice::Dice;
use crate::plan::{Service, Step, What};
use crate::weather::Dependency;

pub(super) fn service(dice: &Dice) -> Service {
    Service::ALL[dice.index(Service::ALL.len())]
}

/// Clocks that are wrong by up to a day all the time, and step back and forth by seconds.
pub(super) fn clocks(dice: &Dice, steps: &mut Vec<Step>) {
    const DAY_MS: i64 = 86_400_000;
    for service in Service::ALL {
        if !dice.chance(150) {
            continue;
        }
        let wrong = [-DAY_MS, -60_000, -500, 500, 60_000, DAY_MS][dice.index(6)];
        let steps_of = if dice.chance(500) { dice.up_to(3) } else { 0 };
        for (at_ms, off) in std::iter::once((0, 0)).chain((0..steps_of).map(|_| {
            let off = [-5_000, -1_000, -1, 1_000, 5_000][dice.index(5)];
            (dice.up_to(FAULTS_MS), off)
        })) {
            steps.push(Step {
                at_ms,
                what: What::Clock {
                    service,
                    skew_ms: wrong + off,
                },
            });
        }
    }
}

/// What strikes, and when.
pub(super) fn strike(dice: &Dice, steps: &mut Vec<Step>) {
    let mut add = |most: u64, make: &dyn Fn() -> What| {
        let count = if dice.chance(600) {
            dice.up_to(most)
        } else {
            0
        };
        for _ in 0..count {
            steps.push(Step {
                at_ms: dice.up_to(FAULTS_MS),
                what: make(),
            });
        }
    };
    add(8, &|| What::Crash {
        service: service(dice),
        calls: u32::try_from(dice.up_to(12)).unwrap_or(0),
        after: dice.chance(500),
        down_ms: dice.up_to(800),
        second: dice.chance(250),
    });
    add(3, &|| What::Pause {
        service: service(dice),
        ms: dice.between(100, 3_000),
        second: dice.chance(250),
    });
    add(3, &|| What::Second {
        service: service(dice),
        ms: dice.between(300, 3_000),
    });
    add(6, &|| What::Rebalance {
        service: service(dice),
    });
    add(3, &|| What::Outage {
        what: [
            Dependency::Broker,
            Dependency::Store,
            Dependency::Gateway,
            Dependency::Carrier,
        ][dice.index(4)],
        ms: dice.between(50, 2_000),
    });
    add(1, &|| What::Rebuild);
}
