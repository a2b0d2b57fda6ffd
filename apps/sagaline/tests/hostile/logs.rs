//! What clients send neither makes lines of its own in the log nor speaks to a terminal, and nothing secret or personal
//! stands there or in events that is not theirs to tell.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::HeaderValue;
use sagaline_service_kit::JwtKeys;
use sagaline_testkit::topics::{produce, read_all};
use serde_json::{Value, json};

use crate::pipeline::{LIMIT, Pipeline, SECRET};

/// A customer's id: it goes into the order's event, as the contract has it, and nowhere else.
const CUSTOMER: &str = "customer-4711@example.org";
const KEY: &str = "idempotency-key-0815";
/// What a faked line would begin with.
const FAKE: &str = "FAKED-LINE";

/// Texts that would make a line of their own, or speak to a terminal.
fn hostile() -> [String; 6] {
    [
        format!("x\n{FAKE}"),
        format!("x\r\n{FAKE}"),
        format!("x\u{1b}[2K\r{FAKE}"),
        format!("x\u{9b}2K\u{85}{FAKE}"),
        format!("x\u{2028}{FAKE}\u{202e}"),
        format!("x\"}}\n{{\"level\":\"ERROR\",\"message\":\"{FAKE}\"}}"),
    ]
}

/// The same as a path has to spell it.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut spelled, byte| {
        let _ = write!(spelled, "%{byte:02X}");
        spelled
    })
}

async fn attack(pipeline: &Pipeline, token: &str) {
    let http = &pipeline.http;
    for text in hostile() {
        let order = |field: &str| {
            let mut body = json!({ "items": [{ "sku": "SKU-1", "qty": 1 }], "total": 10 });
            *body.pointer_mut("/items/0/sku").unwrap() = json!(text.clone());
            if field != "sku" {
                body["items"][0]["sku"] = json!("SKU-1");
                body[field] = json!(text.clone());
            }
            body
        };
        for field in [
            "sku",
            "orderId",
            "clientRequestId",
            "customerId",
            "currency",
            text.as_str(),
        ] {
            let request = http.post(pipeline.url(0, "/orders")).json(&order(field));
            request.send().await.unwrap();
        }
        let path = percent(&text);
        for (service, path) in [
            (0, format!("/orders/{path}")),
            (0, format!("/{path}")),
            (1, format!("/products/{path}")),
            (2, format!("/payments/{path}")),
            (3, format!("/shipments/{path}")),
            (4, format!("/orders/{path}?status={path}&cursor={path}")),
            (4, format!("/dead-letters/{path}")),
        ] {
            http.get(pipeline.url(service, &path)).send().await.unwrap();
        }
        for (service, path, body) in [
            (0, format!("/admin/retry/{path}"), json!({ "step": text })),
            (
                0,
                "/admin/compensate/o-1".to_owned(),
                json!({ "action": "refundPayment", "reason": text }),
            ),
            (
                1,
                format!("/admin/products/{path}/restock"),
                json!({ "qty": 1 }),
            ),
            (4, format!("/admin/dead-letters/{path}/discard"), json!({})),
            (
                4,
                "/admin/compensate/o-1".to_owned(),
                json!({ "action": "refundPayment", "reason": text }),
            ),
        ] {
            let request = http
                .post(pipeline.url(service, &path))
                .bearer_auth(token)
                .json(&body);
            request.send().await.unwrap();
        }
        // A header cannot hold a line break; the bytes beyond ASCII it can.
        let bytes: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte >= 0x20 && *byte != 0x7f)
            .collect();
        let header = HeaderValue::from_bytes(&bytes).unwrap();
        for name in [
            "user-agent",
            "idempotency-key",
            "authorization",
            "last-event-id",
            "origin",
            "x-request-id",
        ] {
            let request = http
                .post(pipeline.url(0, "/admin/retry/o-1"))
                .header(name, &header);
            request.send().await.unwrap();
        }
        poison(pipeline, &text).await;
    }
}

/// Messages that nobody can handle, with the text wherever it can stand.
async fn poison(pipeline: &Pipeline, text: &str) {
    let kafka = format!("127.0.0.1:{}", pipeline.port(5));
    let event = |field: &str| {
        let mut event = json!({
            "eventId": "e-1", "type": "payment.PaymentAuthorized.v1", "version": 1, "timestamp": "2026-01-31T12:00:00Z",
            "correlationId": "o", "key": "poisoned", "payload": { "orderId": "poisoned", "amount": 10, "authId": "a" }
        });
        match event.pointer_mut(field) {
            Some(place) => *place = json!(text),
            None => event[field] = json!(text),
        }
        event.to_string().into_bytes()
    };
    let topic = "payment.PaymentAuthorized.v1";
    for field in [
        "/eventId",
        "/type",
        "/timestamp",
        "/key",
        "/payload/orderId",
        "/payload/amount",
        text,
    ] {
        produce(&kafka, topic, Some(b"poisoned"), Some(&event(field)))
            .await
            .unwrap();
    }
    produce(
        &kafka,
        topic,
        Some(text.as_bytes()),
        Some(&event("/eventId")),
    )
    .await
    .unwrap();
    produce(&kafka, topic, Some(b"poisoned"), Some(text.as_bytes()))
        .await
        .unwrap();
}

