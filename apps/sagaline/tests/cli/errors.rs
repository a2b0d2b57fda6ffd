//! What goes wrong, and what is said about it.

use serde_json::json;

use crate::fake::Fake;
use crate::process::run;

/// An address that nobody listens at.
fn nowhere() -> String {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bound.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named_with_its_address_and_what_to_do() {
    let nowhere = nowhere();
    for (line, service, flag) in [
        (vec!["orders"], "read model service", "--read-model"),
        (
            vec!["orders", "--follow"],
            "read model service",
            "--read-model",
        ),
        (vec!["stock"], "inventory service", "--inventory"),
        (
            vec!["order", "--items", "A:1:1"],
            "order service",
            "--order-service",
        ),
    ] {
        let ran = run(&[&line[..], &[flag, &nowhere]].concat()).await;
        ran.exits(1);
        let expected =
            format!("the {service} cannot be reached at http://{nowhere} (connection refused)");
        assert!(ran.stderr.contains(&expected), "{line:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("sagaline up") && ran.stderr.contains(flag),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_with_its_address_and_what_to_do() {
    let nowhere = nowhere();
    for line in [
        vec!["topics"],
        vec!["events", "tail"],
        vec!["events", "append", "--topic", "x", "--payload", "{}"],
    ] {
        let ran = run(&[&line[..], &["--kafka-brokers", &nowhere]].concat()).await;
        ran.exits(1);
        assert!(
            ran.stderr.contains(&nowhere) && ran.stderr.contains("sagaline up"),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn a_refused_token_and_a_busy_service_say_what_to_do() {
    let fake = Fake::start().await;
    fake.on("POST /admin/retry/o-1", 401, &json!({ "error": "sign in" }));
    let ran = run(&[
        "retry",
        "o-1",
        "--step",
        "payment",
        "--order-service",
        fake.address(),
    ])
    .await;
    ran.exits(1);
    assert!(
        ran.stderr.contains("does not accept the token"),
        "{}",
        ran.stderr
    );
    let busy = r#"{"error":"the queue is full"}"#;
    fake.on_with("POST /orders", 503, &[("retry-after", "2")], busy);
    let ran = run(&[
        "order",
        "--items",
        "A:1:1",
        "--order-service",
        fake.address(),
    ])
    .await;
    ran.exits(1);
    assert_eq!(ran.stderr, "error: the queue is full (try again in 2 s)\n");
}

#[tokio::test]
async fn something_else_at_the_address_is_noticed() {
    let fake = Fake::start().await;
    fake.on_with("GET /stats", 200, &[], "<html>hello</html>");
    let ran = run(&["stats", "--read-model", fake.address()]).await;
    ran.exits(1);
    assert!(
        ran.stderr.contains("is not what it should be"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_mistaken_command_line_is_an_error_and_no_negative_answer() {
    for line in [
        &["order"][..],
        &["orders", "o-1", "--limit", "3"],
        &["nonsense"],
        &["retry", "o-1", "--step", "dance"],
    ] {
        let ran = run(line).await;
        ran.exits(1);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran:?}");
    }
    assert!(run(&["--help"]).await.exits(0).contains("rebuild"));
}

#[tokio::test]
async fn the_order_s_own_text_cannot_drive_the_terminal() {
    let fake = Fake::start().await;
    let order = json!({ "orderId": "o-1", "outcome": "CANCELLED", "reason": "\u{1b}[2J", "createdAt": "2026-01-31T12:00:00Z" });
    fake.on("GET /orders?limit=20", 200, &json!([order]));
    let ran = run(&["orders", "--read-model", fake.address()]).await;
    assert!(!ran.exits(0).contains('\u{1b}'));
}
