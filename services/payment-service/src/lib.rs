//! The payment service: charges an order when its stock is reserved, and pays back when shipping rules so.
//!
//! Read [`domain`] first: it has every decision. [`gateway`] is the other side, which is simulated here: no money moves.

pub mod domain;
pub mod effects;
pub mod gateway;
mod http;
mod service;

pub use http::routes;
pub use service::{Options, run, run_on};

/// The collection of the service's documents, one per order.
pub const COLLECTION: &str = "payments";
/// The port that the service listens on when nothing else is configured.
pub const PORT: u16 = 4003;
