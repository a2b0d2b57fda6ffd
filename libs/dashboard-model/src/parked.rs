//! What waits behind a message that a service could not handle.

use sagaline_views::{Entry, Moment};

/// The events of an order that this service consumes and that came after the message which it could not handle: they wait there,
/// as far as the timeline knows. The read model parks nothing. `docs/saga.md` says who consumes what.
pub fn waiting_behind<'e>(consumer: &str, died_at: Moment, events: &'e [Entry]) -> Vec<&'e Entry> {
    let takes = taken_by(consumer);
    events
        .iter()
        .filter(|entry| died_at < entry.at)
        .filter(|entry| takes.iter().any(|name| is(entry, name)))
        .collect()
}

fn is(entry: &Entry, name: &str) -> bool {
    entry.r#type.split('.').nth(1) == Some(name)
}

fn taken_by(consumer: &str) -> &'static [&'static str] {
    match consumer {
        "order-service" => &[
            "InventoryFailed",
            "InventoryReleased",
            "PaymentFailed",
            "PaymentRefunded",
            "OrderShipped",
            "ShippingFailed",
            "RetryRequested",
            "CompensationRequested",
        ],
        "inventory-service" => &[
            "OrderCreated",
            "OrderRetried",
            "OrderShipped",
            "CompensationRequested",
        ],
        "payment-service" => &["InventoryReserved", "CompensationRequested"],
        "shipping-service" => &[
            "PaymentAuthorized",
            "OrderCancelled",
            "CompensationRequested",
        ],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(kind: &str, at: i64) -> Entry {
        Entry {
            r#type: kind.to_owned(),
            at: Moment(at),
            event_id: format!("{kind}-{at}"),
            causation_id: None,
            attempt: Some(1),
            status: None,
            details: Value::Null,
        }
    }

    #[test]
    fn what_the_service_consumes_and_came_later_waits() {
        let events = [
            event("inventory.InventoryReserved.v1", 1),
            event("ops.DeadLetter.v1", 2),
            event("ops.CompensationRequested.v1", 3),
            event("shipping.OrderShipped.v1", 4),
        ];
        let behind = |consumer| {
            waiting_behind(consumer, Moment(2), &events)
                .iter()
                .map(|entry| entry.at.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(behind("payment-service"), [3]);
        assert_eq!(behind("order-service"), [3, 4]);
        assert_eq!(behind("read-model-service"), [0_i64; 0]);
    }
}
