//! `order` and `orders`.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::process::{follow, run};

const PRODUCT: &str = "GET /products/SKU-1";
const PLACE: &str = "POST /orders";
const ORDER: &str = "GET /orders/o-1";
const STREAM: &str = "GET /orders/o-1/stream?from=start";

/// An event as an order's stream tells it.
pub(crate) fn event(number: u32, name: &str, attempt: u32, details: &Value) -> Value {
    json!({
        "type": name, "at": format!("2026-01-31T12:00:00.{number:03}Z"), "status": "CREATED",
        "eventId": format!("e-{number}"), "causationId": format!("e-{}", number - 1), "attempt": attempt,
        "details": details,
    })
}

pub(crate) fn created() -> Value {
    let details = json!({ "orderId": "o-1", "items": [{ "sku": "SKU-1", "qty": 2, "price": 10 }], "total": 20 });
    event(1, "order.OrderCreated.v1", 1, &details)
}

pub(crate) fn cancelled() -> Value {
    let details = json!({ "orderId": "o-1", "reason": "card_declined" });
    event(9, "order.OrderCancelled.v1", 1, &details)
}

pub(crate) fn projection(outcome: &str, timeline: &[Value]) -> Value {
    json!({
        "_id": "o-1", "orderId": "o-1", "currentStatus": "CREATED", "outcome": outcome, "attempt": 1, "total": 20,
        "reason": "card_declined", "items": [{ "sku": "SKU-1", "qty": 2 }], "createdAt": "2026-01-31T12:00:00.001Z",
        "updatedAt": "2026-01-31T12:00:00.009Z", "endedAt": "2026-01-31T12:00:00.009Z", "timeline": timeline,
    })
}

async fn shop() -> Fake {
    let fake = Fake::start().await;
    fake.on(
        PRODUCT,
        200,
        &json!({ "sku": "SKU-1", "name": "One", "price": 10 }),
    );
    fake.on(PLACE, 201, &json!({ "orderId": "o-1" }));
    fake
}

fn at(fake: &Fake) -> [&str; 6] {
    let address = fake.address();
    [
        "--order-service",
        address,
        "--read-model",
        address,
        "--inventory",
        address,
    ]
}

#[tokio::test]
async fn an_order_is_placed_at_the_catalogue_s_price() {
    let fake = shop().await;
    let line = [
        "order",
        "--sku",
        "SKU-1",
        "--qty",
        "2",
        "--items",
        "SKU-9:1:0.50",
        "--customer-id",
        "c-1",
    ];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    let shown = ran.exits(0);
    assert!(
        shown.starts_with("order o-1 is placed, total 20.50\n"),
        "{shown}"
    );
    let items = json!([{ "sku": "SKU-1", "qty": 2, "price": 10 }, { "sku": "SKU-9", "qty": 1, "price": 0.5 }]);
    let body = json!({ "customerId": "c-1", "items": items, "total": 20.5 });
    assert_eq!(fake.asked_once(PLACE).body, body);
}

#[tokio::test]
async fn the_same_request_again_says_so() {
    let fake = Fake::start().await;
    fake.on(PLACE, 200, &json!({ "orderId": "o-1" }));
    let line = [
        "order",
        "--items",
        "SKU-1:1:10",
        "--client-request-id",
        "r-1",
        "--json",
    ];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(0);
    assert_eq!(
        ran.json(),
        [json!({ "orderId": "o-1", "created": false, "total": 10 })]
    );
    assert_eq!(fake.asked_once(PLACE).body["clientRequestId"], "r-1");
}

#[tokio::test]
async fn goods_that_are_not_in_the_catalogue_are_not_ordered_by_mistake() {
    let fake = shop().await;
    let ran = run(&[&["order", "--sku", "SKU-404"][..], &at(&fake)].concat()).await;
    ran.exits(1);
    assert!(
        ran.stderr.contains("SKU-404 is not in the catalogue"),
        "{}",
        ran.stderr
    );
    assert!(fake.asked().iter().all(|asked| asked.method == "GET"));
}

#[tokio::test]
async fn waiting_shows_each_event_and_exits_with_the_outcome() {
    let confirmed = event(
        8,
        "order.OrderConfirmed.v1",
        1,
        &json!({ "orderId": "o-1" }),
    );
    for (last, outcome, code) in [(confirmed, "CONFIRMED", 0), (cancelled(), "CANCELLED", 2)] {
        let fake = shop().await;
        fake.on_stream(STREAM, &[created(), last]);
        fake.on(ORDER, 200, &projection(outcome, &[]));
        let ran = run(&[&["order", "--sku", "SKU-1", "--wait"][..], &at(&fake)].concat()).await;
        let shown = ran.exits(code);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert!(
            lines[1].ends_with("OrderCreated           2 × SKU-1, 20.00"),
            "{shown}"
        );
        assert_eq!(lines[3], format!("{outcome} after 8.0ms: card_declined"));
    }
}

