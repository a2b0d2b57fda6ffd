//! What inventory decides: reserve when an order begins, release when a ruling undoes it, ship when the goods go out.
//!
//! The specification is `docs/saga.md`. Stock itself is another document per SKU; what the two owe each other is in
//! [`crate::stock`].

mod decide;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

use sagaline_contracts::payload::{ReservedItem, Shortage};
use sagaline_contracts::{Event, EventType, Payload};
use sagaline_saga::{Decision, Participant, Standing, Transition};

use decide::{Decided, Start, begin, release, released, reserved, ruling, ship, shipped, short};

pub use state::{HeldItem, Hold, InventoryState, Reservation};
pub use verdict::{Operation, StockOp, Verdict};

/// The inventory service's part in the saga.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inventory;

/// What is to be done to stock. `attempt` is the one that the goods were set aside in, which names the hold for good,
/// however many attempts it is re-affirmed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Set all of these aside, or none. Every SKU stands here once.
    Reserve {
        /// The attempt that wants them.
        attempt: u32,
        /// What and how many.
        items: Vec<ReservedItem>,
    },
    /// Make these available again.
    Release {
        /// The attempt that they were set aside in.
        attempt: u32,
        /// What and how many.
        items: Vec<HeldItem>,
    },
    /// These have left the house.
    Ship {
        /// The attempt that they were set aside in.
        attempt: u32,
        /// What and how many.
        items: Vec<HeldItem>,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All items are set aside, each in the stated version of its SKU's stock.
    Reserved {
        /// The items.
        items: Vec<HeldItem>,
    },
    /// Not all could be, so none counts.
    Short {
        /// Why.
        reason: ShortReason,
        /// What was missing.
        shortages: Vec<Shortage>,
    },
    /// They are given back, each in the stated version of its SKU's stock.
    Released {
        /// The items.
        items: Vec<HeldItem>,
    },
    /// They are booked out, each in the stated version of its SKU's stock.
    Shipped {
        /// The items.
        items: Vec<HeldItem>,
    },
}

/// Why an order could not be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortReason {
    /// There is not enough of a SKU.
    OutOfStock,
    /// A SKU is not in the catalogue.
    UnknownSku,
}

impl ShortReason {
    /// The reason on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::UnknownSku => "unknown_sku",
        }
    }
}

impl Participant for Inventory {
    type State = InventoryState;
    type Effect = Effect;
    type Outcome = Outcome;

    fn name(&self) -> &'static str {
        "inventory-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[
            EventType::OrderCreated,
            EventType::OrderRetried,
            EventType::OrderShipped,
            EventType::CompensationRequested,
        ]
    }

    fn decide(&self, state: &InventoryState, event: &Event) -> Decided {
        match &event.payload {
            Payload::CompensationRequested(request) => match ruling(request) {
                Some(authority) => release(state, request, authority),
                None => Decision::Ignore("not a ruling to release"),
            },
            Payload::OrderShipped(shipped) => ship(state, state.attempt_of(shipped.attempt)),
            payload => match Start::of(payload) {
                Some(start) => begin(state, &start),
                None => Decision::Ignore("not for inventory"),
            },
        }
    }

    fn settle(
        &self,
        state: &InventoryState,
        event: &Event,
        outcome: Outcome,
    ) -> Transition<InventoryState> {
        match (outcome, &event.payload) {
            (Outcome::Reserved { items }, payload) => match Start::of(payload) {
                Some(start) => reserved(state, &start, items),
                None => Transition::to(state.clone()),
            },
            (Outcome::Short { reason, shortages }, payload) => match Start::of(payload) {
                Some(start) => short(state, &start, reason, shortages),
                None => Transition::to(state.clone()),
            },
            (Outcome::Released { items }, Payload::CompensationRequested(request)) => {
                released(state, request, items)
            }
            (Outcome::Shipped { items }, _) => shipped(state, items),
            (Outcome::Released { .. }, _) => Transition::to(state.clone()),
        }
    }

    fn standing(&self, state: &InventoryState) -> Standing {
        Standing {
            settled: state.is_settled(),
            ..Standing::default()
        }
    }
}
