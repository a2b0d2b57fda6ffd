//! How rough the world of a seed is.

use crate::dice::Dice;
use crate::weather::Climate;

/// Up to `most` in a thousand, and in most runs none.
fn rate(dice: &Dice, most: u64) -> u32 {
    if dice.chance(400) {
        u32::try_from(dice.up_to(most)).unwrap_or(0)
    } else {
        0
    }
}

pub(super) fn rough(dice: &Dice) -> Climate {
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
        publish_late: rate(dice, 40),
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
