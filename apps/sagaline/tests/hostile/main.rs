//! The all-in-one process and those who mean it no good: what ends up in its log, and how many may listen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod logs;
mod pipeline;
mod readers;
