//! Calls to parties that are not ours, such as a payment gateway or a carrier.
//!
//! [`Caller`] asks for many orders at once: so many calls at a time and no more, each within a time limit, and a party
//! that has gone silent is told apart from one order that it chokes on. [`Draw`], [`Rate`] and [`Rehearsal`] are what
//! simulated parties are made of: deterministic answers without memory, and faults that can be switched on.

mod caller;
mod draw;
mod error;
mod rehearsal;

pub use caller::{CallLimits, Caller};
pub use draw::{Draw, InvalidRate, Rate};
pub use error::{BoxError, CallError};
pub use rehearsal::{Flaky, Rehearsal};
