//! The inventory service: sets stock aside, gives it back, and books it out, each exactly once.
//!
//! Read [`domain`] first: it has every decision. [`stock`] says how counters stay exact although a store saves one
//! document at a time.

pub mod catalogue;
pub mod domain;
mod effects;
mod http;
mod service;
pub mod stock;

pub use effects::StockEffects;
pub use http::routes;
pub use service::{Options, run};

/// The service's name and consumer group.
pub const SERVICE: &str = "inventory-service";
/// The port that the service listens on when nothing else is configured.
pub const PORT: u16 = 4002;
/// The collection of the orders' documents.
pub const ORDERS: &str = "inventory_orders";
/// The collection of the stock's documents, one per SKU.
pub const STOCK: &str = "stock";
