//! The endpoints from the outside: requests, answers, and what is published.

mod admin;
mod checkout;
mod hostile;
mod hostile_commands;
mod place;
mod show;

use sagaline_contracts::OrderId;
use sagaline_contracts::payload::{InventoryFailed, OrderShipped};
use serde_json::{Value, json};

pub(super) fn order() -> Value {
    json!({ "items": [{ "sku": "SKU-1", "qty": 2, "price": 10 }], "total": 20 })
}

pub(super) fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        parent => parent[field] = value,
    }
    body
}

pub(super) fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(field);
    body
}

pub(super) fn cart() -> Value {
    json!({ "userId": "u-1", "items": [{ "productId": "SKU-1", "quantity": 2, "price": 9.99 }] })
}

pub(super) fn shipped(order_id: &str) -> OrderShipped {
    OrderShipped {
        order_id: OrderId::new(order_id).unwrap(),
        carrier: "c".into(),
        tracking_id: "t".into(),
        attempt: Some(1),
    }
}

pub(super) fn failed(order_id: &str, reason: &str) -> InventoryFailed {
    InventoryFailed {
        order_id: OrderId::new(order_id).unwrap(),
        reason: reason.into(),
        shortages: vec![],
        attempt: Some(1),
    }
}
