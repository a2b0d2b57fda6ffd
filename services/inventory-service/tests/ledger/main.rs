//! The ledger: what a batch costs, who gets the last unit, and what crashes, outages and other instances leave.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod allocation;
mod settlement;
mod trouble;
mod warehouse;
