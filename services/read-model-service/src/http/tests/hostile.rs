//! Whatever comes over HTTP is answered as described; what is accepted can be read by those it is sent to.

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use sagaline_contracts::payload::DeadLetter;
use sagaline_contracts::{Event, EventType};
use sagaline_service_kit::openapi::testing::{agreed, complaints, described};
use serde_json::{Value, json};

use crate::testing::given::*;
use crate::testing::{World, json};

/// What the contract says that there is; what we add may be there as well.
const CONTRACT: [&str; 14] = [
    "GET /orders",
    "GET /orders/stream",
    "GET /orders/{orderId}",
    "GET /orders/{orderId}/stream",
    "GET /stats",
    "GET /dead-letters",
    "POST /admin/dead-letters/{deadLetterId}/redrive",
    "POST /admin/dead-letters/{deadLetterId}/discard",
    "GET /admin/audit",
    "POST /admin/retry/{orderId}",
    "POST /admin/compensate/{orderId}",
    "GET /health",
    "GET /healthz",
    "GET /metrics",
];

#[tokio::test]
async fn every_route_is_described_and_the_contract_s_are_there() {
    let description = agreed(World::new().app).await;
    let described = described(&description);
    for route in CONTRACT {
        assert!(described.contains(route), "{route} is not in {described:?}");
    }
}

fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/corpus")
        .join(folder);
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    assert!(files.len() > 5, "the corpus is not where it should be");
    files
}

fn letter() -> Event {
    let payload = json!({ "orderId": "o-1", "reason": 7 });
    let letter = DeadLetter {
        dead_letter_id: Some("letter-1".to_owned()),
        original_topic: Some(EventType::PaymentAuthorized.as_str().to_owned()),
        ..dead_letter("shipping-service", payload)
    };
    event("death-1", 9, None, letter)
}

async fn world() -> World {
    let world = World::new();
    world.project(&failed()).await;
    world.project(&[letter()]).await;
    world
}

async fn command(world: &World, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("authorization", world.token("admin"))
        .body(Body::from(body))
        .unwrap();
    json(world.send(request).await).await
}

/// Everything that was published can be read by whoever it is for.
fn assert_readable(world: &World, name: &str) {
    for message in world.broker.published.lock().iter() {
        let kind = EventType::parse(&message.topic).unwrap();
        let read = Event::decode(kind, Some(message.key.as_bytes()), Some(&message.value));
        assert!(read.is_ok(), "{name}: {}", read.unwrap_err());
    }
}

#[tokio::test]
async fn the_corpus_of_redrives_is_answered_as_described_and_what_is_accepted_can_be_read() {
    let description = agreed(World::new().app).await;
    let route = "POST /admin/dead-letters/{deadLetterId}/redrive";
    for (name, body) in corpus("redrives") {
        let world = world().await;
        let path = "/admin/dead-letters/letter-1/redrive";
        let (status, answer) = command(&world, path, body).await;
        assert!(!status.is_server_error(), "{name}: {status} {answer}");
        let complaints = complaints(&description, route, status.as_u16(), &answer);
        assert_eq!(complaints, Vec::<String>::new(), "{name}: {answer}");
        assert_readable(&world, &name);
        let published = world.broker.published.lock().len();
        assert_eq!(published == 1, status == StatusCode::ACCEPTED, "{name}");
    }
}

#[tokio::test]
async fn the_corpus_of_commands_is_answered_as_described_and_what_is_accepted_can_be_read() {
    let description = agreed(World::new().app).await;
    for action in ["retry", "compensate"] {
        for (name, body) in corpus("commands") {
            let world = world().await;
            let (status, answer) = command(&world, &format!("/admin/{action}/o-1"), body).await;
            assert!(!status.is_server_error(), "{name}: {status} {answer}");
            let route = format!("POST /admin/{action}/{{orderId}}");
            let complaints = complaints(&description, &route, status.as_u16(), &answer);
            assert_eq!(complaints, Vec::<String>::new(), "{name}: {answer}");
            assert_readable(&world, &name);
        }
    }
}

