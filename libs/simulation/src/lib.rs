//! The real services on a simulated world.
//!
//! The five services and the runtime run as they are; their ports lead to a broker, a store, a gateway, a carrier, clients and
//! clocks that are simulated, in one thread, in virtual time. All chance comes from one seed, so a run can be repeated. Whatever
//! happens, every invariant of the pipeline is checked at the end by somebody who sees only what stands in topics, documents and
//! the books of gateway and carrier, and what clients were answered.

mod bank;
mod broker;
#[cfg(feature = "planted-bugs")]
pub mod bugs;
mod checker;
mod clients;
mod coverage;
mod depot;
mod dice;
mod env;
mod http;
mod insist;
mod life;
mod operators;
pub mod plan;
mod process;
mod run;
mod search;
mod shrink;
mod store;
mod trace;
mod version;
mod weather;
mod world;

pub use coverage::{Coverage, State};
pub use run::{Report, Wanted, run};
pub use search::{Found, Search};
pub use shrink::shrink;
pub use weather::{Climate, Dependency};
