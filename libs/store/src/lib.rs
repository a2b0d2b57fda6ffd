//! Documents with compare-and-set.
//!
//! A service keeps one document per order, and saves it by compare-and-set on its `version`. Single-document
//! atomicity is all that the port asks of a store, so any `MongoDB` will do: standalone, replica set or sharded.
//! Everything goes in batches: one round trip loads or saves the documents of many orders.
//!
//! Bodies are JSON objects. `MongoDB` holds them as real documents, so a person can query them.

#[cfg(feature = "contract-suite")]
pub mod contract;
mod embedded;
mod memory;
mod mongo;
mod open;
mod port;

pub use embedded::{EmbeddedOptions, EmbeddedStore};
pub use memory::{MemoryLimits, MemoryStore};
pub use mongo::{MongoLimits, MongoStore};
pub use open::{StoreSpec, open};
pub use port::{
    BODY_BYTES_MAX, Index, ListQuery, NAME_BYTES_MAX, Rank, SaveResult, Store, StoreError, Stored,
    Write,
};