#[tokio::test]
async fn a_reason_that_could_not_stand_in_a_log_is_refused_here_as_on_the_order_service() {
    for reason in ["", "a\nINFO admin signed in", "\u{1b}[2J", &"x".repeat(129)] {
        let world = World::new();
        world.project(&happy()).await;
        let body = json!({ "action": "refundPayment", "reason": reason });
        let path = "/admin/compensate/o-1";
        let (status, answer) = command(&world, path, body.to_string().into_bytes()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{reason:?}: {answer}");
        assert_eq!(answer["field"], "reason");
        assert!(world.broker.published.lock().is_empty());
    }
}

#[tokio::test]
async fn an_idempotency_key_may_be_any_short_text_here_as_on_the_order_service() {
    let world = world().await;
    let request = Request::post("/admin/retry/o-1")
        .header("authorization", world.token("admin"))
        .header("idempotency-key", "größer".as_bytes())
        .body(Body::from(r#"{"step":"payment"}"#))
        .unwrap();
    let (status, answer) = json(world.send(request).await).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}

#[tokio::test]
async fn documents_are_as_described() {
    let description = agreed(World::new().app).await;
    for events in [happy(), failed()] {
        let world = World::new();
        world.project(&events).await;
        world.project(&[letter()]).await;
        let retry = command(
            &world,
            "/admin/retry/o-1",
            br#"{"step":"payment"}"#.to_vec(),
        )
        .await;
        assert!(retry.0.is_success() || retry.0 == StatusCode::CONFLICT);
        let path = "/admin/dead-letters/letter-1/discard";
        let (status, answer) = command(&world, path, Vec::new()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        world.deliver_published().await;
        world.stats.remember(world.ports.clock.now(), Some(1));
        world.stats.remember(world.ports.clock.now().next(), None);
        for (route, path) in [
            ("GET /orders", "/orders"),
            ("GET /orders/{orderId}", "/orders/o-1"),
            ("GET /stats", "/stats"),
            ("GET /stats/history", "/stats/history"),
            ("GET /dead-letters", "/dead-letters"),
            ("GET /dead-letters/{deadLetterId}", "/dead-letters/letter-1"),
        ] {
            let (status, answer) = world.get(path).await;
            assert_eq!(status, StatusCode::OK, "{path}: {answer}");
            let complaints = complaints(&description, route, 200, &answer);
            assert_eq!(complaints, Vec::<String>::new(), "{path}: {answer}");
        }
        let audit = Value::from(world.audit().await);
        assert_ne!(audit, json!([]));
        let complaints = complaints(&description, "GET /admin/audit", 200, &audit);
        assert_eq!(complaints, Vec::<String>::new(), "{audit}");
    }
}

#[tokio::test]
async fn paths_queries_and_cursors_that_make_no_sense_are_refused_with_a_reason() {
    let world = world().await;
    for path in [
        "/orders?limit=0",
        "/orders?limit=1.5",
        "/orders?limit=-1",
        "/orders?limit=1&limit=2",
        "/orders?status=%00",
        "/orders?cursor=%F0%9F%92%A9",
        "/orders?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTpv",
        "/orders?stalled=maybe",
        "/orders?before=yesterday",
        "/orders?before=1769860800",
        "/orders/%F0%9F%92%A9",
        "/orders/..%2f..%2fetc%2fpasswd",
        "/orders/o%0a1",
        "/orders/%FF",
        "/orders/o-1/stream?from=yesterday",
        "/orders/o-1/stream?lastEventId=%00",
        "/orders/stream?lastEventId=99999999999999999999",
        "/dead-letters?state=dead",
        "/dead-letters/%1b%5b2J",
        "/stats/history?seconds=0",
        "/stats/history?seconds=-1",
        "/stats/history?seconds=1.5",
        "/stats/history?seconds=99999999999999999999",
    ] {
        let (status, answer) = world.get(path).await;
        assert!(status.is_client_error(), "{path}: {status} {answer}");
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
}

#[tokio::test]
async fn an_id_to_resume_from_that_nobody_sent_is_refused_or_harmless() {
    let world = world().await;
    for id in [
        "18446744073709551615.",
        "18446744073709551615.AAAAAA",
        "18446744073709551616.",
        "0.AAAA",
        "-1.",
        "x",
        ".",
        "\u{1b}[2J",
    ] {
        let request = Request::get("/orders/o-1/stream").header("last-event-id", id);
        let Ok(request) = request.body(Body::empty()) else {
            // No header can hold it.
            continue;
        };
        let status = world.send(request).await.status();
        assert!(!status.is_server_error(), "{id:?}: {status}");
    }
    // A list as long as one of ours can be, that says that there were more before than can be counted.
    let long = format!("18446744073709551615.{}", "AAAA".repeat(3 * 510));
    let request = Request::get("/orders/o-1/stream").header("last-event-id", long);
    let status = world
        .send(request.body(Body::empty()).unwrap())
        .await
        .status();
    assert!(!status.is_server_error(), "{status}");
}
