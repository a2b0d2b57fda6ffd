//! Any event that the contract allows, for tests: valid, and as odd as that permits. And bodies of requests.

mod http;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::payload::{
    Action, Authority, CommandRejected, CompensationRequested, DeadLetter, InventoryFailed,
    InventoryReleased, InventoryReserved, OrderCancelled, OrderConfirmed, OrderCreated, OrderItem,
    OrderRetried, OrderShipped, PaymentAuthorized, PaymentFailed, PaymentRefunded, QUANTITY_MAX,
    RedriveAction, RedriveRequested, ReservedItem, RetryRequested, ShippingFailed, Shortage, Step,
};
use crate::{Event, EventId, EventType, Money, OrderId, Payload, Sku, Timestamp};

pub use http::{body, content_type, said};

/// So many cases per property, or as many as `PROPTEST_CASES` says: `scripts/fuzz` has the time for more.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|asked| asked.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(usual))
}

/// A number of an attempt, at the edges as often as in the middle.
pub fn attempt() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..4_u32, 1 => (u32::MAX - 2)..=u32::MAX]
}

/// An amount.
pub fn money() -> impl Strategy<Value = Money> {
    prop_oneof![
        Just(Money::ZERO),
        Just(Money::MAX),
        select(vec![1_i64, 999, 1_000, 1_999]).prop_map(cents),
        (0..=Money::MAX.cents()).prop_map(cents),
    ]
}

fn cents(cents: i64) -> Money {
    Money::from_cents(cents).unwrap_or(Money::MAX)
}

