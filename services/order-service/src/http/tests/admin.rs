use std::collections::HashSet;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::StatusCode;
use sagaline_contracts::{EventType, Payload};
use serde_json::json;

use super::{failed, order, shipped, with};
use crate::testing::{World, post, send};

pub(super) async fn cancelled_order(world: &World, routes: &axum::Router) {
    post(
        routes,
        "/orders",
        &[],
        &with(order(), "/orderId", json!("o-1")),
    )
    .await;
    world.consume();
    world.published_after(1).await;
    world.deliver(failed("o-1", "out_of_stock"));
    world.published_after(2).await;
}

#[tokio::test]
async fn commands_are_for_signed_in_operators() {
    let world = World::new();
    let routes = world.routes();
    let viewer = world.token("eve", "viewer");
    for path in ["/admin/retry/o-1", "/admin/compensate/o-1"] {
        let answer = send(&routes, "POST", path, &[], Body::from("not even JSON")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let answer = post(&routes, path, &[("authorization", &viewer)], &json!({})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_retry_is_one_event_for_two_clicks_and_starts_one_attempt() {
    let world = World::new();
    let routes = world.routes();
    cancelled_order(&world, &routes).await;
    let token = world.token("ann", "admin");
    let headers = [
        ("authorization", token.as_str()),
        ("Idempotency-Key", "click-1"),
    ];
    let body = json!({ "step": "inventory" });
    let retry = || post(&routes, "/admin/retry/o-1", &headers, &body);
    let first = retry().await;
    assert_eq!(
        (first.status, &first.body["ok"]),
        (StatusCode::ACCEPTED, &json!(true))
    );
    let second = retry().await;
    assert_eq!(second.body, first.body);
    let events = world.published_after(4).await;
    assert_eq!(events[2].id, events[3].id);
    assert_eq!(json!(events[2].id), first.body["commandId"]);
    let Payload::RetryRequested(requested) = &events[2].payload else {
        unreachable!("{events:?}")
    };
    assert_eq!(
        (requested.requested_by.as_deref(), requested.attempt),
        (Some("ann"), Some(1))
    );

    // As the broker would deliver them: one attempt begins, and the same click still gets the same answer.
    let message = requested.clone();
    world.deliver_as(events[2].id.clone(), message.clone());
    world.deliver_as(events[2].id.clone(), message);
    let events = world.published_after(5).await;
    let retried: HashSet<_> = events
        .iter()
        .filter(|event| event.event_type() == EventType::OrderRetried)
        .map(|event| &event.id)
        .collect();
    assert_eq!(
        retried.len(),
        1,
        "told again on redelivery, but as the same event"
    );
    let third = retry().await;
    assert_eq!(
        (third.status, third.body),
        (StatusCode::ACCEPTED, first.body)
    );
    let other = [
        ("authorization", token.as_str()),
        ("Idempotency-Key", "click-2"),
    ];
    let refused = post(
        &routes,
        "/admin/retry/o-1",
        &other,
        &json!({ "step": "inventory" }),
    )
    .await;
    assert_eq!(
        (refused.status, &refused.body["reason"]),
        (StatusCode::CONFLICT, &json!("in_flight"))
    );
}

#[tokio::test]
async fn a_command_that_cannot_be_is_409_with_the_reason_and_is_recorded() {
    let world = World::new();
    let routes = world.routes();
    cancelled_order(&world, &routes).await;
    post(
        &routes,
        "/orders",
        &[],
        &with(order(), "/orderId", json!("o-2")),
    )
    .await;
    world.published_after(3).await;
    world.deliver(shipped("o-2"));
    world.published_after(4).await;
    let token = world.token("ann", "admin");
    let headers = [("authorization", token.as_str())];
    for (path, body, reason) in [
        (
            "/admin/compensate/o-1",
            json!({ "action": "refundPayment" }),
            "already_cancelled",
        ),
        (
            "/admin/compensate/o-2",
            json!({ "action": "releaseInventory" }),
            "shipped",
        ),
        (
            "/admin/retry/o-2",
            json!({ "step": "shipping" }),
            "confirmed",
        ),
    ] {
        let before = world.published().len();
        let answer = post(&routes, path, &headers, &body).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
        assert_eq!(answer.body["reason"], reason);
        let events = world.published_after(before + 1).await;
        let Payload::CommandRejected(rejected) = &events[before].payload else {
            unreachable!("{events:?}")
        };
        assert_eq!(rejected.requested_by, "ann");
    }
    let wish = json!({ "action": "refundPayment", "reason": "customer called" });
    let answer = post(&routes, "/admin/compensate/o-2", &headers, &wish).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let Some(Payload::CompensationRequested(wish)) =
        world.published().pop().map(|event| event.payload)
    else {
        unreachable!("a wish")
    };
    assert_eq!(
        (wish.attempt, wish.decided_by, wish.reason.as_deref()),
        (Some(1), None, Some("customer called"))
    );
}

#[tokio::test]
async fn a_command_for_no_order_or_in_no_known_words_is_refused() {
    let world = World::new();
    let routes = world.routes();
    let token = world.token("ann", "admin");
    let headers = [("authorization", token.as_str())];
    let unknown = post(
        &routes,
        "/admin/retry/nobody",
        &headers,
        &json!({ "step": "payment" }),
    )
    .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    for (path, body, field) in [
        ("/admin/retry/o-1", json!({ "step": "everything" }), "step"),
        ("/admin/retry/o-1", json!({}), "step"),
        (
            "/admin/compensate/o-1",
            json!({ "action": "undo" }),
            "action",
        ),
        (
            "/admin/compensate/o-1",
            json!({ "action": "refundPayment", "reason": "" }),
            "reason",
        ),
    ] {
        let answer = post(&routes, path, &headers, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.body["field"], field, "{}", answer.body);
    }
    assert!(world.published().is_empty());
}

#[tokio::test]
async fn a_command_that_the_broker_did_not_take_was_not_given() {
    let world = World::new();
    let routes = world.routes();
    cancelled_order(&world, &routes).await;
    world.broker.down.store(true, Ordering::SeqCst);
    let token = world.token("ann", "admin");
    let headers = [("authorization", token.as_str())];
    let answer = post(
        &routes,
        "/admin/retry/o-1",
        &headers,
        &json!({ "step": "payment" }),
    )
    .await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    // a refusal is one with or without its record
    let refused = post(
        &routes,
        "/admin/compensate/o-1",
        &headers,
        &json!({ "action": "refundPayment" }),
    )
    .await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
}
