//! The catalogue and its stock.

use serde::{Deserialize, Serialize};

use crate::Amount;

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
