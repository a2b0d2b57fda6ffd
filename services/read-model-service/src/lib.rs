//! The read model: every order's timeline and state, live; dead letters and the audit; and the operator's commands.
//!
//! Read [`projection`] first: what is shown is a pure function of the set of an order's events, so events may come in any
//! order and any number of times, several instances may project at once, and a rebuild gives the same bytes.
//! [`projector`] turns batches of messages into saved documents, [`live`] tells those who watch, [`http`] answers.

pub mod collections;
mod decisions;
mod elsewhere;
pub mod http;
pub mod live;
pub mod projection;
pub mod projector;
mod rebuild;
mod redrive;
mod service;
pub mod stats;
#[cfg(test)]
mod testing;

pub use rebuild::{
    ExportError, RebuildError, RebuildOptions, RebuildReport, Rebuilds, export,
    is_rebuild_unfinished, rebuild,
};
pub use service::{Options, run};

/// The port that the service listens on when nothing else is configured.
pub const PORT: u16 = 4005;
