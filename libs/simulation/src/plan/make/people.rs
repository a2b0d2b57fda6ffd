//! What people do.

use sagaline_contracts::{DEAD_LETTER_SUFFIX, EventType};

use super::{FAULTS_MS, Scale};
use crate::dice::Dice;
use crate::plan::{Asking, Command, Identity, Nonsense, Placing, Poison, Step, What};

/// Those whom it happens to. A few orders get most of the attention, so that one thing happens to them upon another.
pub(super) struct Cast {
    orders: u32,
    pub(super) favourites: [u32; 3],
}

impl Cast {
    pub(super) fn of(dice: &Dice, scale: Scale) -> Self {
        let mut cast = Self {
            orders: scale.orders.max(1),
            favourites: [1; 3],
        };
        cast.favourites = std::array::from_fn(|_| cast.anybody(dice));
        cast
    }

    fn anybody(&self, dice: &Dice) -> u32 {
        u32::try_from(dice.between(1, u64::from(self.orders))).unwrap_or(1)
    }

    fn somebody(&self, dice: &Dice) -> u32 {
        if dice.chance(700) {
            self.favourites[dice.index(self.favourites.len())]
        } else {
            self.anybody(dice)
        }
    }
}

/// What people do beside ordering.
pub(super) fn act(dice: &Dice, cast: &Cast, steps: &mut Vec<Step>) {
    let number = || cast.somebody(dice);
    let all_topics: Vec<&str> = EventType::topics().collect();
    let is_fact = |topic: &&&str| !topic.ends_with(DEAD_LETTER_SUFFIX);
    let topics: Vec<&str> = all_topics.iter().filter(is_fact).copied().collect();
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
        let nonsense = [Nonsense::Garbage, Nonsense::NoEvent, Nonsense::Empty][dice.index(3)];
        What::Poison(Poison {
            topic: topics[dice.index(topics.len())].to_owned(),
            order: dice.chance(800).then(number),
            nonsense,
        })
    });
    add(6, &|| {
        What::Poison(Poison {
            topic: all_topics[dice.index(all_topics.len())].to_owned(),
            order: None,
            nonsense: [Nonsense::Double, Nonsense::Old][dice.index(2)],
        })
    });
    add(3, &|| What::Decide {
        discard: dice.chance(700),
        edit: dice.chance(500),
        clicks: clicks(),
    });
    add(3, &|| What::Restock {
        sku: ["LIMITED-1", "SKU-1", "SKU-2"][dice.index(3)].to_owned(),
        qty: u32::try_from(dice.between(1, 5)).unwrap_or(1),
        clicks: clicks(),
    });
    add(2, &|| What::Insist {
        order: number(),
        ms: dice.between(500, 3_000),
        undo: dice.chance(700),
    });
    add(2, &|| What::Watch {
        order: number(),
        break_after: u32::try_from(dice.up_to(3)).unwrap_or(0),
    });
}

pub(super) fn placing(dice: &Dice, number: u32) -> Placing {
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
        price: if dice.chance(50) { 0 } else { 10 },
        checkout: dice.chance(100),
        contradicts: dice.chance(100),
    }
}
