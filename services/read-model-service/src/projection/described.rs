//! The documents, described for who reads them: what is written in pieces stands here in one.

use sagaline_contracts::payload::OrderItem;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::entry::EntryOut;
use super::render::Document;

/// An order with its timeline.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderTimeline")]
pub(crate) struct OrderDocument<'a> {
    #[serde(flatten)]
    head: Document<'a>,
    /// What is ordered, once that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<OrderItem>,
    /// Every event, the earliest first, none before its cause.
    timeline: Vec<TimelineEntry<'a>>,
}

/// An event of an order.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TimelineEntry<'a> {
    #[serde(flatten)]
    head: EntryOut<'a>,
    /// The event's payload.
    details: Map<String, Value>,
}

/// A command, who gave it and what came of it.
pub(crate) type AuditDocument<'a> = super::audit::DocumentOut<'a>;
/// A message that could not be handled.
pub(crate) type LetterDocument<'a> = super::dead_letter::DocumentOut<'a>;
