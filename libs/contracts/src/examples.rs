//! A realistic event of each type, for documentation, for tests and for those who write other programs.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::json;

use crate::payload::{
    Action, Authority, CommandRejected, CompensationRequested, DeadLetter, InventoryFailed,
    InventoryReleased, InventoryReserved, OrderCancelled, OrderConfirmed, OrderCreated, OrderItem,
    OrderRetried, OrderShipped, PaymentAuthorized, PaymentFailed, PaymentRefunded, RedriveAction,
    RedriveRequested, ReservedItem, RetryRequested, ShippingFailed, Shortage, Step,
};
use crate::{Event, EventType, Money, OrderId, Payload};

const ORDER: &str = "ord-01JZ8Q6X3D";
const DEAD_LETTER: &str = "9b1d6c0e-5f6a-5c3e-8a57-0d5b7c2f4e11";

/// An event of `kind` with everything that it may say.
pub fn full(kind: EventType) -> Event {
    let mut event = envelope(full_payload(kind));
    event.causation_id = Some(valid("0b2f7a52-91c4-5d0e-9a63-2f0e8f3f6a10"));
    event.headers = BTreeMap::from([(
        "traceparent".to_owned(),
        json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    )]);
    event
}

/// An event of `kind` with nothing but what it must say: another program's, for instance.
pub fn minimal(kind: EventType) -> Event {
    envelope(minimal_payload(kind))
}

fn envelope(payload: Payload) -> Event {
    Event {
        id: valid("3d6f0a1c-7f0b-5b57-b1b5-0f5e9a3f8c42"),
        timestamp: valid("2026-01-31T12:00:00.123456Z"),
        correlation_id: ORDER.to_owned(),
        causation_id: None,
        order_id: payload.order_id().cloned(),
        payload,
        headers: BTreeMap::new(),
    }
}

// What stands here is valid, as the tests over every example show.
fn valid<T: FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| unreachable!("{text} in an example"))
}

fn order() -> OrderId {
    valid(ORDER)
}

fn amount(cents: i64) -> Money {
    Money::from_cents(cents).unwrap_or_default()
}

fn item(sku: &str, qty: u32, price: Option<i64>) -> OrderItem {
    OrderItem {
        sku: valid(sku),
        qty,
        price: price.map(amount),
    }
}

fn reserved(sku: &str, qty: u32) -> ReservedItem {
    ReservedItem {
        sku: valid(sku),
        qty,
    }
}

fn full_payload(kind: EventType) -> Payload {
    match kind {
        EventType::OrderCreated
        | EventType::OrderRetried
        | EventType::OrderConfirmed
        | EventType::OrderCancelled => full_order(kind),
        EventType::InventoryReserved
        | EventType::InventoryFailed
        | EventType::InventoryReleased => full_inventory(kind),
        EventType::PaymentAuthorized => PaymentAuthorized {
            order_id: order(),
            amount: amount(5_949),
            auth_id: "auth_8Zk2mPq1".to_owned(),
            attempt: Some(1),
        }
        .into(),
        EventType::PaymentFailed => PaymentFailed {
            order_id: order(),
            reason: "card_declined".to_owned(),
            attempt: Some(1),
        }
        .into(),
        EventType::PaymentRefunded => PaymentRefunded {
            order_id: order(),
            amount: amount(5_949),
            refund_id: "refund_4Hc9xTt7".to_owned(),
            attempt: Some(1),
        }
        .into(),
        EventType::OrderShipped => OrderShipped {
            order_id: order(),
            carrier: "sim-express".to_owned(),
            tracking_id: "SX-2048-7731".to_owned(),
            attempt: Some(1),
        }
        .into(),
        EventType::ShippingFailed => ShippingFailed {
            order_id: order(),
            reason: "carrier_error".to_owned(),
            attempt: Some(1),
        }
        .into(),
        EventType::RetryRequested
        | EventType::CompensationRequested
        | EventType::CommandRejected
        | EventType::RedriveRequested
        | EventType::DeadLetter => full_ops(kind),
    }
}

fn full_order(kind: EventType) -> Payload {
    let items = vec![
        item("SKU-7", 2, Some(2_000)),
        item("SKU-42", 1, Some(1_949)),
    ];
    match kind {
        EventType::OrderRetried => OrderRetried {
            order_id: order(),
            attempt: 2,
            step: Step::Payment,
            items,
            total: amount(5_949),
            requested_by: "ada".to_owned(),
        }
        .into(),
        EventType::OrderConfirmed => OrderConfirmed {
            order_id: order(),
            attempt: Some(1),
        }
        .into(),
        EventType::OrderCancelled => OrderCancelled {
            order_id: order(),
            reason: "card_declined".to_owned(),
            attempt: Some(1),
        }
        .into(),
        _ => OrderCreated {
            order_id: order(),
            items,
            total: amount(5_949),
            currency: Some("EUR".to_owned()),
            customer_id: Some("cust-8812".to_owned()),
        }
        .into(),
    }
}

