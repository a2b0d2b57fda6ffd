//! What payment remembers, asks for and is answered.

use sagaline_contracts::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What payment knows of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Payment {
    /// The highest attempt whose reservation was seen.
    pub attempt: u32,
    /// The highest attempt that must not be charged any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub barred: u32,
    /// The attempt that is being barred: what the gateway may have charged for it is reversed, whatever comes meanwhile. It is
    /// barred when the gateway has answered.
    #[serde(skip_serializing_if = "is_zero")]
    pub barring: u32,
    /// Where the latest attempt's charge stands.
    pub charge: Charge,
    /// Charges of earlier attempts, oldest first: all refunded or failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Charge>,
}

/// Where a charge stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "status",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Charge {
    /// Nothing was tried yet.
    #[default]
    #[serde(rename = "PENDING")]
    None,
    /// The amount is charged.
    Authorized {
        /// The latest attempt that it pays for.
        attempt: u32,
        /// How much.
        amount: Money,
        /// The gateway's name for it.
        auth_id: String,
    },
    /// Nothing is charged.
    Failed {
        /// The attempt.
        attempt: u32,
        /// How much it would have been; unknown when the attempt was undone before its reservation came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
        /// Why.
        reason: String,
    },
    /// The amount was charged and is paid back.
    Refunded {
        /// The attempt that it was paid back in.
        attempt: u32,
        /// How much.
        amount: Money,
        /// The gateway's name for the charge.
        auth_id: String,
        /// The gateway's name for the refund.
        refund_id: String,
    },
}

/// What the gateway is to do. The key makes it idempotent: the same key is the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentEffect {
    /// Charge the amount.
    Authorize {
        /// `orderId/attempt`.
        key: String,
        /// How much.
        amount: Money,
    },
    /// Pay a charge back.
    Refund {
        /// `orderId/attempt/refund`.
        key: String,
        /// The charge.
        auth_id: String,
        /// How much.
        amount: Money,
    },
    /// See to it that nothing is charged under a key. Asked for when it is saved that an attempt is being barred whose charge we
    /// do not know of: it may have been made all the same, by an instance that could not save, or cannot any more, what it
    /// has done.
    Void {
        /// `orderId/attempt`.
        key: String,
    },
}

/// What the gateway answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The amount is charged.
    Authorized {
        /// The gateway's name for the charge.
        auth_id: String,
    },
    /// It was not charged.
    Declined {
        /// Why.
        reason: String,
    },
    /// The charge is paid back.
    Refunded {
        /// The gateway's name for the refund.
        refund_id: String,
    },
    /// Nothing is charged under the key, and nothing will be.
    Voided,
}

impl PaymentEffect {
    /// The call's idempotency key.
    pub fn key(&self) -> &str {
        match self {
            Self::Authorize { key, .. } | Self::Refund { key, .. } | Self::Void { key } => key,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
