//! What has to be known of an order to answer a command.

use sagaline_contracts::{OrderId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The current attempt is in flight.
    #[default]
    Pending,
    /// Paid and on its way.
    Confirmed,
    /// Nothing is reserved and nothing is charged.
    Cancelled,
}

impl Outcome {
    /// The outcome as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Confirmed => "CONFIRMED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// What has to be known of an order to answer a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderView {
    /// The order.
    pub order_id: OrderId,
    /// The current attempt, 1 for the first.
    pub attempt: u32,
    /// How it stands.
    pub outcome: Outcome,
    /// The goods are on their way.
    pub shipped: bool,
    /// What was charged is paid back, although the goods are on their way.
    pub refunded: bool,
    /// When the order last changed: a command is later than what it answers to, whatever the clocks say.
    pub updated_at: Timestamp,
}