/// Somebody who means well, and whose secrets are not to be found.
async fn order_in_private(pipeline: &Pipeline, token: &str) {
    let body = json!({
        "orderId": "private", "customerId": CUSTOMER, "items": [{ "sku": "SKU-1", "qty": 1 }], "total": 10
    });
    let place = pipeline
        .http
        .post(pipeline.url(0, "/orders"))
        .header("idempotency-key", KEY);
    assert_eq!(place.json(&body).send().await.unwrap().status(), 201);
    pipeline.outcome("private").await;
    let retry = pipeline
        .http
        .post(pipeline.url(0, "/admin/retry/private"))
        .bearer_auth(token);
    let answer = retry
        .json(&json!({ "step": "payment" }))
        .send()
        .await
        .unwrap();
    assert!(answer.status() == 202 || answer.status() == 409);
    // A token in the wrong place, and a wrong one in the right place.
    let misplaced = pipeline.url(0, &format!("/orders/private?token={token}"));
    pipeline.http.get(misplaced).send().await.unwrap();
    let forged = format!("{token}x");
    let refused = pipeline
        .http
        .post(pipeline.url(0, "/admin/retry/private"))
        .bearer_auth(forged);
    assert_eq!(refused.send().await.unwrap().status(), 401);
}

fn check_line(line: &str, is_json: bool) {
    let breaks_out = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!line.contains(breaks_out), "it breaks out: {line:?}");
    assert!(
        !line.trim_start().starts_with(FAKE),
        "a line was faked: {line:?}"
    );
    if is_json {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line:?}"));
        assert!(
            event["timestamp"].is_string() && event["message"] != FAKE,
            "{line:?}"
        );
    } else {
        let begins_with_time = line.starts_with("20") && line.contains('T') && line.contains('Z');
        assert!(begins_with_time, "no event: {line:?}");
    }
}

async fn the_log_stays_honest(format: &str) {
    let pipeline = Pipeline::start(&[
        ("LOG_FORMAT", format),
        ("LOG_LEVEL", "debug"),
        ("PAYMENT_DECLINE_RATE", "0"),
        ("CARRIER_FAILURE_RATE", "0"),
    ])
    .await;
    let keys = JwtKeys::new(&SECRET.parse().unwrap());
    let token = keys.mint("ann", "admin", Duration::from_mins(5)).unwrap();
    order_in_private(&pipeline, &token).await;
    attack(&pipeline, &token).await;
    pipeline.place("afterwards").await;
    assert_eq!(pipeline.outcome("afterwards").await, "CONFIRMED");
    if format == "json" {
        check_events(&pipeline, &token).await;
    }
    let log = pipeline.stop().await;
    let printed: Vec<&str> = log.lines().collect();
    // What stands on standard output is not the log.
    let (announced, lines): (Vec<&str>, Vec<&str>) = printed
        .into_iter()
        .partition(|line| line.starts_with("ready {") || line.starts_with("mint "));
    assert_eq!(announced.len(), 1);
    assert!(
        lines.len() > 20,
        "the log says nothing, so this shows nothing"
    );
    for line in &lines {
        check_line(line, format == "json");
    }
    let signature = token.rsplit('.').next().unwrap();
    for secret in [SECRET, &token, signature, CUSTOMER, KEY] {
        let found = lines.iter().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} stands in the log");
    }
}

/// In events the customer's id stands where the contract has it, and nothing secret stands at all.
async fn check_events(pipeline: &Pipeline, token: &str) {
    let kafka = format!("127.0.0.1:{}", pipeline.port(5));
    let topics = sagaline_contracts::EventType::topics()
        .map(str::to_owned)
        .collect();
    let read = tokio::time::timeout(LIMIT, read_all(&kafka, topics)).await;
    let messages = read.expect("topics are read").unwrap();
    assert!(
        messages
            .iter()
            .any(|message| message.topic == "order.OrderCreated.v1")
    );
    for message in messages {
        let value =
            String::from_utf8_lossy(message.value.as_deref().unwrap_or_default()).into_owned();
        for secret in [SECRET, token, KEY] {
            assert!(!value.contains(secret), "{}: {value}", message.topic);
        }
        let may_say_who = message.topic == "order.OrderCreated.v1";
        assert!(
            may_say_who || !value.contains(CUSTOMER),
            "{}: {value}",
            message.topic
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_clients_send_a_log_in_json_has_one_honest_line_per_event_and_no_secrets() {
    the_log_stays_honest("json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_clients_send_a_log_in_text_has_one_honest_line_per_event_and_no_secrets() {
    the_log_stays_honest("pretty").await;
}
