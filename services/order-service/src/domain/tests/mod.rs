//! Every decision: as a table of states and events, and as stories told in any order.

mod hostile;
mod stories;
mod table;

use std::time::Duration;

use sagaline_contracts::payload::{
    Authority, InventoryFailed, InventoryReleased, InventoryReserved, OrderItem, OrderShipped,
    PaymentFailed, PaymentRefunded, RetryRequested, ShippingFailed, Step,
};
use sagaline_contracts::{Money, Sku};

use super::*;

pub(super) const SAGA: OrderSaga = OrderSaga {
    timeout: Duration::from_secs(30),
};

pub(super) fn id() -> OrderId {
    OrderId::new("o-1").unwrap()
}

pub(super) fn pending() -> Order {
    let request = NewOrder {
        order_id: Some(id()),
        client_request_id: None,
        customer_id: Some("c-9".into()),
        currency: Some("EUR".into()),
        items: vec![OrderItem {
            sku: Sku::new("SKU-1").unwrap(),
            qty: 2,
            price: None,
        }],
        total: Money::from_cents(2_000).unwrap(),
    };
    let fingerprint = request.fingerprint();
    Order::placed(request, fingerprint, Timestamp::EPOCH, SAGA.timeout)
}

pub(super) fn cancelled_order() -> Order {
    Order {
        phase: Phase::Cancelled,
        reason: Some("out_of_stock".into()),
        deadline: None,
        ..pending()
    }
}

pub(super) fn confirmed_order() -> Order {
    Order {
        phase: Phase::Confirmed,
        deadline: None,
        ..pending()
    }
}

pub(super) fn with_facts(facts: Facts) -> Order {
    Order { facts, ..pending() }
}

pub(super) fn released_fact() -> Order {
    with_facts(Facts {
        inventory: Some(InventoryFact::Released("carrier_error".into())),
        ..Facts::default()
    })
}

pub(super) fn refunded_fact() -> Order {
    with_facts(Facts {
        payment: Some(PaymentFact::Refunded),
        ..Facts::default()
    })
}

pub(super) fn inventory_failed(attempt: Option<u32>) -> Payload {
    InventoryFailed {
        order_id: id(),
        reason: "out_of_stock".into(),
        shortages: vec![],
        attempt,
    }
    .into()
}

pub(super) fn released(reason: &str, attempt: Option<u32>) -> Payload {
    InventoryReleased {
        order_id: id(),
        released_items: vec![],
        reason: reason.into(),
        attempt,
    }
    .into()
}

pub(super) fn payment_failed(reason: &str, attempt: Option<u32>) -> Payload {
    PaymentFailed {
        order_id: id(),
        reason: reason.into(),
        attempt,
    }
    .into()
}

pub(super) fn refunded(attempt: Option<u32>) -> Payload {
    PaymentRefunded {
        order_id: id(),
        amount: Money::from_cents(2_000).unwrap(),
        refund_id: "r-1".into(),
        attempt,
    }
    .into()
}

pub(super) fn shipped(attempt: Option<u32>) -> Payload {
    OrderShipped {
        order_id: id(),
        carrier: "c".into(),
        tracking_id: "t".into(),
        attempt,
    }
    .into()
}

pub(super) fn shipping_failed(reason: &str, attempt: Option<u32>) -> Payload {
    ShippingFailed {
        order_id: id(),
        reason: reason.into(),
        attempt,
    }
    .into()
}

pub(super) fn retry(attempt: Option<u32>) -> Payload {
    RetryRequested {
        order_id: id(),
        step: Step::Payment,
        requested_by: Some("ann".into()),
        attempt,
    }
    .into()
}

pub(super) fn wish(attempt: Option<u32>, decided_by: Option<Authority>) -> Payload {
    CompensationRequested {
        order_id: id(),
        action: Action::RefundPayment,
        requested_by: Some("ann".into()),
        reason: Some("customer called".into()),
        attempt,
        decided_by,
    }
    .into()
}

pub(super) fn reserved() -> Payload {
    InventoryReserved {
        order_id: id(),
        reserved_items: vec![],
        total: None,
        attempt: Some(1),
    }
    .into()
}
