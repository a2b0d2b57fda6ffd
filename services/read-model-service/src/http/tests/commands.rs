use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use sagaline_contracts::{Event, EventType, Payload};
use serde_json::Value;

use crate::testing::given::*;
use crate::testing::{World, json};

const ADMIN: [&str; 5] = [
    "/admin/rebuild",
    "/admin/retry/o-1",
    "/admin/compensate/o-1",
    "/admin/dead-letters/letter-1/redrive",
    "/admin/dead-letters/letter-1/discard",
];

#[tokio::test]
async fn operators_alone_may_operate() {
    let world = World::new();
    for (authorization, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer nonsense".to_owned()), StatusCode::UNAUTHORIZED),
        (Some(world.token("viewer")), StatusCode::FORBIDDEN),
    ] {
        let requests = ADMIN
            .map(Request::post)
            .into_iter()
            .chain([Request::get("/admin/audit")]);
        for mut request in requests {
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization);
            }
            let (status, body) = json(world.send(request.body(Body::empty()).unwrap()).await).await;
            assert_eq!(status, expected, "{body}");
        }
    }
    assert!(world.broker.published.lock().is_empty());
}

fn published(world: &World) -> Vec<Event> {
    let published = world.broker.published.lock();
    let events = published.iter().map(|message| {
        let kind = EventType::parse(&message.topic).unwrap();
        Event::decode(kind, Some(message.key.as_bytes()), Some(&message.value)).unwrap()
    });
    events.collect()
}

#[tokio::test]
async fn a_retry_is_published_before_it_is_accepted_and_two_clicks_are_one_command() {
    let world = World::new();
    world.project(&failed()).await;
    let (status, body) = world
        .post("/admin/retry/o-1", r#"{"step":"payment"}"#)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    assert_eq!(body["ok"], true);
    let (_, again) = world
        .post("/admin/retry/o-1", r#"{"step":"payment"}"#)
        .await;
    assert_eq!(again, body);
    let events = published(&world);
    assert_eq!(events[0].id, events[1].id);
    assert_eq!(body["commandId"], events[0].id.as_str());
    let Payload::RetryRequested(request) = &events[0].payload else {
        panic!("{events:?}")
    };
    assert_eq!(
        (request.attempt, request.requested_by.as_deref()),
        (Some(1), Some("ann"))
    );
    // both are one entry of the timeline, and one command in the audit
    world.deliver_published().await;
    let audit = world.audit().await;
    assert_eq!(audit.len(), 1);
    assert_eq!(
        (&audit[0]["command"], &audit[0]["outcome"]),
        (&"retry payment".into(), &"pending".into())
    );
    let answer = event("x", 90, Some(events[0].id.as_str()), retried(2));
    world.project(&[answer]).await;
    let audit = world.audit().await;
    assert_eq!(
        (&audit[0]["requestedBy"], &audit[0]["outcome"]),
        (&"ann".into(), &"accepted".into())
    );
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_answer_after_the_effect() {
    let world = World::new();
    world.project(&failed()).await;
    let click = || async {
        let request = Request::post("/admin/retry/o-1")
            .header("authorization", world.token("admin"))
            .header("idempotency-key", "click-1")
            .body(Body::from(r#"{"step":"payment"}"#))
            .unwrap();
        json(world.send(request).await).await
    };
    let (_, first) = click().await;
    world.deliver_published().await;
    let id = first["commandId"].as_str().unwrap();
    world.project(&[event("x", 90, Some(id), retried(2))]).await;
    assert_eq!(click().await, (StatusCode::ACCEPTED, first));
    assert!(world.broker.published.lock().is_empty());
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let world = World::new();
    let ask = |uri: &'static str, body: &'static str| world.post(uri, body);
    let (status, _) = ask("/admin/retry/o-1", r#"{"step":"payment"}"#).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    world.project(&happy()[..2]).await;
    let (status, body) = ask("/admin/retry/o-1", r#"{"step":"payment"}"#).await;
    assert_eq!(
        (status, &body["reason"]),
        (StatusCode::CONFLICT, &Value::from("in_flight"))
    );
    let (status, body) = ask("/admin/retry/o-1", r#"{"step":"magic"}"#).await;
    assert_eq!(
        (status, &body["field"]),
        (StatusCode::BAD_REQUEST, &Value::from("step"))
    );
    world.project(&happy()).await;
    let (status, body) = ask("/admin/compensate/o-1", r#"{"action":"releaseInventory"}"#).await;
    assert_eq!(
        (status, &body["reason"]),
        (StatusCode::CONFLICT, &Value::from("shipped"))
    );
    assert!(body["error"].as_str().unwrap().contains("o-1"));
    let (status, _) = ask("/admin/compensate/o-1", r#"{"action":"refundPayment"}"#).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_idempotency_key_that_is_none_is_refused() {
    let world = World::new();
    world.project(&failed()).await;
    let request = Request::post("/admin/retry/o-1")
        .header("authorization", world.token("admin"))
        .header("idempotency-key", "x".repeat(129))
        .body(Body::from(r#"{"step":"payment"}"#))
        .unwrap();
    let (status, body) = json(world.send(request).await).await;
    assert_eq!(
        (status, &body["field"]),
        (StatusCode::BAD_REQUEST, &Value::from("Idempotency-Key"))
    );
}

#[tokio::test]
async fn without_the_broker_a_command_is_not_accepted() {
    let world = World::new();
    world.project(&failed()).await;
    world.broker.is_down.store(true, Ordering::Relaxed);
    let (status, body) = world
        .post("/admin/retry/o-1", r#"{"step":"payment"}"#)
        .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
}

#[tokio::test]
async fn a_refused_command_is_in_the_timeline_and_in_the_audit_once() {
    let world = World::new();
    world.project(&happy()).await;
    for _ in 0..2 {
        let (status, body) = world
            .post("/admin/compensate/o-1", r#"{"action":"releaseInventory"}"#)
            .await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(
            (&body["orderId"], &body["outcome"]),
            (&"o-1".into(), &"CONFIRMED".into())
        );
        world.deliver_published().await;
    }
    let (_, order) = world.get("/orders/o-1").await;
    let timeline = order["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 6);
    assert_eq!(timeline[5]["type"], "ops.CommandRejected.v1");
    let audit = world.audit().await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    for (field, value) in [
        ("command", "releaseInventory"),
        ("requestedBy", "ann"),
        ("outcome", "rejected"),
        ("orderId", "o-1"),
    ] {
        assert_eq!(audit[0][field], value);
    }
    assert!(audit[0]["reason"].as_str().unwrap().contains("o-1"));
    // Without the broker the answer is the same.
    world.broker.is_down.store(true, Ordering::Relaxed);
    let refused = world
        .post("/admin/retry/o-1", r#"{"step":"payment"}"#)
        .await;
    assert_eq!(refused.0, StatusCode::CONFLICT);
}
