//! `dlq`.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::process::{run, run_reading};

fn letter() -> Value {
    json!({
        "_id": "l-1", "deadLetterId": "l-1", "state": "waiting", "orderId": "o-1", "topic": "payment.PaymentFailed.v1",
        "partition": 1, "offset": 7, "originalType": "payment.PaymentFailed.v1", "originalEventId": "e-1",
        "error": "no", "payload": { "orderId": "o-1" }, "at": "2026-01-31T12:00:00Z",
        "lastDiedAt": "2026-01-31T12:00:00Z", "updatedAt": "2026-01-31T12:00:00Z",
        "consumers": [{ "consumer": "order-service", "error": "no", "attempts": 1, "at": "2026-01-31T12:00:00Z", "state": "waiting" }],
        "deaths": [], "decisions": [],
    })
}

const REDRIVE: &str = "POST /admin/dead-letters/l-1/redrive";

async fn told() -> Fake {
    let fake = Fake::start().await;
    fake.on("GET /dead-letters/l-1", 200, &letter());
    fake.on(REDRIVE, 202, &json!({ "ok": true, "commandId": "c-1" }));
    fake
}

fn at(fake: &Fake) -> [&str; 2] {
    ["--read-model", fake.address()]
}

#[tokio::test]
async fn those_that_wait_are_listed_unless_others_are_wanted() {
    let fake = Fake::start().await;
    fake.on(
        "GET /dead-letters?state=waiting&limit=50",
        200,
        &json!([letter()]),
    );
    let ran = run(&[&["dlq", "ls"][..], &at(&fake)].concat()).await;
    assert!(
        ran.exits(0)
            .contains("l-1          waiting  payment.PaymentFailed.v1  o-1"),
        "{ran:?}"
    );
    fake.on(
        "GET /dead-letters?topic=t&consumer=payment-service&limit=5",
        200,
        &json!([]),
    );
    let line = [
        "dlq",
        "ls",
        "--state",
        "all",
        "--topic",
        "t",
        "--consumer",
        "payment-service",
        "--limit",
        "5",
    ];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    assert_eq!(ran.exits(0), "no dead letters\n");
}

#[tokio::test]
async fn one_is_shown_for_people_and_as_it_came() {
    let fake = told().await;
    let ran = run(&[&["dlq", "show", "l-1"][..], &at(&fake)].concat()).await;
    assert!(
        ran.exits(0).contains("payment.PaymentFailed.v1 [1] at 7"),
        "{ran:?}"
    );
    let ran = run(&[&["dlq", "show", "l-1", "--json"][..], &at(&fake)].concat()).await;
    assert_eq!(ran.json(), [letter()]);
}

#[tokio::test]
async fn a_redrive_takes_a_corrected_payload_from_wherever_it_is() {
    let corrected = json!({ "orderId": "o-1", "reason": "declined" });
    let text = corrected.to_string();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("payload.json");
    std::fs::write(&path, &text).unwrap();
    let file = format!("@{}", path.display());
    for given in [text.as_str(), &file, "-"] {
        let fake = told().await;
        let line = ["dlq", "redrive", "l-1", "--payload", given];
        let ran = run_reading(&[&line[..], &at(&fake)].concat(), &text).await;
        assert_eq!(ran.exits(0), "accepted as command c-1\n");
        let asked = fake.asked_once(REDRIVE);
        assert_eq!(asked.body, json!({ "payload": corrected }));
        assert_eq!(asked.operator().as_deref(), Some("ann"));
    }
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_not_sent() {
    let fake = told().await;
    let line = ["dlq", "redrive", "l-1", "--payload", "{oops"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(1);
    assert!(
        ran.stderr.contains("--payload is not JSON"),
        "{}",
        ran.stderr
    );
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_payload_is_told_with_its_field() {
    let fake = Fake::start().await;
    let error = "payload.reason: 7 is not a string";
    let problem = json!({
        "error": error, "field": "payload.reason", "errors": [{ "field": "payload.reason", "message": "7 is not a string" }],
    });
    fake.on(REDRIVE, 422, &problem);
    let line = ["dlq", "redrive", "l-1", "--payload", "{\"reason\":7}"];
    let ran = run(&[&line[..], &at(&fake)].concat()).await;
    ran.exits(1);
    assert_eq!(ran.stderr, format!("error: {error}\n"));
}

#[tokio::test]
async fn one_is_discarded_by_an_operator() {
    let fake = Fake::start().await;
    let discard = "POST /admin/dead-letters/a%2Fb/discard";
    fake.on(discard, 202, &json!({ "ok": true, "commandId": "c-2" }));
    let ran = run(&[&["dlq", "discard", "a/b", "--json"][..], &at(&fake)].concat()).await;
    ran.exits(0);
    assert_eq!(ran.json(), [json!({ "ok": true, "commandId": "c-2" })]);
    assert!(fake.asked_once(discard).operator().is_some());
}
