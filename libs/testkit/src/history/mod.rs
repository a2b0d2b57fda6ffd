//! Recorded histories of concurrent operations, and whether they are linearizable: whether every operation can have taken effect
//! at one moment between its call and its answer, so that all answers are right.

mod checker;
mod create;
mod recorder;
mod stock;

pub use checker::{Model, Operation, linearization};
pub use create::{Creation, CreationAnswer, Creations};
pub use recorder::Recorder;
pub use stock::{Stock, StockOperation};
