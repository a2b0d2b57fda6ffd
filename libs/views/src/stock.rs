//! The catalogue and its stock.

use serde::{Deserialize, Serialize};

use crate::{Amount, Moment};

/// A product, and how many of it there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its key.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// The price of one.
    pub price: Amount,
    /// Units that can be reserved.
    pub available: u64,
    /// Units that are set aside for orders.
    pub reserved: u64,
    /// Units that have left.
    pub shipped: u64,
}

/// Somebody added units to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restock {
    /// The command's id.
    pub command_id: String,
    /// The product.
    pub sku: String,
    /// How many.
    pub qty: u32,
    /// Who.
    pub requested_by: String,
    /// When.
    pub at: Moment,
}
