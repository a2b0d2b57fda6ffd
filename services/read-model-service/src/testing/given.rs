//! Events to project.

use std::collections::BTreeMap;

use sagaline_contracts::payload::*;
use sagaline_contracts::{Event, EventId, Money, OrderId, Payload, Sku, Timestamp};
use serde_json::Value;

use crate::projection::{Entry, Order};

pub(crate) fn order_id() -> OrderId {
    OrderId::new("o-1").unwrap()
}

pub(crate) fn id(text: &str) -> EventId {
    EventId::new(text).unwrap()
}

/// An event at so many seconds, caused by another one.
pub(crate) fn event(
    name: &str,
    at_s: i64,
    cause: Option<&str>,
    payload: impl Into<Payload>,
) -> Event {
    let payload = payload.into();
    Event {
        id: id(name),
        timestamp: Timestamp::from_micros(at_s * 1_000_000),
        correlation_id: "o-1".to_owned(),
        causation_id: cause.map(id),
        order_id: payload.order_id().cloned(),
        payload,
        headers: BTreeMap::new(),
    }
}

pub(crate) fn entry(event: &Event) -> Entry {
    let wire = event.encode();
    Entry::new(event.clone(), &wire)
}

pub(crate) fn created() -> OrderCreated {
    OrderCreated {
        order_id: order_id(),
        items: vec![OrderItem {
            sku: Sku::new("SKU-1").unwrap(),
            qty: 2,
            price: None,
        }],
        total: Money::from_cents(2_050).unwrap(),
        currency: Some("EUR".to_owned()),
        customer_id: None,
    }
}

pub(crate) fn retried(attempt: u32) -> OrderRetried {
    OrderRetried {
        order_id: order_id(),
        attempt,
        step: Step::Payment,
        items: created().items,
        total: created().total,
        requested_by: "ann".to_owned(),
    }
}

pub(crate) fn reserved(attempt: u32) -> InventoryReserved {
    InventoryReserved {
        order_id: order_id(),
        reserved_items: Vec::new(),
        total: None,
        attempt: Some(attempt),
    }
}

pub(crate) fn released(attempt: u32) -> InventoryReleased {
    InventoryReleased {
        order_id: order_id(),
        released_items: Vec::new(),
        reason: "card_declined".to_owned(),
        attempt: Some(attempt),
    }
}

pub(crate) fn authorized(attempt: u32) -> PaymentAuthorized {
    PaymentAuthorized {
        order_id: order_id(),
        amount: created().total,
        auth_id: "auth".to_owned(),
        attempt: Some(attempt),
    }
}

pub(crate) fn payment_failed(attempt: u32) -> PaymentFailed {
    PaymentFailed {
        order_id: order_id(),
        reason: "card_declined".to_owned(),
        attempt: Some(attempt),
    }
}

pub(crate) fn shipped(attempt: u32) -> OrderShipped {
    OrderShipped {
        order_id: order_id(),
        carrier: "DHL".to_owned(),
        tracking_id: "t".to_owned(),
        attempt: Some(attempt),
    }
}

pub(crate) fn shipping_failed(attempt: u32) -> ShippingFailed {
    ShippingFailed {
        order_id: order_id(),
        reason: "timeout".to_owned(),
        attempt: Some(attempt),
    }
}

pub(crate) fn confirmed(attempt: u32) -> OrderConfirmed {
    OrderConfirmed {
        order_id: order_id(),
        attempt: Some(attempt),
    }
}

pub(crate) fn cancelled(attempt: u32) -> OrderCancelled {
    OrderCancelled {
        order_id: order_id(),
        reason: "card_declined".to_owned(),
        attempt: Some(attempt),
    }
}

pub(crate) fn wish(by: &str, attempt: Option<u32>) -> CompensationRequested {
    CompensationRequested {
        order_id: order_id(),
        action: Action::ReleaseInventory,
        requested_by: Some(by.to_owned()),
        reason: Some("late".to_owned()),
        attempt,
        decided_by: None,
    }
}

pub(crate) fn ruling(attempt: u32) -> CompensationRequested {
    CompensationRequested {
        decided_by: Some(Authority::Shipping),
        ..wish("shipping", Some(attempt))
    }
}

pub(crate) fn retry(by: &str) -> RetryRequested {
    RetryRequested {
        order_id: order_id(),
        step: Step::Payment,
        requested_by: Some(by.to_owned()),
        attempt: Some(1),
    }
}

pub(crate) fn rejected() -> CommandRejected {
    CommandRejected {
        order_id: order_id(),
        command: "retry payment".to_owned(),
        reason: "in flight".to_owned(),
        requested_by: "ann".to_owned(),
    }
}

pub(crate) fn dead_letter(consumer: &str, payload: Value) -> DeadLetter {
    DeadLetter {
        original_type: "payment.PaymentAuthorized.v1".to_owned(),
        original_event_id: "unknown".to_owned(),
        order_id: Some(order_id()),
        error: "payload: no amount".to_owned(),
        payload,
        original_topic: Some("payment.PaymentAuthorized.v1".to_owned()),
        partition: Some(3),
        offset: Some(7),
        consumer: Some(consumer.to_owned()),
        attempts: Some(1),
        raw: None,
        dead_letter_id: Some("letter-1".to_owned()),
    }
}

pub(crate) fn redrive(
    action: RedriveAction,
    consumers: &[&str],
    event: Option<&Event>,
) -> RedriveRequested {
    RedriveRequested {
        order_id: order_id(),
        dead_letter_id: "letter-1".to_owned(),
        action,
        event: event.map(|event| serde_json::from_slice(&event.encode()).unwrap()),
        consumers: consumers.iter().map(|name| (*name).to_owned()).collect(),
        requested_by: "ann".to_owned(),
    }
}

/// The document of these events, merged one by one in this order.
pub(crate) fn document(events: &[Event]) -> Value {
    serde_json::from_slice(&bytes(&project(events))).unwrap()
}

pub(crate) fn project(events: &[Event]) -> Order {
    let mut order = Order::new(order_id());
    for event in events {
        order.merge([entry(event)]);
    }
    order
}

pub(crate) fn bytes(order: &Order) -> Vec<u8> {
    order.fold().document().to_vec()
}

pub(crate) fn ids(order: &Order) -> Vec<&str> {
    order
        .entries()
        .iter()
        .map(|entry| entry.id().as_str())
        .collect()
}

/// An order that comes through.
pub(crate) fn happy() -> Vec<Event> {
    vec![
        event("a", 1, None, created()),
        event("b", 2, Some("a"), reserved(1)),
        event("c", 3, Some("b"), authorized(1)),
        event("d", 4, Some("c"), shipped(1)),
        event("e", 5, Some("d"), confirmed(1)),
    ]
}

/// An order whose payment is declined.
pub(crate) fn failed() -> Vec<Event> {
    vec![
        event("a", 1, None, created()),
        event("b", 2, Some("a"), reserved(1)),
        event("c", 3, Some("b"), payment_failed(1)),
        event("d", 4, Some("b"), ruling(1)),
        event("e", 5, Some("d"), released(1)),
        event("f", 6, Some("e"), cancelled(1)),
    ]
}
