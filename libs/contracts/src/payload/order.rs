//! Events of the order service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{Money, OrderId, Sku, wire};

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// What is ordered.
    pub sku: Sku,
    /// How many.
    #[serde(deserialize_with = "quantity")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub qty: u32,
    /// The price of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

/// An order was placed; its first attempt begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    /// The order.
    pub order_id: OrderId,
    /// What is ordered; a SKU on two lines means the sum.
    #[serde(deserialize_with = "items")]
    #[schemars(length(min = 1, max = 100))]
    pub items: Vec<OrderItem>,
    /// What it costs.
    pub total: Money,
    /// The currency of all amounts, ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Who ordered: an opaque id, never a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
}

/// An order's next attempt begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderRetried {
    /// The order.
    pub order_id: OrderId,
    /// The attempt that begins, 2 or more.
    #[serde(deserialize_with = "crate::wire::attempt")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub attempt: u32,
    /// The step that the operator wanted to see again.
    #[serde(deserialize_with = "crate::wire::name")]
    pub step: Step,
    /// What is ordered.
    #[serde(deserialize_with = "items")]
    #[schemars(length(min = 1, max = 100))]
    pub items: Vec<OrderItem>,
    /// What it costs.
    pub total: Money,
    /// Who asked.
    pub requested_by: String,
}

/// The order is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
    /// The attempt that came through.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

/// The order is over: nothing is reserved, nothing is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Why, for instance `out_of_stock`, `card_declined`, `carrier_error` or `cancelled`.
    pub reason: String,
    /// The attempt that ended.
    #[serde(
        default,
        deserialize_with = "crate::wire::optional_whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(max = 4_294_967_295_u32))]
    pub attempt: Option<u32>,
}

fn quantity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let qty: u32 = wire::whole(deserializer)?;
    if (1..=super::QUANTITY_MAX).contains(&qty) {
        Ok(qty)
    } else {
        Err(serde::de::Error::custom(format!(
            "qty must be 1 to {}",
            super::QUANTITY_MAX
        )))
    }
}

fn items<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<OrderItem>, D::Error> {
    let items = wire::objects(deserializer)?;
    if (1..=super::ITEMS_MAX).contains(&items.len()) {
        Ok(items)
    } else {
        Err(serde::de::Error::custom(format!(
            "items must have 1 to {} lines",
            super::ITEMS_MAX
        )))
    }
}
