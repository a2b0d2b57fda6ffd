//! Real servers for tests.
//!
//! [`ApacheKafka`] and [`MongoServer`] start as child processes on free ports with their data in a temporary folder, can be
//! killed, stopped, continued and restarted, and end with the value that stands for them, or with the test process, whichever
//! ends first. The scripts that start them are in `test-servers/`; they need `mvn` and a JDK, and fetch the servers' jars once,
//! into `~/.cache/sagaline` (or `$SAGALINE_CACHE`).

pub mod client;
pub mod invariants;
mod kafka;
mod mongo;
mod ports;
mod process;
pub mod sse;
pub mod stack;
pub mod topics;

pub use kafka::ApacheKafka;
pub use mongo::{Kind, MongoServer};
pub use ports::Port;
pub use process::Process;
