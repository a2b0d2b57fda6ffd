//! What of a payload decides how an order is shown.

use sagaline_contracts::payload::{self, Action, Authority, RedriveAction, RedriveRequested, Step};
use sagaline_contracts::{EventType, Money, Payload};
use serde::de::DeserializeOwned;

use super::render::json;

/// What of a payload decides how an order is shown; everything else is only handed on.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// Nothing.
    Plain,
    /// An attempt begins.
    Placed(Box<Placed>),
    /// A step or the order failed.
    Failed { reason: String },
    /// An operator wants the next attempt.
    Retry { step: Step, by: Option<String> },
    /// Something is to be undone.
    Compensation(Box<Compensation>),
    /// A command was refused.
    Refused(Box<payload::CommandRejected>),
    /// An operator decided about a dead letter.
    Redrive(Box<RedriveRequested>),
    /// A message could not be handled.
    Died(Box<Died>),
}

/// What an attempt begins with.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// As JSON.
    pub(super) items: Vec<u8>,
    pub(super) total: Money,
    pub(super) currency: Option<String>,
    pub(super) customer_id: Option<String>,
    pub(super) step: Option<Step>,
}

/// A wish, or a ruling, to undo something.
#[derive(Debug, Clone)]
pub(super) struct Compensation {
    pub(super) action: Action,
    pub(super) by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) decided_by: Option<Authority>,
}

/// What a dead letter tells about its order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Died {
    pub(super) letter: Option<String>,
    pub(super) consumer: Option<String>,
    pub(super) error: String,
    pub(super) topic: String,
}

impl Fact {
    pub(super) fn of(payload: Payload) -> Self {
        match payload {
            Payload::OrderCreated(p) => Self::Placed(Box::new(Placed {
                items: json(&p.items, 64 * p.items.len()),
                total: p.total,
                currency: p.currency,
                customer_id: p.customer_id,
                step: None,
            })),
            Payload::OrderRetried(p) => Self::Placed(Box::new(Placed {
                items: json(&p.items, 64 * p.items.len()),
                total: p.total,
                currency: None,
                customer_id: None,
                step: Some(p.step),
            })),
            Payload::OrderCancelled(p) => Self::Failed { reason: p.reason },
            Payload::InventoryFailed(p) => Self::Failed { reason: p.reason },
            Payload::PaymentFailed(p) => Self::Failed { reason: p.reason },
            Payload::ShippingFailed(p) => Self::Failed { reason: p.reason },
            Payload::RetryRequested(p) => Self::Retry {
                step: p.step,
                by: p.requested_by,
            },
            Payload::CompensationRequested(p) => Self::Compensation(Box::new(Compensation {
                action: p.action,
                by: p.requested_by,
                reason: p.reason,
                decided_by: p.decided_by,
            })),
            Payload::CommandRejected(p) => Self::Refused(Box::new(p)),
            Payload::RedriveRequested(p) => Self::Redrive(Box::new(p)),
            Payload::DeadLetter(p) => Self::Died(Box::new(Died {
                letter: p.dead_letter_id,
                consumer: p.consumer,
                error: p.error,
                topic: p.original_topic.unwrap_or(p.original_type),
            })),
            Payload::OrderConfirmed(_)
            | Payload::InventoryReserved(_)
            | Payload::InventoryReleased(_)
            | Payload::PaymentAuthorized(_)
            | Payload::PaymentRefunded(_)
            | Payload::OrderShipped(_) => Self::Plain,
        }
    }

    /// The fact of details that were stored.
    pub(super) fn parse(kind: EventType, details: &[u8]) -> Result<Self, serde_json::Error> {
        fn read<T: DeserializeOwned + Into<Payload>>(
            details: &[u8],
        ) -> Result<Fact, serde_json::Error> {
            let payload: T = serde_json::from_slice(details)?;
            Ok(Fact::of(payload.into()))
        }
        match kind {
            EventType::OrderCreated => read::<payload::OrderCreated>(details),
            EventType::OrderRetried => read::<payload::OrderRetried>(details),
            EventType::OrderCancelled => read::<payload::OrderCancelled>(details),
            EventType::InventoryFailed => read::<payload::InventoryFailed>(details),
            EventType::PaymentFailed => read::<payload::PaymentFailed>(details),
            EventType::ShippingFailed => read::<payload::ShippingFailed>(details),
            EventType::RetryRequested => read::<payload::RetryRequested>(details),
            EventType::CompensationRequested => read::<payload::CompensationRequested>(details),
            EventType::CommandRejected => read::<payload::CommandRejected>(details),
            EventType::RedriveRequested => read::<RedriveRequested>(details),
            EventType::DeadLetter => read::<payload::DeadLetter>(details),
            EventType::OrderConfirmed
            | EventType::InventoryReserved
            | EventType::InventoryReleased
            | EventType::PaymentAuthorized
            | EventType::PaymentRefunded
            | EventType::OrderShipped => Ok(Self::Plain),
        }
    }
}

/// Whether an operator's decision is about `consumer`'s copy of a dead letter.
pub(super) fn concerns(redrive_consumers: &[String], consumer: Option<&str>) -> bool {
    redrive_consumers.is_empty()
        || consumer.is_some_and(|name| redrive_consumers.iter().any(|other| other == name))
}

/// The event to handle in a dead letter's place, when that is what the operator decided.
pub(super) fn replacement(redrive: &RedriveRequested) -> Option<&serde_json::Value> {
    match redrive.action {
        RedriveAction::Redrive => redrive.event.as_ref(),
        RedriveAction::Discard => None,
    }
}
