//! The payment gateway, as this service sees it.

mod ledger;
mod simulated;

use async_trait::async_trait;
use sagaline_contracts::{Money, OrderId};
use sagaline_external_calls::CallError;

pub use ledger::{Account, Ledger};
pub use simulated::{CARD_DECLINED, SimulatedGateway};

/// Where cards are charged.
///
/// Every call carries an idempotency key: the same key is the same call, however often it is made and whoever makes it,
/// and gets the same answer. A call that was given up for taking too long may have had its effect; it is repeated.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// The dependency's name, as `/healthz` shows it.
    fn name(&self) -> &'static str;

    /// Charges `amount` for the order.
    async fn authorize(
        &self,
        key: &str,
        order_id: &OrderId,
        amount: Money,
    ) -> Result<Authorization, CallError>;

    /// Pays the charge `auth_id` back. It is never one that was [voided](Self::void).
    async fn refund(&self, key: &str, auth_id: &str, amount: Money) -> Result<Refunded, CallError>;

    /// Sees to it that nothing is charged under the key of an [`authorize`](Self::authorize): a charge that was made is
    /// reversed, one that comes later is declined. It is never asked for what was paid back. A key that was never seen is voided just the same.
    async fn void(&self, key: &str) -> Result<(), CallError>;
}

/// What comes of asking for a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// It is charged.
    Approved {
        /// The gateway's name for the charge.
        auth_id: String,
    },
    /// It is not.
    Declined {
        /// Why, as `PaymentFailed` tells it: `card_declined`, …
        reason: String,
    },
}

/// A charge was paid back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    /// The gateway's name for the refund.
    pub refund_id: String,
}
