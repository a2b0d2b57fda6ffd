//! Why a command cannot be.

use sagaline_contracts::OrderId;

use crate::Outcome;

/// Why a command cannot be. An order that nobody knows is the caller's 404, before a view exists; all of these are 409.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A retry of an order that is still in flight.
    #[error(
        "order {order_id} is in flight (attempt {attempt}): wait for its outcome, or cancel it first"
    )]
    InFlight {
        /// The order.
        order_id: OrderId,
        /// Its current attempt.
        attempt: u32,
    },
    /// A retry of an order that came through.
    #[error("order {0} is confirmed: there is nothing to retry")]
    Confirmed(OrderId),
    /// A compensation of an order that was undone.
    #[error("order {0} is already cancelled: there is nothing left to undo")]
    AlreadyCancelled(OrderId),
    /// A release of goods that are on their way.
    #[error(
        "order {0} is shipped: its goods are out and cannot be released; a refund is what is left"
    )]
    Shipped(OrderId),
    /// A second refund.
    #[error("order {0} is already refunded")]
    AlreadyRefunded(OrderId),
}

impl Refusal {
    /// The reason as a stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InFlight { .. } => "in_flight",
            Self::Confirmed(_) => "confirmed",
            Self::AlreadyCancelled(_) => "already_cancelled",
            Self::Shipped(_) => "shipped",
            Self::AlreadyRefunded(_) => "already_refunded",
        }
    }

    /// How the order stood when the command was refused.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::InFlight { .. } => Outcome::Pending,
            Self::AlreadyCancelled(_) => Outcome::Cancelled,
            Self::Confirmed(_) | Self::Shipped(_) | Self::AlreadyRefunded(_) => Outcome::Confirmed,
        }
    }
}
