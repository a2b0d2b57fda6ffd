//! Events of the shipping service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OrderId;

/// The goods are on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderShipped {
    /// The order.
    pub order_id: OrderId,
    /// Who carries them.
    pub carrier: String,
    /// The carrier's name for the shipment.
    pub tracking_id: String,
    /// The attempt that this is for.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// The goods will not be sent in this attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingFailed {
    /// The order.
    pub order_id: OrderId,
    /// `carrier_error`, `cancelled`, …
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
