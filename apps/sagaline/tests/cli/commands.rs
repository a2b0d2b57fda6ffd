//! `retry` and `compensate`.

use serde_json::json;

use crate::fake::Fake;
use crate::orders::{cancelled, created, event, projection};
use crate::process::{SECRET, run, run_in};

const RETRY: &str = "POST /admin/retry/o-1";
const COMPENSATE: &str = "POST /admin/compensate/o-1";
const ORDER: &str = "GET /orders/o-1";
const STREAM: &str = "GET /orders/o-1/stream?from=start";

fn at(fake: &Fake) -> [&str; 4] {
    [
        "--order-service",
        fake.address(),
        "--read-model",
        fake.address(),
    ]
}

#[tokio::test]
async fn a_retry_is_asked_for_in_the_name_of_whoever_is_at_the_keyboard() {
    let fake = Fake::start().await;
    fake.on(RETRY, 202, &json!({ "ok": true, "commandId": "c-1" }));
    let line = [
        "retry",
        "o-1",
        "--step",
        "payment",
        "--idempotency-key",
        "k-1",
    ];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    assert!(ran.exits(0).starts_with("accepted as command c-1\n"));
    let asked = fake.asked_once(RETRY);
    assert_eq!(asked.body, json!({ "step": "payment" }));
    assert_eq!(asked.operator().as_deref(), Some("ann"));
    assert_eq!(asked.headers["idempotency-key"], "k-1");
}

#[tokio::test]
async fn a_token_that_is_given_is_used_as_it_is_and_a_name_stands_in_one_that_is_made() {
    let fake = Fake::start().await;
    fake.on(RETRY, 202, &json!({ "ok": true, "commandId": "c-1" }));
    let line = ["retry", "o-1", "--step", "shipping"];
    let line = [&line[..], &at(&fake)].concat();
    run_in(&[("SAGALINE_TOKEN", "a.b.c")], &line).await.exits(0);
    run(&[&line[..], &["--sub", "bob"]].concat()).await.exits(0);
    let asked = fake.asked();
    assert_eq!(asked[0].headers["authorization"], "Bearer a.b.c");
    assert_eq!(asked[1].operator().as_deref(), Some("bob"));
}

#[tokio::test]
async fn the_secret_that_a_pipeline_keeps_signs_and_without_any_a_command_says_where_one_comes_from()
 {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let fake = Fake::start().await;
    fake.on(RETRY, 202, &json!({ "ok": true, "commandId": "c-1" }));
    let line = ["retry", "o-1", "--step", "payment", "--data-dir", place];
    let line = [&line[..], &at(&fake)].concat();
    let ran = run_in(&[("USER", "eve")], &line).await;
    ran.exits(1);
    assert!(ran.stderr.contains("sagaline up"), "{}", ran.stderr);
    assert!(fake.asked().is_empty());
    std::fs::write(dir.path().join("jwt-secret"), SECRET).unwrap();
    run_in(&[("USER", "eve")], &line).await.exits(0);
    assert_eq!(fake.asked_once(RETRY).operator().as_deref(), Some("eve"));
}

#[tokio::test]
async fn waiting_for_a_retry_shows_only_what_is_new_and_exits_with_its_outcome() {
    let fake = Fake::start().await;
    fake.on(RETRY, 202, &json!({ "ok": true, "commandId": "c-1" }));
    fake.on(
        ORDER,
        200,
        &projection("CANCELLED", &[created(), cancelled()]),
    );
    let mut retried = event(
        20,
        "order.OrderRetried.v1",
        2,
        &json!({ "step": "payment", "requestedBy": "ann" }),
    );
    retried["causationId"] = json!("c-1");
    let confirmed = event(21, "order.OrderConfirmed.v1", 2, &json!({}));
    fake.on_stream(STREAM, &[created(), cancelled(), retried, confirmed]);
    let line = ["retry", "o-1", "--step", "payment", "--wait"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    let shown = ran.exits(0);
    assert!(
        !shown.contains("OrderCreated") && shown.contains("from payment by ann"),
        "{shown}"
    );
    assert!(shown.ends_with("\nCONFIRMED\n"), "{shown}");
}

#[tokio::test]
async fn a_command_that_is_rejected_later_exits_with_2() {
    let fake = Fake::start().await;
    fake.on(COMPENSATE, 202, &json!({ "ok": true, "commandId": "c-1" }));
    fake.on(ORDER, 200, &projection("PENDING", &[created()]));
    let details = json!({ "command": "releaseInventory", "reason": "the goods are out", "requestedBy": "ann" });
    let mut rejected = event(20, "ops.CommandRejected.v1", 1, &details);
    rejected["causationId"] = json!("c-1");
    fake.on_stream(STREAM, &[created(), rejected]);
    let line = [
        "compensate",
        "o-1",
        "--action",
        "releaseInventory",
        "--reason",
        "by mistake",
        "--wait",
        "--json",
    ];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(2);
    let lines = ran.json();
    assert_eq!(lines[0], json!({ "ok": true, "commandId": "c-1" }));
    assert_eq!(lines.last().unwrap()["done"], false);
    let body = json!({ "action": "releaseInventory", "reason": "by mistake" });
    assert_eq!(fake.asked_once(COMPENSATE).body, body);
}

#[tokio::test]
async fn a_command_that_is_refused_at_once_is_an_error_in_the_service_s_words() {
    let fake = Fake::start().await;
    let problem =
        json!({ "error": "order o-1 is in flight", "status": 409, "reason": "in_flight" });
    fake.on(RETRY, 409, &problem);
    let line = ["retry", "o-1", "--step", "inventory"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(1);
    assert_eq!(ran.stderr, "error: order o-1 is in flight\n");
}
