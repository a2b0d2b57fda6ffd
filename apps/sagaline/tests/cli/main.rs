//! The operator's command line as a process: what it asks of the services, what it shows, and how it exits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod catalogue;
mod commands;
mod dashboard;
mod dead_letters;
mod errors;
mod fake;
mod orders;
mod process;
mod secured;
mod simulate;
mod topics;
