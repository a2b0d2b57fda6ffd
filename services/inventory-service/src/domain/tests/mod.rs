//! Given, when, then: an order in a state meets an event.

mod arrivals;
mod hostile;
mod table;
mod transitions;
mod verdicts;

use sagaline_contracts::payload::{
    Action, Authority, CompensationRequested, OrderCreated, OrderItem, OrderRetried, OrderShipped,
    PaymentAuthorized, Step,
};
use sagaline_contracts::{EventId, Money, OrderId, Sku, Timestamp};

use super::*;

const SERVICE: Inventory = Inventory;

fn order_id() -> OrderId {
    OrderId::new("o-1").unwrap()
}

fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

fn event(payload: impl Into<Payload>) -> Event {
    let payload = payload.into();
    Event {
        id: EventId::new("e-1").unwrap(),
        timestamp: Timestamp::EPOCH,
        correlation_id: "o-1".to_owned(),
        causation_id: None,
        order_id: payload.order_id().cloned(),
        payload,
        headers: std::collections::BTreeMap::new(),
    }
}

fn line(sku_text: &str, qty: u32) -> OrderItem {
    OrderItem {
        sku: sku(sku_text),
        qty,
        price: None,
    }
}

fn total() -> Money {
    Money::from_cents(3_000).unwrap()
}

fn created() -> Event {
    event(OrderCreated {
        order_id: order_id(),
        items: vec![line("A", 1), line("B", 1), line("A", 2)],
        total: total(),
        currency: None,
        customer_id: None,
    })
}

fn retried(attempt: u32) -> Event {
    event(OrderRetried {
        order_id: order_id(),
        attempt,
        step: Step::Inventory,
        items: vec![line("A", 3), line("B", 1)],
        total: total(),
        requested_by: "ana".to_owned(),
    })
}

fn request(action: Action, decided_by: Option<Authority>, attempt: Option<u32>) -> Event {
    event(CompensationRequested {
        order_id: order_id(),
        action,
        requested_by: Some("ana".to_owned()),
        reason: Some("card_declined".to_owned()),
        attempt,
        decided_by,
    })
}

fn ruling_of(attempt: Option<u32>) -> Event {
    request(Action::ReleaseInventory, Some(Authority::Payment), attempt)
}

fn shipped_event(attempt: Option<u32>) -> Event {
    event(OrderShipped {
        order_id: order_id(),
        carrier: "c".to_owned(),
        tracking_id: "t".to_owned(),
        attempt,
    })
}

fn authorized() -> Event {
    event(PaymentAuthorized {
        order_id: order_id(),
        amount: total(),
        auth_id: "auth".to_owned(),
        attempt: Some(1),
    })
}

fn items(ended_at: Option<u64>) -> Vec<HeldItem> {
    let item = |text: &str, qty, taken_at| HeldItem {
        sku: sku(text),
        qty,
        taken_at,
        ended_at,
    };
    vec![item("A", 3, 7), item("B", 1, 4)]
}

fn reservation(attempt: u32, ended_at: Option<u64>) -> Reservation {
    Reservation {
        attempt,
        taken_in: 1,
        items: items(ended_at),
    }
}

fn state(attempt: u32, barred: u32, hold: Hold) -> InventoryState {
    InventoryState {
        attempt,
        barred,
        hold,
        earlier: Vec::new(),
    }
}

fn states() -> Vec<(&'static str, InventoryState)> {
    let failed = |attempt| Hold::Failed { attempt };
    vec![
        ("fresh", InventoryState::default()),
        ("barred 1", state(0, 1, Hold::None)),
        (
            "reserved",
            state(1, 0, Hold::Reserved(reservation(1, None))),
        ),
        (
            "re-affirmed",
            state(2, 0, Hold::Reserved(reservation(2, None))),
        ),
        ("failed", state(1, 0, failed(1))),
        ("failed, barred 2", state(1, 2, failed(1))),
        (
            "released",
            state(1, 1, Hold::Released(reservation(1, Some(9)))),
        ),
        (
            "released ahead",
            state(1, 2, Hold::Released(reservation(2, Some(9)))),
        ),
        (
            "shipped",
            state(1, 0, Hold::Shipped(reservation(1, Some(9)))),
        ),
        (
            "shipped in 2",
            state(2, 0, Hold::Shipped(reservation(2, Some(9)))),
        ),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("created", created()),
        ("retried 2", retried(2)),
        ("retried 3", retried(3)),
        ("ruling 1", ruling_of(Some(1))),
        ("ruling 2", ruling_of(Some(2))),
        ("ruling", ruling_of(None)),
        ("shipped 1", shipped_event(Some(1))),
        ("shipped 2", shipped_event(Some(2))),
        ("shipped", shipped_event(None)),
        ("wish", request(Action::ReleaseInventory, None, Some(1))),
        (
            "refund",
            request(Action::RefundPayment, Some(Authority::Shipping), Some(1)),
        ),
        ("authorized", authorized()),
    ]
}
