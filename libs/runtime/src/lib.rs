//! Runs participants on Kafka.
//!
//! The Kafka offset is the outbox cursor: a batch is decoded, decided, saved, published, acknowledged, and only then are its
//! offsets committed. A crash anywhere means redelivery, and a redelivery publishes the same events with the same
//! ids. What no record of Kafka would bring back (an HTTP request's events, a timer's) stands in the record's outbox.
//!
//! The runtime sees the world through small ports: [`Broker`] here, `Store` in `sagaline-store`, `Clock` in
//! `sagaline-saga`; so the same runtime runs on real parts and on simulated ones.

mod backoff;
mod broker;
mod census;
mod consumer_loop;
mod dead_letter;
mod effects;
pub mod kafka;
mod metrics;
mod outbox;
mod ports;
mod runner;

pub use broker::{
    Broker, BrokerError, Consumer, GroupLag, Inbound, Outbound, Producer, RefusedMessage, Replay,
    Span, Tail,
};
pub use census::{Census, Waiting};
pub use consumer_loop::{BatchHandler, ConsumerLoop, LoopOptions, RuntimeError};
pub use dead_letter::{orphan, untried};
pub use effects::{EffectRequest, Effects, NoEffects, Outage, Saved};
pub use outbox::{
    AckedSet, AnnounceLimits, Announcement, Announcer, Announcers, OutboxRelay, RelayFaults,
    Unacknowledged,
};
pub use ports::{HealthSink, Ports, SilentHealth};
pub use runner::{Runner, RunnerOptions};