/// A text that another program may send where the contract sets no limit.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec![
            "cancelled", "timeout", "card_declined", "out_of_stock", "carrier_error", "saga-timeout", "ann", "",
        ])
        .prop_map(str::to_owned),
        1 => select(vec!["a\nINFO admin signed in", "\u{1b}[2J", "\u{2028}\u{202e}", "\0", "\"}{", "größer"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (0..3_000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn sku() -> impl Strategy<Value = Sku> {
    "[a-c]|\\PC{1,128}".prop_filter_map("no SKU", |text| Sku::new(text).ok())
}

fn items() -> impl Strategy<Value = Vec<OrderItem>> {
    let item = (
        sku(),
        prop_oneof![1..5_u32, Just(QUANTITY_MAX)],
        option::of(money()),
    );
    vec(
        item.prop_map(|(sku, qty, price)| OrderItem { sku, qty, price }),
        1..5,
    )
}

fn reserved_items() -> impl Strategy<Value = Vec<ReservedItem>> {
    let item = (sku(), any::<u32>()).prop_map(|(sku, qty)| ReservedItem { sku, qty });
    vec(item, 0..4)
}

fn shortages() -> impl Strategy<Value = Vec<Shortage>> {
    let count = 0..=9_007_199_254_740_991_u64;
    let shortage = (sku(), count.clone(), option::of(count));
    let shortage = shortage.prop_map(|(sku, requested, available)| Shortage {
        sku,
        requested,
        available,
    });
    vec(shortage, 0..3)
}

/// JSON of any shape, not too deep to be carried.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        (-1e300..1e300).prop_map(|number: f64| json!(number)),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map("[a-c$.]{0,3}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A payload of any type about this order.
pub fn payload(order_id: &OrderId) -> impl Strategy<Value = Payload> + use<> {
    let order_id = order_id.clone();
    select(EventType::ALL).prop_flat_map(move |kind| payload_of(kind, &order_id))
}

/// A payload of this type about this order.
pub fn payload_of(kind: EventType, order_id: &OrderId) -> BoxedStrategy<Payload> {
    match kind {
        EventType::OrderCreated
        | EventType::OrderRetried
        | EventType::OrderConfirmed
        | EventType::OrderCancelled => order(kind, order_id.clone()),
        EventType::InventoryReserved
        | EventType::InventoryFailed
        | EventType::InventoryReleased => inventory(kind, order_id.clone()),
        EventType::PaymentAuthorized
        | EventType::PaymentFailed
        | EventType::PaymentRefunded
        | EventType::OrderShipped
        | EventType::ShippingFailed => payment_or_shipping(kind, order_id.clone()),
        EventType::RetryRequested
        | EventType::CompensationRequested
        | EventType::CommandRejected
        | EventType::RedriveRequested
        | EventType::DeadLetter => operations(kind, order_id.clone()),
    }
}

fn order(kind: EventType, order_id: OrderId) -> BoxedStrategy<Payload> {
    let parts = (
        items(),
        money(),
        option::of(text()),
        option::of(attempt()),
        text(),
    );
    parts
        .prop_map(move |(items, total, note, attempt, reason)| {
            let order_id = order_id.clone();
            match kind {
                EventType::OrderCreated => OrderCreated {
                    order_id,
                    items,
                    total,
                    currency: note.clone(),
                    customer_id: note,
                }
                .into(),
                EventType::OrderRetried => OrderRetried {
                    order_id,
                    attempt: attempt.unwrap_or(2).max(1),
                    step: Step::Payment,
                    items,
                    total,
                    requested_by: reason,
                }
                .into(),
                EventType::OrderConfirmed => OrderConfirmed { order_id, attempt }.into(),
                _ => OrderCancelled {
                    order_id,
                    reason,
                    attempt,
                }
                .into(),
            }
        })
        .boxed()
}

fn inventory(kind: EventType, order_id: OrderId) -> BoxedStrategy<Payload> {
    let parts = (
        reserved_items(),
        option::of(money()),
        option::of(attempt()),
        text(),
        shortages(),
    );
    parts
        .prop_map(move |(items, total, attempt, reason, shortages)| {
            let order_id = order_id.clone();
            match kind {
                EventType::InventoryReserved => InventoryReserved {
                    order_id,
                    reserved_items: items,
                    total,
                    attempt,
                }
                .into(),
                EventType::InventoryFailed => InventoryFailed {
                    order_id,
                    reason,
                    shortages,
                    attempt,
                }
                .into(),
                _ => InventoryReleased {
                    order_id,
                    released_items: items,
                    reason,
                    attempt,
                }
                .into(),
            }
        })
        .boxed()
}

fn payment_or_shipping(kind: EventType, order_id: OrderId) -> BoxedStrategy<Payload> {
    let parts = (money(), text(), option::of(attempt()));
    parts
        .prop_map(move |(amount, name, attempt)| {
            let order_id = order_id.clone();
            match kind {
                EventType::PaymentAuthorized => PaymentAuthorized {
                    order_id,
                    amount,
                    auth_id: name,
                    attempt,
                }
                .into(),
                EventType::PaymentFailed => PaymentFailed {
                    order_id,
                    reason: name,
                    attempt,
                }
                .into(),
                EventType::PaymentRefunded => PaymentRefunded {
                    order_id,
                    amount,
                    refund_id: name,
                    attempt,
                }
                .into(),
                EventType::OrderShipped => OrderShipped {
                    order_id,
                    carrier: name.clone(),
                    tracking_id: name,
                    attempt,
                }
                .into(),
                _ => ShippingFailed {
                    order_id,
                    reason: name,
                    attempt,
                }
                .into(),
            }
        })
        .boxed()
}

fn operations(kind: EventType, order_id: OrderId) -> BoxedStrategy<Payload> {
    let choices = (
        select(vec![Step::Inventory, Step::Payment, Step::Shipping]),
        select(vec![Action::ReleaseInventory, Action::RefundPayment]),
        option::of(select(vec![Authority::Payment, Authority::Shipping])),
        select(vec![RedriveAction::Redrive, RedriveAction::Discard]),
    );
    let parts = (
        choices,
        option::of(attempt()),
        text(),
        option::of(text()),
        json(),
    );
    parts
        .prop_map(move |(choices, attempt, by, note, value)| {
            let (step, action, decided_by, redrive) = choices;
            let order_id = order_id.clone();
            match kind {
                EventType::RetryRequested => RetryRequested {
                    order_id,
                    step,
                    requested_by: note,
                    attempt,
                }
                .into(),
                EventType::CompensationRequested => CompensationRequested {
                    order_id,
                    action,
                    requested_by: note.clone(),
                    reason: note,
                    attempt,
                    decided_by,
                }
                .into(),
                EventType::CommandRejected => CommandRejected {
                    order_id,
                    command: by.clone(),
                    reason: by.clone(),
                    requested_by: by,
                }
                .into(),
                EventType::RedriveRequested => RedriveRequested {
                    order_id,
                    dead_letter_id: by.clone(),
                    action: redrive,
                    event: Some(value).filter(|value| !value.is_null()),
                    consumers: note.into_iter().collect(),
                    requested_by: by,
                }
                .into(),
                _ => dead_letter(order_id, by, note, value, attempt).into(),
            }
        })
        .boxed()
}

fn dead_letter(
    order_id: OrderId,
    error: String,
    note: Option<String>,
    payload: Value,
    attempts: Option<u32>,
) -> DeadLetter {
    DeadLetter {
        original_type: error.clone(),
        original_event_id: error.clone(),
        order_id: Some(order_id),
        error,
        payload,
        original_topic: note.clone(),
        partition: attempts.map(|_| 0),
        offset: attempts.map(i64::from),
        consumer: note.clone(),
        attempts,
        raw: note.clone(),
        dead_letter_id: note,
    }
}

/// An event of any type about this order.
pub fn event(order_id: &OrderId) -> impl Strategy<Value = Event> + use<> {
    around(payload(order_id))
}

/// An event of one of these types about this order.
pub fn event_of(
    kinds: &'static [EventType],
    order_id: &OrderId,
) -> impl Strategy<Value = Event> + use<> {
    let order_id = order_id.clone();
    around(select(kinds).prop_flat_map(move |kind| payload_of(kind, &order_id)))
}

fn around(payload: impl Strategy<Value = Payload>) -> impl Strategy<Value = Event> {
    let id = "\\PC{1,64}".prop_filter_map("no event id", |text| EventId::new(text).ok());
    let micros = prop_oneof![4 => 0..1_000_000_000_i64, 1 => any::<i64>()];
    let headers = btree_map("[a-z]{0,3}", json(), 0..2);
    let parts = (payload, id.clone(), micros, option::of(id), text(), headers);
    parts.prop_map(
        |(payload, id, micros, causation_id, correlation_id, headers)| Event {
            id,
            timestamp: Timestamp::from_micros(micros),
            correlation_id,
            causation_id,
            order_id: payload.order_id().cloned(),
            payload,
            headers,
        },
    )
}
