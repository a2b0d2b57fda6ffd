//! From a seed to a plan.

use sagaline_contracts::{DEAD_LETTER_SUFFIX, EventType};

use super::{Asking, Command, Identity, Nonsense, Placing, Plan, Poison, Service, Step, What};
use crate::dice::Dice;
use crate::weather::{Climate, Dependency};

/// How much happens in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Orders that are placed.
    pub orders: u32,
    /// Whether anything goes wrong.
    pub faults: bool,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            orders: 50,
            faults: true,
        }
    }
}

/// When the last order is placed.
const ORDERS_MS: u64 = 1_500;
/// When the last fault begins.
const FAULTS_MS: u64 = 3_000;

impl Plan {
    /// The plan of a seed.
    pub fn of_seed(seed: u64, scale: Scale) -> Self {
        let dice = Dice::new(seed, "plan");
        let mut steps: Vec<Step> = (1..=scale.orders)
            .map(|number| Step {
                at_ms: dice.up_to(ORDERS_MS),
                what: What::Order(placing(&dice, number)),
            })
            .collect();
        let climate = if scale.faults {
            climate(&dice)
        } else {
            Climate {
                declined: 50,
                refused: 20,
                ..Climate::calm()
            }
        };
        if scale.faults {
            faults(&dice, &mut steps);
            clocks(&dice, &mut steps);
            people(&dice, scale, &mut steps);
        }
        // Several instances of the read model share queries, not live streams.
        if steps.iter().any(|step| {
            matches!(
                step.what,
                What::Second {
                    service: Service::ReadModel,
                    ..
                }
            )
        }) {
            steps.retain(|step| !matches!(step.what, What::Watch { .. }));
        }
        steps.sort_by_key(|step| step.at_ms);
        Self {
            seed,
            climate,
            steps,
        }
    }
}

/// Up to `most` in a thousand, and in most runs none.
fn rate(dice: &Dice, most: u64) -> u32 {
    if dice.chance(400) {
        u32::try_from(dice.up_to(most)).unwrap_or(0)
    } else {
        0
    }
}

fn climate(dice: &Dice) -> Climate {
    let slow = |most| {
        if dice.chance(500) {
            dice.up_to(most)
        } else {
            0
        }
    };
    Climate {
        partitions: 1 + dice.index(4),
        batch_max: [1, 3, 10, 50, 200][dice.index(5)],
        fetch_ms: slow(20),
        commit_ms: slow(500),
        session_ms: dice.between(200, 2_000),
        eager: dice.chance(500),
        scattered: dice.chance(500),
        hold: rate(dice, 400),
        ack_ms: slow(20),
        publish_lost: rate(dice, 60),
        publish_partial: rate(dice, 60),
        ack_lost: rate(dice, 60),
        commit_lost: rate(dice, 700),
        store_ms: slow(10),
        store_lost: rate(dice, 40),
        save_partial: rate(dice, 60),
        save_ack_lost: rate(dice, 60),
        save_late: rate(dice, 40),
        save_conflict: rate(dice, 40),
        party_ms: slow(60),
        party_silent: rate(dice, 60),
        party_lost: rate(dice, 100),
        party_ack_lost: rate(dice, 100),
        answer_lost: rate(dice, 200),
        declined: u32::try_from(dice.up_to(300)).unwrap_or(0),
        refused: u32::try_from(dice.up_to(200)).unwrap_or(0),
        picked_up: u32::try_from(dice.up_to(1_000)).unwrap_or(0),
        saga_timeout_ms: [1_000, 3_000, 10_000][dice.index(3)],
    }
}

fn service(dice: &Dice) -> Service {
    Service::ALL[dice.index(Service::ALL.len())]
}

/// Clocks that are wrong by up to a day all the time, and step back and forth by seconds.
fn clocks(dice: &Dice, steps: &mut Vec<Step>) {
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
fn faults(dice: &Dice, steps: &mut Vec<Step>) {
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
    });
    add(3, &|| What::Pause {
        service: service(dice),
        ms: dice.between(100, 3_000),
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

/// What people do beside ordering.
fn people(dice: &Dice, scale: Scale, steps: &mut Vec<Step>) {
    // A few orders get most of the attention, so that one thing happens to them upon another.
    let any = || u32::try_from(dice.between(1, u64::from(scale.orders.max(1)))).unwrap_or(1);
    let favourites = [any(), any(), any()];
    let number = || {
        if dice.chance(700) {
            favourites[dice.index(favourites.len())]
        } else {
            any()
        }
    };
    let clicks = || u32::try_from(dice.between(1, 2)).unwrap_or(1);
    let mut add = |most: u64, make: &dyn Fn() -> What| {
        let count = if dice.chance(600) {
            dice.up_to(most)
        } else {
            0
        };
        for _ in 0..count {
            steps.push(Step {
                at_ms: dice.up_to(FAULTS_MS + 500),
                what: make(),
            });
        }
    };
    add(25, &|| {
        What::Command(Asking {
            order: number(),
            command: [Command::Retry, Command::Release, Command::Refund][dice.index(3)],
            at_read_model: dice.chance(400),
            clicks: clicks(),
        })
    });
    add(4, &|| {
        let topics: Vec<&str> = EventType::topics()
            .filter(|topic| !topic.ends_with(DEAD_LETTER_SUFFIX))
            .collect();
        What::Poison(Poison {
            topic: topics[dice.index(topics.len())].to_owned(),
            order: dice.chance(800).then(number),
            nonsense: [
                Nonsense::Garbage,
                Nonsense::NoEvent,
                Nonsense::Empty,
                Nonsense::Double,
            ][dice.index(4)],
        })
    });
    add(3, &|| What::Decide {
        discard: dice.chance(700),
        clicks: clicks(),
    });
    add(3, &|| What::Restock {
        sku: ["LIMITED-1", "SKU-1", "SKU-2"][dice.index(3)].to_owned(),
        qty: u32::try_from(dice.between(1, 5)).unwrap_or(1),
        clicks: clicks(),
    });
    add(2, &|| What::Watch {
        order: number(),
        break_after: u32::try_from(dice.up_to(3)).unwrap_or(0),
    });
}

fn placing(dice: &Dice, number: u32) -> Placing {
    let identities = [
        Identity::OrderId,
        Identity::Key,
        Identity::Request,
        Identity::KeyAndRequest,
    ];
    let count = 1 + dice.index(3);
    let lines = (0..count)
        .map(|_| {
            let sku = match dice.index(10) {
                0 => "LIMITED-1".to_owned(),
                1..4 => "SKU-1".to_owned(),
                _ => format!("SKU-{}", dice.between(2, 20)),
            };
            (sku, u32::try_from(dice.between(1, 3)).unwrap_or(1))
        })
        .collect();
    let again = dice.chance(200);
    Placing {
        number,
        lines,
        identity: dice.pick(&identities).copied().unwrap_or(Identity::OrderId),
        clicks: if again { 2 } else { 1 },
        gap_ms: dice.up_to(30),
    }
}
