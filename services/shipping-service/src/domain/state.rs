//! What shipping remembers, asks for and is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What shipping knows of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderShipments {
    /// The highest attempt that was seen.
    pub attempt: u32,
    /// The highest attempt that must not be shipped any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub barred: u32,
    /// The attempt that is being barred: what the carrier may have of it is called back, whatever comes meanwhile. It is
    /// barred when the carrier has answered.
    #[serde(skip_serializing_if = "is_zero")]
    pub barring: u32,
    /// The highest attempt that is known to be over.
    #[serde(skip_serializing_if = "is_zero")]
    pub ended: u32,
    /// Where the goods are.
    pub shipment: Shipment,
}

/// Where an order's goods are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "status",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Shipment {
    /// Nothing was tried yet.
    #[default]
    #[serde(rename = "PENDING")]
    None,
    /// On their way: the pivot is passed.
    Shipped {
        /// In which attempt.
        attempt: u32,
        /// Who carries them.
        carrier: String,
        /// The carrier's name for the shipment.
        tracking_id: String,
        /// Whether a refund was ruled since.
        refund_ruled: bool,
    },
    /// Still here, and they stay in this attempt.
    Failed {
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: String,
    },
}

/// What the carrier is to do. The key, `orderId/attempt`, makes it idempotent: the same key is the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShippingEffect {
    /// Book the shipment.
    Book {
        /// `orderId/attempt`.
        key: String,
    },
    /// See to it that nothing is shipped under a key. Asked for when it is saved that an attempt is being barred: its
    /// shipment may have been booked all the same, by an instance that could not save, or cannot any more, what it has done.
    Void {
        /// `orderId/attempt`.
        key: String,
    },
}

impl ShippingEffect {
    /// The call's idempotency key.
    pub fn key(&self) -> &str {
        match self {
            Self::Book { key } | Self::Void { key } => key,
        }
    }
}

/// What the carrier answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShippingOutcome {
    /// The goods are on their way: booked now, or too late to be voided.
    Booked {
        /// Who carries them.
        carrier: String,
        /// The carrier's name for the shipment.
        tracking_id: String,
    },
    /// They are not.
    Refused {
        /// Why.
        reason: String,
    },
    /// Nothing is shipped under the key, and nothing will be.
    Voided,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