#[tokio::test]
async fn waiting_goes_on_when_a_later_attempt_is_under_way() {
    let fake = shop().await;
    let confirmed = event(
        20,
        "order.OrderConfirmed.v1",
        2,
        &json!({ "orderId": "o-1" }),
    );
    fake.on_stream(STREAM, &[created(), cancelled(), confirmed]);
    fake.on(ORDER, 200, &projection("PENDING", &[]));
    fake.on(ORDER, 200, &projection("CONFIRMED", &[]));
    let line = ["order", "--sku", "SKU-1", "--wait", "--json"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(0);
    let lines = ran.json();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert_eq!(lines[4]["outcome"], "CONFIRMED");
}

#[tokio::test]
async fn a_stream_that_is_cut_is_resumed_where_it_was() {
    let fake = shop().await;
    fake.on_cut_stream(STREAM, &[created()]);
    fake.on_stream(STREAM, &[cancelled()]);
    fake.on(ORDER, 200, &projection("CANCELLED", &[]));
    let line = ["order", "--sku", "SKU-1", "--wait", "--json"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(2);
    let types: Vec<Value> = ran.json().iter().map(|line| line["type"].clone()).collect();
    assert_eq!(
        types[1..3],
        ["order.OrderCreated.v1", "order.OrderCancelled.v1"]
    );
    let streams: Vec<_> = fake
        .asked()
        .into_iter()
        .filter(|asked| asked.target.contains("stream"))
        .collect();
    let resumed: Vec<_> = streams
        .iter()
        .map(|asked| asked.headers.get("last-event-id").cloned())
        .collect();
    assert_eq!(resumed, [None, Some("after-e-1".parse().unwrap())]);
    assert!(ran.stderr.contains("connecting again"), "{}", ran.stderr);
}

#[tokio::test]
async fn waiting_ends_when_it_takes_too_long() {
    let fake = shop().await;
    fake.on_stream(STREAM, &[created()]);
    let line = ["order", "--sku", "SKU-1", "--wait", "--timeout", "1s"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(1);
    assert!(
        ran.stderr.contains("sagaline orders o-1 --follow"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let fake = Fake::start().await;
    let page = |ids: std::ops::Range<u32>| {
        let orders = ids.map(|n| json!({ "orderId": format!("o-{n}"), "outcome": "PENDING", "createdAt": "2026-01-31T12:00:00Z" }));
        Value::Array(orders.collect())
    };
    let next = [(
        "link",
        "</orders?outcome=PENDING&limit=100&cursor=x%3D>; rel=\"next\"",
    )];
    fake.on_with(
        "GET /orders?outcome=PENDING&limit=100",
        200,
        &next,
        &page(0..100).to_string(),
    );
    fake.on(
        "GET /orders?outcome=PENDING&limit=20&cursor=x%3D",
        200,
        &page(100..120),
    );
    let line = ["orders", "--outcome", "pending", "--limit", "120"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    let shown = ran.exits(0);
    assert_eq!(shown.lines().count(), 121, "{shown}");
    assert!(
        shown.lines().next_back().unwrap().starts_with("o-119 "),
        "{shown}"
    );
    let ran = run(&[&line[..], &at(&fake), &["--json"][..]].concat()).await;
    assert_eq!(ran.json()[0].as_array().unwrap().len(), 120);
}

#[tokio::test]
async fn one_order_is_shown_with_its_timeline_and_as_it_came() {
    let fake = Fake::start().await;
    let document = projection("CANCELLED", &[created(), cancelled()]);
    fake.on(ORDER, 200, &document);
    let ran = run(&[&["orders", "o-1"][..], &at(&fake)].concat()).await;
    let shown = ran.exits(0);
    assert!(shown.starts_with("o-1  CANCELLED  CREATED\n"), "{shown}");
    assert!(shown.contains("+8.0ms"), "{shown}");
    assert!(
        !shown.contains('\u{1b}'),
        "no colours where nobody sees them: {shown}"
    );
    let ran = run(&[&["orders", "o-1", "--json"][..], &at(&fake)].concat()).await;
    assert_eq!(ran.json(), [document]);
}

#[tokio::test]
async fn following_one_order_shows_its_events_until_nobody_reads() {
    let fake = Fake::start().await;
    let many: Vec<Value> = (1..500)
        .map(|n| event(n, "order.OrderConfirmed.v1", 1, &json!({})))
        .collect();
    fake.on_cut_stream(STREAM, &many);
    let mut following = follow(&[&["orders", "o-1", "--follow"][..], &at(&fake)].concat());
    assert!(following.line().await.ends_with("OrderConfirmed"));
    assert_eq!(following.close_output().await, Some(0));
}

#[tokio::test]
async fn following_all_orders_shows_the_changes_that_are_wanted() {
    let fake = Fake::start().await;
    let state = |id: &str, outcome: &str| {
        json!({
            "orderId": id, "currentStatus": "SHIPPED", "outcome": outcome, "attempt": 1,
            "createdAt": "2026-01-31T12:00:00Z", "updatedAt": "2026-01-31T12:00:00.020Z",
        })
    };
    fake.on_stream(
        "GET /orders/stream",
        &[state("o-1", "PENDING"), state("o-2", "CONFIRMED")],
    );
    let line = ["orders", "--follow", "--outcome", "CONFIRMED"];
    let mut following = follow(&[&line[..], &at(&fake)].concat());
    let shown = following.line().await;
    assert!(shown.contains("o-2") && shown.contains("+20ms"), "{shown}");
}