fn full_inventory(kind: EventType) -> Payload {
    let items = vec![reserved("SKU-42", 1), reserved("SKU-7", 2)];
    match kind {
        EventType::InventoryFailed => InventoryFailed {
            order_id: order(),
            reason: "out_of_stock".to_owned(),
            shortages: vec![Shortage {
                sku: valid("LIMITED-1"),
                requested: 6,
                available: Some(5),
            }],
            attempt: Some(1),
        }
        .into(),
        EventType::InventoryReleased => InventoryReleased {
            order_id: order(),
            released_items: items,
            reason: "card_declined".to_owned(),
            attempt: Some(1),
        }
        .into(),
        _ => InventoryReserved {
            order_id: order(),
            reserved_items: items,
            total: Some(amount(5_949)),
            attempt: Some(1),
        }
        .into(),
    }
}

fn full_ops(kind: EventType) -> Payload {
    match kind {
        EventType::RetryRequested => RetryRequested {
            order_id: order(),
            step: Step::Payment,
            requested_by: Some("ada".to_owned()),
            attempt: Some(1),
        }
        .into(),
        EventType::CompensationRequested => CompensationRequested {
            order_id: order(),
            action: Action::RefundPayment,
            requested_by: Some("ada".to_owned()),
            reason: Some("cancelled".to_owned()),
            attempt: Some(1),
            decided_by: Some(Authority::Shipping),
        }
        .into(),
        EventType::CommandRejected => CommandRejected {
            order_id: order(),
            command: "retry payment".to_owned(),
            reason: "the order is confirmed; there is nothing to retry".to_owned(),
            requested_by: "ada".to_owned(),
        }
        .into(),
        EventType::RedriveRequested => RedriveRequested {
            order_id: order(),
            dead_letter_id: DEAD_LETTER.to_owned(),
            action: RedriveAction::Redrive,
            event: envelope_json(),
            consumers: vec!["payment-service".to_owned()],
            requested_by: "ada".to_owned(),
        }
        .into(),
        _ => DeadLetter {
            original_type: EventType::InventoryReserved.as_str().to_owned(),
            original_event_id: "5a0c4d54-2a37-5f21-8b6a-0c9d1f7e2b33".to_owned(),
            order_id: Some(order()),
            error: "payload.total: -1 is less than the minimum of 0".to_owned(),
            payload: json!({ "orderId": ORDER, "reservedItems": [], "total": -1 }),
            original_topic: Some(EventType::InventoryReserved.as_str().to_owned()),
            partition: Some(3),
            offset: Some(180_042),
            consumer: Some("payment-service".to_owned()),
            attempts: Some(1),
            raw: Some("e30=".to_owned()),
            dead_letter_id: Some(DEAD_LETTER.to_owned()),
        }
        .into(),
    }
}

fn envelope_json() -> Option<serde_json::Value> {
    let event = minimal(EventType::InventoryReserved);
    serde_json::from_slice(&event.encode()).ok()
}

fn minimal_payload(kind: EventType) -> Payload {
    let mut payload = full_payload(kind);
    match &mut payload {
        Payload::OrderCreated(p) => {
            p.items = vec![item("SKU-7", 1, None)];
            (p.currency, p.customer_id) = (None, None);
        }
        Payload::OrderRetried(p) => p.items = vec![item("SKU-7", 1, None)],
        Payload::OrderConfirmed(p) => p.attempt = None,
        Payload::OrderCancelled(p) => p.attempt = None,
        Payload::InventoryReserved(p) => (p.total, p.attempt) = (None, None),
        Payload::InventoryFailed(p) => {
            p.shortages.clear();
            p.attempt = None;
        }
        Payload::InventoryReleased(p) => {
            p.released_items.clear();
            p.attempt = None;
        }
        Payload::PaymentAuthorized(p) => p.attempt = None,
        Payload::PaymentFailed(p) => p.attempt = None,
        Payload::PaymentRefunded(p) => p.attempt = None,
        Payload::OrderShipped(p) => p.attempt = None,
        Payload::ShippingFailed(p) => p.attempt = None,
        Payload::RetryRequested(p) => (p.requested_by, p.attempt) = (None, None),
        Payload::CompensationRequested(p) => {
            (p.requested_by, p.reason) = (None, None);
            (p.attempt, p.decided_by) = (None, None);
        }
        Payload::CommandRejected(_) => {}
        Payload::RedriveRequested(p) => {
            p.event = None;
            p.consumers.clear();
        }
        Payload::DeadLetter(p) => {
            *p = DeadLetter {
                original_type: p.original_type.clone(),
                original_event_id: "unknown".to_owned(),
                order_id: None,
                error: "the value is not JSON: expected value at line 1 column 1".to_owned(),
                payload: json!(null),
                original_topic: None,
                partition: None,
                offset: None,
                consumer: None,
                attempts: None,
                raw: None,
                dead_letter_id: None,
            }
        }
    }
    payload
}
