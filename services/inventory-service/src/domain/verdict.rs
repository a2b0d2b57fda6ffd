//! What an order's document says about an operation that stands in the stock of a SKU.

use sagaline_contracts::{OrderId, Sku};

use crate::domain::InventoryState;
use crate::domain::state::Standing;

/// What is done to the stock of one SKU for one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StockOp {
    /// Available becomes reserved.
    Reserve,
    /// Reserved becomes available.
    Release,
    /// Reserved becomes shipped.
    Ship,
}

/// An operation on the stock of one SKU: doing it again is the same operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operation {
    /// The order.
    pub order_id: OrderId,
    /// The attempt that the goods were set aside in.
    pub attempt: u32,
    /// What is done.
    pub op: StockOp,
    /// To how many.
    pub qty: u32,
}

/// What an order's document, as it is saved, says about an operation that was applied in some version of a stock document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This very application is part of the order's history.
    Counts,
    /// It is not, and never will be.
    Void,
    /// The order's document does not know yet: a redelivery will tell.
    Open,
}

impl InventoryState {
    /// The verdict on `operation`, applied to `sku` in the version `at` of its stock.
    ///
    /// Once `Counts` or `Void`, it is the same for every later state of the order: an attempt is decided once, because
    /// `attempt` and `barred` only rise; a reservation's `taken_at` never changes; and its end is final.
    pub fn verdict(&self, operation: &Operation, sku: &Sku, at: u64) -> Verdict {
        let mut reservations = self.reservations();
        let Some((reservation, standing)) =
            reservations.find(|(reservation, _)| reservation.taken_in == operation.attempt)
        else {
            let decided = self.attempt.max(self.barred) >= operation.attempt;
            return if decided {
                Verdict::Void
            } else {
                Verdict::Open
            };
        };
        let mut items = reservation.items.iter();
        let Some(item) = items.find(|item| item.sku == *sku && item.qty == operation.qty) else {
            return Verdict::Void;
        };
        let counts = match (operation.op, standing) {
            (StockOp::Reserve, _) => item.taken_at == at,
            (_, Standing::Open) => return Verdict::Open,
            (StockOp::Release, Standing::Released) | (StockOp::Ship, Standing::Shipped) => {
                item.ended_at == Some(at)
            }
            (StockOp::Release, Standing::Shipped) | (StockOp::Ship, Standing::Released) => false,
        };
        if counts {
            Verdict::Counts
        } else {
            Verdict::Void
        }
    }
}
