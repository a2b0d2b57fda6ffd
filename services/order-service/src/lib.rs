//! The order service: takes orders, knows how they end, and owns their attempts.
//!
//! Read [`domain`] first: it has every decision. [`intake`] saves new orders together, `http` asks and answers.

pub mod domain;
mod http;
pub mod intake;
pub mod measure;
mod options;
mod producer;
mod service;
#[cfg(test)]
mod testing;
mod waiters;

pub use options::Options;
pub use service::{PORT, SPEC, run};
