//! The order service: takes orders, and sees each to its outcome.

pub mod domain;
mod http;
mod intake;
mod service;
mod validate;

pub use service::{Options, run};

/// The port that the service listens on when nothing else is configured.
pub const PORT: u16 = 4001;
