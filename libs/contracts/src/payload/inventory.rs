//! Events of the inventory service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, OrderId, Sku};

/// Some of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedItem {
    /// What.
    pub sku: Sku,
    /// How many, over all lines of the order.
    #[serde(deserialize_with = "crate::wire::whole")]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub qty: u32,
}

/// What was missing of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// What.
    pub sku: Sku,
    /// How many were wanted.
    #[serde(deserialize_with = "crate::wire::whole")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub requested: u64,
    /// How many there were; absent for an unknown SKU.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub available: Option<u64>,
}

/// All items are reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryReserved {
    /// The order.
    pub order_id: OrderId,
    /// What is set aside for it.
    #[serde(deserialize_with = "crate::wire::objects")]
    pub reserved_items: Vec<ReservedItem>,
    /// What the order costs, handed on to payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// The attempt that this is for.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// Nothing is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryFailed {
    /// The order.
    pub order_id: OrderId,
    /// `out_of_stock` or `unknown_sku`.
    pub reason: String,
    /// What was missing.
    #[serde(
        default,
        deserialize_with = "crate::wire::objects",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub shortages: Vec<Shortage>,
    /// The attempt that this is for.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// What was reserved is available again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryReleased {
    /// The order.
    pub order_id: OrderId,
    /// What was given back; empty when the order was undone before anything was reserved.
    #[serde(deserialize_with = "crate::wire::objects")]
    pub released_items: Vec<ReservedItem>,
    /// Why.
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
