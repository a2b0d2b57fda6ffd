//! What the HTTP interfaces answer, as their readers see it.
//!
//! The services write their documents from their own, richer types; a reader takes what stands here and ignores the rest.
//! A test of the read model holds the two together. No IO, no clock; it compiles to WebAssembly.

mod admin;
mod amount;
mod order;
mod stats;
mod stock;
mod time;

pub use admin::{Accepted, AuditEntry, Copy, DeadLetter, Decision, Problem};
pub use amount::Amount;
pub use order::{
    Attempt, Cancel, Entry, Feed, Item, Letter, Order, Outcome, RefusedCommand, State, Status, Told,
};
pub use stats::{
    ConsumerLag, History, Latency, Projector, Rates, Sample, Stats, Throughput, WaitingLetters,
};
pub use stock::{Product, Restock};
pub use time::Moment;
