//! What happens between two instances of a service.

use super::people::Cast;
use super::stories::add;
use super::{FAULTS_MS, ORDERS_MS};
use crate::dice::Dice;
use crate::plan::{Plan, Service, What};

/// Instances stand still for longer than their group waits for them, with a charge or a parcel in hand, and then go on, while others
/// undo what they never heard of.
pub(super) fn zombies(dice: &Dice, cast: &Cast, plan: &mut Plan) {
    let service = [Service::Payment, Service::Shipping][dice.index(2)];
    plan.climate.session_ms = dice.between(100, 300);
    plan.climate.party_ms = dice.between(20, 200);
    plan.climate.picked_up = 0;
    add(
        plan,
        dice.up_to(ORDERS_MS / 3),
        What::Second {
            service,
            ms: dice.between(FAULTS_MS - 1_000, FAULTS_MS),
        },
    );
    for order in cast.favourites {
        add(
            plan,
            dice.up_to(ORDERS_MS),
            What::Insist {
                order,
                ms: dice.between(1_000, 4_000),
                undo: true,
            },
        );
    }
    for _ in 0..dice.between(4, 12) {
        add(
            plan,
            dice.up_to(FAULTS_MS),
            What::Pause {
                service,
                ms: plan.climate.session_ms + dice.between(10, 400),
                second: dice.chance(500),
            },
        );
    }
}

/// Two instances of the read model, each with readers of the same orders, which are retried and undone again and again. Now one and
/// now the other stands still: what it has in hand is saved late, and its readers break off.
pub(super) fn neighbours(dice: &Dice, cast: &Cast, plan: &mut Plan) {
    let service = Service::ReadModel;
    let ms = dice.between(FAULTS_MS, FAULTS_MS + 3_000);
    add(
        plan,
        dice.up_to(ORDERS_MS / 3),
        What::Second { service, ms },
    );
    for order in cast.favourites {
        add(
            plan,
            dice.up_to(ORDERS_MS),
            What::Insist {
                order,
                ms: dice.between(1_000, 4_000),
                undo: true,
            },
        );
        for _ in 0..dice.between(1, 3) {
            add(
                plan,
                dice.up_to(FAULTS_MS),
                What::Watch {
                    order,
                    break_after: u32::try_from(dice.up_to(3)).unwrap_or(0),
                },
            );
        }
    }
    for _ in 0..dice.up_to(4) {
        add(
            plan,
            dice.up_to(FAULTS_MS),
            What::Pause {
                service,
                ms: dice.between(50, 1_000),
                second: dice.chance(500),
            },
        );
    }
}
