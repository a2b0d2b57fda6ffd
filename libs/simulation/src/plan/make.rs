//! From a seed to a plan.

mod climate;
mod faults;
mod instances;
mod limits;
mod people;
mod stories;

use super::{Plan, Step, What};
use crate::dice::Dice;
use crate::weather::Climate;
use people::Cast;

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
        let steps = (1..=scale.orders)
            .map(|number| Step {
                at_ms: dice.up_to(ORDERS_MS),
                what: What::Order(people::placing(&dice, number)),
            })
            .collect();
        let climate = if scale.faults {
            climate::rough(&dice)
        } else {
            Climate {
                declined: 50,
                refused: 20,
                ..Climate::calm()
            }
        };
        let mut plan = Self {
            seed,
            climate,
            steps,
        };
        if scale.faults {
            let cast = Cast::of(&dice, scale);
            faults::strike(&dice, &mut plan.steps);
            faults::clocks(&dice, &mut plan.steps);
            people::act(&dice, &cast, &mut plan.steps);
            stories::tell(&Dice::new(seed, "stories"), &cast, &mut plan);
        }
        limits::keep(&mut plan);
        plan.steps.sort_by_key(|step| step.at_ms);
        plan
    }
}
