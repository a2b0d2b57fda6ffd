//! Events of the payment service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, OrderId};

/// The amount is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorized {
    /// The order.
    pub order_id: OrderId,
    /// How much.
    pub amount: Money,
    /// The gateway's name for the charge.
    pub auth_id: String,
    /// The attempt that this is for.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// Nothing was charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFailed {
    /// The order.
    pub order_id: OrderId,
    /// `card_declined`, `cancelled`, …
    pub reason: String,
    /// The attempt that this is for.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// What was charged is paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// The order.
    pub order_id: OrderId,
    /// How much.
    pub amount: Money,
    /// The gateway's name for the refund.
    pub refund_id: String,
    /// The attempt that this is for.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}
