//! Things that hardly happen by themselves because several have to come together in their order: each is made to happen in some runs.

use sagaline_contracts::EventType;

use super::faults::service;
use super::instances::{neighbours, zombies};
use super::people::Cast;
use super::{FAULTS_MS, ORDERS_MS};
use crate::dice::Dice;
use crate::plan::{Nonsense, Plan, Poison, Service, Step, Version, What};
use crate::weather::Dependency;

/// When an instance of the read model looks for the second time whether there was a rebuild.
const LOOKED_MS: u64 = 5_000;

/// Adds some of the stories to a plan.
pub(super) fn tell(dice: &Dice, cast: &Cast, plan: &mut Plan) {
    if dice.chance(125) {
        rebuilds(dice, plan);
    }
    if dice.chance(170) {
        orphan(dice, plan);
    }
    if dice.chance(200) {
        attempts(dice, cast, plan);
    }
    if dice.chance(150) {
        upgrades(dice, plan);
    }
    if dice.chance(100) {
        let partitions = plan.climate.partitions + 1 + dice.index(4);
        add(
            plan,
            dice.up_to(FAULTS_MS),
            What::Grow {
                partitions,
                known_ms: dice.up_to(1_000),
            },
        );
    }
    if dice.chance(100) {
        for _ in 0..dice.between(1, 3) {
            add(plan, dice.up_to(FAULTS_MS + 1_000), What::Trim);
        }
    }
    if dice.chance(200) {
        let topics: Vec<&str> = EventType::topics().collect();
        for _ in 0..dice.between(1, 3) {
            let topic = topics[dice.index(topics.len())];
            withhold(dice, plan, topic, service(dice));
        }
    }
    if dice.chance(120) {
        zombies(dice, cast, plan);
    }
    if dice.chance(120) {
        neighbours(dice, cast, plan);
    }
    if dice.chance(100) {
        found_late(dice, cast, plan);
    }
}

pub(super) fn add(plan: &mut Plan, at_ms: u64, what: What) {
    plan.steps.push(Step { at_ms, what });
}

fn number(dice: &Dice, most: u64) -> u32 {
    u32::try_from(dice.up_to(most)).unwrap_or(0)
}

fn withhold(dice: &Dice, plan: &mut Plan, topic: &str, service: Service) {
    add(
        plan,
        dice.up_to(FAULTS_MS - 500),
        What::Withhold {
            topic: topic.to_owned(),
            service,
            ms: dice.between(300, 1_500),
        },
    );
}

/// The read model is made anew again and again, and dies each time after a few calls, while orders flow.
fn rebuilds(dice: &Dice, plan: &mut Plan) {
    for step in &mut plan.steps {
        if matches!(step.what, What::Order(_)) {
            step.at_ms *= 2;
        }
    }
    plan.climate.batch_max = 1 + dice.index(3);
    let mut at_ms = dice.between(ORDERS_MS / 3, ORDERS_MS);
    // In some runs by two instances, each of which hears of the other's rebuild from the store alone.
    let are_two = dice.chance(400);
    if are_two {
        add(
            plan,
            at_ms - 20,
            What::Second {
                service: Service::ReadModel,
                ms: dice.between(500, 2_000),
            },
        );
    }
    for _ in 0..dice.between(2, 4) {
        add(plan, at_ms, What::Rebuild);
        add(
            plan,
            at_ms + 1,
            What::Crash {
                service: Service::ReadModel,
                calls: number(dice, if are_two { 60 } else { 30 }),
                after: dice.chance(500),
                down_ms: dice.up_to(100),
                second: are_two && dice.chance(500),
            },
        );
        at_ms += if are_two {
            dice.between(5, 150)
        } else {
            dice.between(50, 800)
        };
    }
}

/// The read model is made anew, slowly, with readers who come while it is incomplete, and a store that now and then does not answer: not at the
/// end of the rebuild, and not when each instance looks by itself whether there was one.
fn found_late(dice: &Dice, cast: &Cast, plan: &mut Plan) {
    plan.climate.batch_max = 2 + dice.index(20);
    plan.climate.store_lost = u32::try_from(dice.between(10, 60)).unwrap_or(30);
    // Nothing is waited for at the end, so who is told later is told too late.
    (plan.climate.save_late, plan.climate.publish_late) = (0, 0);
    let at_ms = dice.between(ORDERS_MS / 2, FAULTS_MS);
    add(plan, at_ms, What::Rebuild);
    for order in cast.favourites.into_iter().chain(1..6) {
        add(
            plan,
            at_ms + dice.up_to(400),
            What::Watch {
                order,
                break_after: 0,
            },
        );
    }
    add(
        plan,
        LOOKED_MS - 200,
        What::Outage {
            what: Dependency::Store,
            // Longer than a call of the store waits.
            ms: dice.between(2_400, 3_000),
        },
    );
}

