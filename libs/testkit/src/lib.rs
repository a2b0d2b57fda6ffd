//! Real servers for tests.
//!
//! [`ApacheKafka`] and [`MongoServer`] start as child processes on free ports with their data in a temporary folder, can be
//! killed, stopped, continued and restarted, and end with the value that stands for them, or with the test process, whichever
//! ends first. The scripts that start them are in `test-servers/`; they need `mvn` and a JDK, and fetch the servers' jars once,
//! into `~/.cache/sagaline` (or `$SAGALINE_CACHE`).

pub mod client;
pub mod history;
pub mod invariants;
mod kafka;
pub mod lag;
pub mod load;
mod mongo;
mod mount;
pub mod operators;
mod outcomes;
mod ports;
mod process;
mod proxy;
pub mod sse;
pub mod stack;
pub mod topics;

pub use kafka::{ApacheKafka, Listener, SECURED_PASSWORD, SECURED_USER};
pub use mongo::{Kind, MongoServer};
pub use mount::{DiskImage, Mount};
pub use outcomes::Outcomes;
pub use ports::Port;
pub use process::Process;
pub use proxy::Proxy;
