//! The wire: events, their envelope, topics, JSON Schema and validation. No IO, no clock, no async.
//!
//! A topic is named after the one event type that it carries: `<context>.<Name>.v<major>`. The message key is the
//! order's id, the value a JSON envelope around a typed payload. [`Event::decode`] is the one way in and
//! [`Event::encode`] the one way out, so nothing that breaks the contract crosses a service's border.
//!
//! Decoding is typed and strict; the JSON Schema, generated from the same types, explains to a person what is
//! wrong with an event that was refused (see [`schema`]).

mod envelope;
mod event;
mod event_type;
pub mod examples;
#[cfg(feature = "generate")]
pub mod generate;
mod ids;
mod money;
pub mod payload;
mod rejected;
pub mod schema;
mod short_text;
mod timestamp;
mod wire;

/// Reading JSON as its schema has it, and not in every way that serde knows: for other bodies than events.
pub mod strict {
    pub use crate::wire::{name, objects};
}

pub use event::{ENVELOPE_VERSION, Event};
pub use event_type::{DEAD_LETTER_SUFFIX, EventType};
pub use ids::{EventId, InvalidId, OrderId, Sku};
pub use money::{InvalidMoney, Money};
pub use payload::Payload;
pub use rejected::{Rejected, RejectedKind};
pub use short_text::ShortText;
pub use timestamp::{InvalidTimestamp, Timestamp};