/// A message of no order dies at one service, is decided about, and dies at the next one, which was away.
fn orphan(dice: &Dice, plan: &mut Plan) {
    let (topic, readers): (EventType, &[Service]) = if dice.chance(500) {
        (
            EventType::CompensationRequested,
            &[
                Service::Order,
                Service::Inventory,
                Service::Payment,
                Service::Shipping,
            ],
        )
    } else {
        (
            EventType::OrderShipped,
            &[Service::Order, Service::Inventory],
        )
    };
    let service = readers[dice.index(readers.len())];
    let at_ms = dice.between(200, FAULTS_MS - 500);
    let ms = dice.between(700, 2_000);
    if dice.chance(500) {
        add(
            plan,
            at_ms,
            What::Pause {
                service,
                ms,
                second: false,
            },
        );
    } else {
        add(
            plan,
            at_ms,
            What::Withhold {
                topic: topic.as_str().to_owned(),
                service,
                ms,
            },
        );
    }
    add(
        plan,
        at_ms + 1,
        What::Poison(Poison {
            topic: topic.as_str().to_owned(),
            order: None,
            nonsense: [Nonsense::Garbage, Nonsense::NoEvent, Nonsense::Empty][dice.index(3)],
        }),
    );
    for at in [
        dice.between(50, 400),
        dice.between(400, 650),
        ms + dice.between(100, 500),
    ] {
        add(
            plan,
            at_ms + at,
            What::Decide {
                discard: true,
                edit: false,
                clicks: 1,
            },
        );
    }
}

/// Orders that are refused, tried again at once, and undone at once, while what is told of an attempt arrives late.
fn attempts(dice: &Dice, cast: &Cast, plan: &mut Plan) {
    plan.climate.refused = 300 + number(dice, 500);
    plan.climate.declined = number(dice, 400);
    let is_short = dice.chance(400);
    for step in &mut plan.steps {
        if let What::Order(placing) = &mut step.what
            && is_short
            && cast.favourites.contains(&placing.number)
        {
            placing.lines = vec![("LIMITED-1".to_owned(), 3)];
        }
    }
    for order in cast.favourites {
        add(
            plan,
            dice.up_to(ORDERS_MS),
            What::Insist {
                order,
                ms: dice.between(1_000, 4_000),
                undo: dice.chance(700),
            },
        );
    }
    let late = [
        (EventType::ShippingFailed, Service::Order),
        (EventType::PaymentFailed, Service::Order),
        (EventType::PaymentRefunded, Service::Order),
        (EventType::InventoryReleased, Service::Order),
        (EventType::OrderCancelled, Service::Shipping),
        (EventType::OrderRetried, Service::ReadModel),
        (EventType::OrderCancelled, Service::ReadModel),
        (EventType::OrderShipped, Service::Inventory),
        (EventType::CompensationRequested, Service::Payment),
        (EventType::CompensationRequested, Service::Inventory),
    ];
    withhold(
        dice,
        plan,
        EventType::ShippingFailed.as_str(),
        Service::Order,
    );
    for _ in 0..dice.between(1, 5) {
        let (topic, service) = late[dice.index(late.len())];
        withhold(dice, plan, topic.as_str(), service);
    }
    if is_short {
        for _ in 0..dice.between(1, 4) {
            add(
                plan,
                dice.up_to(FAULTS_MS),
                What::Restock {
                    sku: "LIMITED-1".to_owned(),
                    qty: 1 + number(dice, 3),
                    clicks: 1,
                },
            );
        }
    }
}

/// A service becomes another version, and in some runs the one before again.
fn upgrades(dice: &Dice, plan: &mut Plan) {
    for _ in 0..dice.between(1, 2) {
        let service = service(dice);
        let mut at_ms = dice.up_to(FAULTS_MS / 2);
        let versions: &[Version] = if dice.chance(500) {
            &[Version::Next]
        } else {
            &[Version::Next, Version::Today]
        };
        for to in versions {
            let overlap_ms = dice.between(100, 1_000);
            add(
                plan,
                at_ms,
                What::Upgrade {
                    service,
                    overlap_ms,
                    to: *to,
                },
            );
            if dice.chance(500) {
                add(
                    plan,
                    at_ms + dice.up_to(overlap_ms),
                    What::Crash {
                        service,
                        calls: number(dice, 12),
                        after: dice.chance(500),
                        down_ms: dice.up_to(300),
                        second: dice.chance(500),
                    },
                );
            }
            at_ms += overlap_ms + dice.up_to(500);
        }
    }
}
