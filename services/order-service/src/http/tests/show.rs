use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use sagaline_contracts::{EventType, Payload};
use serde_json::json;

use super::{failed, order, shipped, with};
use crate::testing::{World, get, post};

#[tokio::test]
async fn a_document_tells_all_of_an_order() {
    let world = World::new();
    let routes = world.routes();
    let body = with(
        with(order(), "/orderId", json!("o-1")),
        "/customerId",
        json!("u-1"),
    );
    post(&routes, "/orders", &[], &body).await;
    world.published_after(1).await;
    world.consume();
    let mut document = get(&routes, "/orders/o-1").await.body;
    assert!(document["createdAt"].is_string() && document["deadline"].is_string());
    let members = document.as_object_mut().unwrap();
    for volatile in ["createdAt", "updatedAt", "deadline", "outbox"] {
        members.remove(volatile);
    }
    assert_eq!(
        document,
        json!({
            "orderId": "o-1", "status": "PENDING", "outcome": "PENDING", "attempt": 1, "refunded": false, "stalled": false,
            "items": [{ "sku": "SKU-1", "qty": 2, "price": 10 }], "total": 20, "customerId": "u-1",
        })
    );
    world.deliver(failed("o-1", "out_of_stock"));
    world.published_after(2).await;
    let document = get(&routes, "/orders/o-1").await.body;
    assert_eq!(
        (&document["status"], &document["reason"]),
        (&json!("CANCELLED"), &json!("out_of_stock"))
    );
    assert_eq!(document["outbox"]["pending"], 0);
}

#[tokio::test]
async fn an_event_that_contradicts_is_shown_as_parked() {
    let world = World::new();
    let routes = world.routes();
    post(
        &routes,
        "/orders",
        &[],
        &with(order(), "/orderId", json!("o-1")),
    )
    .await;
    world.published_after(1).await;
    world.consume();
    world.deliver(failed("o-1", "out_of_stock"));
    world.deliver(shipped("o-1"));
    world.published_after(3).await;
    let document = get(&routes, "/orders/o-1").await.body;
    let parked = &document["parked"][0];
    assert_eq!(parked["topic"], "shipping.OrderShipped.v1");
    assert_eq!(parked["waitsFor"], "an operator");
    assert!(parked["error"].as_str().unwrap().contains("cancelled"));
}

#[tokio::test]
async fn what_is_no_order_is_404() {
    let world = World::new();
    let routes = world.routes();
    let body = with(order(), "/clientRequestId", json!("c-1"));
    let placed = post(&routes, "/orders", &[("Idempotency-Key", "k")], &body).await;
    let mine = placed.body["orderId"].as_str().unwrap().to_owned();
    let all = sagaline_store::Store::scan(&world.store.inner, "orders", None, 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 2);
    for stored in all {
        let answer = get(&routes, &format!("/orders/{}", stored.id)).await;
        let expected = if stored.id == mine {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        assert_eq!(answer.status, expected, "an alias is no order");
    }
    let answer = get(&routes, "/orders/unknown").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body["error"].is_string());
}

#[tokio::test]
async fn an_id_that_no_order_can_have_is_refused_by_name_wherever_it_stands() {
    let world = World::new();
    let routes = world.routes();
    let token = world.token("ann", "admin");
    for id in ["%00", "a%0Ab", &"x".repeat(300)] {
        let shown = get(&routes, &format!("/orders/{id}")).await;
        let headers = [("authorization", token.as_str())];
        let url = format!("/admin/retry/{id}");
        let retried = post(&routes, &url, &headers, &json!({ "step": "payment" })).await;
        for answer in [shown, retried] {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{id}");
            assert!(answer.body["error"].is_string());
            assert!(answer.body.to_string().contains("id"), "{:?}", answer.body);
        }
    }
}

#[tokio::test]
async fn an_event_that_the_broker_did_not_take_is_published_later() {
    let world = World::new();
    let routes = world.routes();
    world.broker.down.store(true, Ordering::SeqCst);
    let body = with(order(), "/orderId", json!("o-1"));
    assert_eq!(
        post(&routes, "/orders", &[], &body).await.status,
        StatusCode::CREATED
    );
    assert!(world.published().is_empty());
    world.broker.down.store(false, Ordering::SeqCst);
    world.pass(Duration::from_secs(3));
    world.consume();
    let events = world.published_after(1).await;
    assert_eq!(events[0].event_type(), EventType::OrderCreated);
    assert_eq!(events[0].key(), "o-1");
}

#[tokio::test]
async fn an_order_that_takes_too_long_is_shown_as_stalled_and_cancelled_through_shipping() {
    let world = World::new();
    let routes = world.routes();
    post(
        &routes,
        "/orders",
        &[],
        &with(order(), "/orderId", json!("o-1")),
    )
    .await;
    world.published_after(1).await;
    world.pass(Duration::from_secs(31));
    world.consume();
    let events = world.published_after(2).await;
    let Payload::CompensationRequested(wish) = &events[1].payload else {
        unreachable!("{events:?}")
    };
    assert_eq!(wish.requested_by.as_deref(), Some("saga-timeout"));
    let document = get(&routes, "/orders/o-1").await.body;
    assert_eq!(
        (&document["stalled"], &document["status"]),
        (&json!(true), &json!("PENDING"))
    );
}
