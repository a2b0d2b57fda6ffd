//! A product of which there is little: never more is taken than is there.

use std::collections::BTreeSet;

use super::Model;

/// What happened to the stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockOperation {
    /// So many units were added.
    Restock(u32),
    /// An order was confirmed: it took so many units for good.
    Taken(u32),
    /// An order was refused because there were not so many units.
    Refused(u32),
    /// The order of this number took units and is going to give them back, because it came to nothing.
    Held(u32, u32),
    /// That order gave its units back.
    GivenBack(u32, u32),
}

/// The stock of one product.
#[derive(Debug, Clone, Copy)]
pub struct Stock {
    /// Units at the beginning.
    pub initial: u32,
    /// Whether an order may be refused although there is enough, for instance because of a unit that a crashed process had taken
    /// and that was given back later.
    pub may_refuse: bool,
}

impl Model for Stock {
    /// The units that are there, and the orders that hold some which they will give back.
    type State = (u32, BTreeSet<u32>);
    type Op = StockOperation;

    fn initial(&self) -> Self::State {
        (self.initial, BTreeSet::new())
    }

    fn apply(
        &self,
        (available, holders): &Self::State,
        operation: &StockOperation,
        _: bool,
    ) -> Option<Self::State> {
        let mut holders = holders.clone();
        let left = match operation {
            StockOperation::Restock(quantity) => available.checked_add(*quantity)?,
            StockOperation::Taken(quantity) => available.checked_sub(*quantity)?,
            StockOperation::Refused(quantity) => {
                (self.may_refuse || available < quantity).then_some(*available)?
            }
            StockOperation::Held(order, quantity) => {
                holders.insert(*order);
                available.checked_sub(*quantity)?
            }
            StockOperation::GivenBack(order, quantity) => {
                holders.remove(order).then_some(())?;
                available.checked_add(*quantity)?
            }
        };
        Some((left, holders))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Operation, linearization};
    use super::StockOperation::{GivenBack, Held, Refused, Restock, Taken};
    use super::*;

    fn op(called: u64, answered: u64, what: StockOperation) -> Operation<StockOperation> {
        Operation {
            called,
            answered: Some(answered),
            what,
        }
    }

    fn holds(initial: u32, history: &[Operation<StockOperation>]) -> bool {
        let strict = Stock {
            initial,
            may_refuse: false,
        };
        linearization(&strict, history).is_some()
    }

    #[test]
    fn no_more_is_taken_than_is_there() {
        assert!(holds(
            2,
            &[op(0, 9, Taken(1)), op(0, 9, Taken(1)), op(0, 9, Refused(1))]
        ));
        assert!(!holds(1, &[op(0, 9, Taken(1)), op(0, 9, Taken(1))]));
    }

    #[test]
    fn what_is_added_can_be_taken_from_then_on_and_not_before() {
        assert!(holds(0, &[op(0, 5, Restock(1)), op(1, 2, Taken(1))]));
        assert!(!holds(0, &[op(3, 5, Restock(1)), op(1, 2, Taken(1))]));
    }

    #[test]
    fn nobody_is_refused_who_could_have_been_served() {
        assert!(!holds(1, &[op(0, 1, Refused(1))]));
        assert!(holds(1, &[op(0, 9, Refused(1)), op(1, 2, Taken(1))]));
        assert!(!holds(1, &[op(0, 3, Refused(1)), op(5, 6, Taken(1))]));
        let lenient = Stock {
            initial: 1,
            may_refuse: true,
        };
        assert!(linearization(&lenient, &[op(0, 1, Refused(1))]).is_some());
    }

    #[test]
    fn what_comes_to_nothing_is_held_for_a_while() {
        let order = [op(0, 9, Held(1, 1)), op(0, 9, GivenBack(1, 1))];
        assert!(holds(1, &order));
        let mut with_another = order.to_vec();
        with_another.push(op(3, 4, Refused(1)));
        assert!(holds(1, &with_another));
        with_another.push(op(10, 11, Taken(1)));
        assert!(holds(1, &with_another));
        with_another.push(op(12, 13, Taken(1)));
        assert!(!holds(1, &with_another));
    }
}
