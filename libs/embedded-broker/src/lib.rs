//! A single-node broker that speaks the Kafka protocol over TCP, inside the process.
//!
//! Unmodified Kafka clients (librdkafka, the Java client, kcat, Kafka UIs) connect to it as to any other broker.
//! Without a data directory everything lives in memory; with one, every acknowledged record, committed offset and
//! topic survives `kill -9` and power loss.
//!
//! ```no_run
//! # async fn run() -> Result<(), sagaline_embedded_broker::BrokerError> {
//! use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
//!
//! let broker = EmbeddedBroker::start(BrokerConfig::default()).await?;
//! broker.create_topics(&["orders"], 4).await?;
//! println!("bootstrap.servers={}", broker.address());
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! How it is built: [`net`](self) reads frames and answers them in order, one task per connection; `api` maps each
//! request to the log or to the group coordinator; `log` holds one lock per partition and stores record batches
//! verbatim; `group` is the classic group protocol as a state machine that takes time as an argument; `journal` is one
//! append-only log shared by all partitions, so that a commit cycle costs one fsync whatever the number of partitions.

#![expect(
    clippy::needless_pass_by_value,
    reason = "a handler owns the request that it answers, whether it takes it apart or not"
)]

mod api;
mod broker;
mod clock;
mod config;
mod embedded;
mod error;
mod group;
mod journal;
mod log;
mod net;

pub use config::BrokerConfig;
pub use embedded::EmbeddedBroker;
pub use error::BrokerError;
