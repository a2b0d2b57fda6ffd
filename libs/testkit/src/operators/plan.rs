//! Which orders operators look after, and how: all of it follows from a seed.

/// One operator's task for so many orders, and another one.
const EVERY: u64 = 20;

/// What an operator does about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Waits for its outcome, and has a cancelled order tried again, and a confirmed one paid back.
    FollowUp,
    /// Adds units of a product.
    Restock,
    /// Finds nonsense among the order's messages while it is in flight, and decides about it.
    Poison,
    /// Finds nonsense when the order has its outcome; what is asked for then waits behind it until it is decided.
    PoisonAndFollowUp,
}

/// The choices that are left to chance for one order, or for one load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chances(u64);

impl Chances {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The choices of one order.
    pub(super) fn of(self, number: u64) -> Self {
        Self(mixed(self.0 ^ mixed(number)))
    }

    /// A number below `count`, another one for each question.
    fn below(self, question: u64, count: u64) -> u64 {
        mixed(self.0.wrapping_add(mixed(question))) % count.max(1)
    }

    /// One of these.
    pub(super) fn one<T: Copy>(self, question: u64, of: &[T]) -> Option<T> {
        let count = u64::try_from(of.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(self.below(question, count)).ok()?;
        of.get(at).copied()
    }

    /// In half of all cases.
    pub(super) fn half(self, question: u64) -> bool {
        self.below(question, 2) == 0
    }

    /// What is to be done about the order of this number, if anything: as many tasks in every stretch of orders.
    pub(super) fn task(self, number: u64) -> Option<Task> {
        let stretch = number / EVERY;
        let here = self.of(stretch);
        let first = here.below(0, EVERY);
        let second = (first + 1 + here.below(1, EVERY - 1)) % EVERY;
        let at = number % EVERY;
        if at == first {
            return Some(Task::FollowUp);
        }
        let others = [Task::Restock, Task::Poison, Task::PoisonAndFollowUp];
        let turn = usize::try_from(self.below(2, 3) + stretch % 3).unwrap_or_default();
        (at == second).then(|| others[turn % others.len()])
    }
}

/// Spreads a number over all numbers (the end of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The seed of a name.
pub fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(0, |seed, byte| mixed(seed ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(seed: u64, orders: u64) -> Vec<Option<Task>> {
        let chances = Chances::new(seed);
        (0..orders).map(|number| chances.task(number)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_tasks_and_another_one_others() {
        assert_eq!(tasks(1, 500), tasks(1, 500));
        assert_ne!(tasks(1, 500), tasks(2, 500));
        assert_ne!(
            seed_of("kill -9 of Kafka"),
            seed_of("kill -9 of the database")
        );
    }

    #[test]
    fn one_order_in_ten_is_looked_after_and_every_task_has_its_turn_within_sixty_orders() {
        for seed in 0..50 {
            let given: Vec<Task> = tasks(seed, 60).into_iter().flatten().collect();
            assert_eq!(given.len(), 6, "{seed}: {given:?}");
            for task in [Task::Restock, Task::Poison, Task::PoisonAndFollowUp] {
                let times = given.iter().filter(|other| **other == task).count();
                assert_eq!(times, 1, "{seed}: {given:?}");
            }
        }
    }

    #[test]
    fn every_choice_is_made_now_and_then() {
        let chances = Chances::new(7);
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200 {
            seen.extend(chances.of(number).one(3, &["a", "b", "c", "d", "e"]));
        }
        assert_eq!(seen.len(), 5);
    }
}
