//! The shipping service, the pivot of the saga: it sends the goods of a paid order, and rules on every wish to undo one.
//!
//! Read [`domain`] first: it has every decision. [`carrier`] is the other side, which is simulated here: no goods move.

pub mod carrier;
pub mod domain;
pub mod effects;
mod http;
mod service;

pub use http::routes;
pub use service::{Options, run, run_on};

/// The collection of the service's documents, one per order.
pub const COLLECTION: &str = "shipments";
/// The port that the service listens on when nothing else is configured.
pub const PORT: u16 = 4004;
