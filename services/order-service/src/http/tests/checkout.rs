use std::time::Duration;

use axum::http::StatusCode;
use sagaline_contracts::{EventType, OrderId, Payload};
use serde_json::json;

use super::{cart, failed, shipped, with, without};
use crate::testing::{World, post};

#[tokio::test]
async fn a_checkout_answers_when_its_order_is_confirmed() {
    let world = World::new();
    let routes = world.routes();
    world.consume();
    let checkout = tokio::spawn({
        let routes = routes.clone();
        async move { post(&routes, "/api/checkout", &[], &cart()).await }
    });
    let created = world.published_after(1).await.remove(0);
    assert_eq!(created.event_type(), EventType::OrderCreated);
    world.deliver(shipped(created.key()));
    let answer = checkout.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body["success"], true);
    assert_eq!(answer.body["orderId"], created.key());
    assert!(answer.body["message"].is_string());
    let Payload::OrderCreated(created) = created.payload else {
        unreachable!("an order")
    };
    assert_eq!(
        (created.total.cents(), created.customer_id.as_deref()),
        (1_998, Some("u-1"))
    );
}

#[tokio::test]
async fn a_checkout_says_why_its_order_was_cancelled() {
    for (reason, says) in [
        ("out_of_stock", "enough in stock"),
        ("unknown_sku", "not sold"),
        ("card_declined", "declined"),
        ("carrier_error", "could not be shipped"),
        ("timeout", "too long"),
        ("something_else", "cancelled"),
    ] {
        let world = World::new();
        let routes = world.routes();
        world.consume();
        let headers = [("Idempotency-Key", "k")];
        let body = cart();
        let checkout = post(&routes, "/api/checkout", &headers, &body);
        let failing = async {
            let created = world.published_after(1).await.remove(0);
            world.deliver(failed(created.key(), reason));
        };
        let (answer, ()) = futures::join!(checkout, failing);
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(
            (&answer.body["success"], &answer.body["reason"]),
            (&json!(false), &json!(reason))
        );
        assert!(
            answer.body["message"].as_str().unwrap().contains(says),
            "{}",
            answer.body
        );
        assert_eq!(answer.body["error"], answer.body["message"]);
        // the same click again: the outcome of before, and no second order
        let again = post(&routes, "/api/checkout", &headers, &body).await;
        assert_eq!((again.status, again.body), (answer.status, answer.body));
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkout_that_takes_too_long_is_accepted() {
    let world = World::new();
    let routes = world.routes_that_wait(Duration::from_secs(2));
    let answer = post(&routes, "/api/checkout", &[], &cart()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(answer.body["orderId"].is_string() && answer.body["success"].is_null());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_another_instance_saved_is_found_by_looking() {
    let world = World::new();
    let routes = world.routes();
    let body = cart();
    let checkout = post(&routes, "/api/checkout", &[], &body);
    let elsewhere = async {
        let created = world.published_after(1).await.remove(0);
        let id = OrderId::new(created.key()).unwrap();
        let mut record = world.store.record(&id).await.unwrap();
        record.state.phase = crate::domain::Phase::Confirmed;
        sagaline_store::Store::clear(&world.store.inner, "orders")
            .await
            .unwrap();
        world.store.put(id.as_str(), &record).await;
    };
    let (answer, ()) = futures::join!(checkout, elsewhere);
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_checkout() {
    let world = World::new();
    let routes = world.routes_that_wait(Duration::from_hours(1));
    let body = cart();
    let stopping = async {
        world.published_after(1).await;
        world.shutdown.cancel();
    };
    let (answer, ()) = futures::join!(post(&routes, "/api/checkout", &[], &body), stopping);
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_mistake_in_a_cart_is_a_400_in_the_carts_own_words() {
    let world = World::new();
    let routes = world.routes();
    for (body, field) in [
        (without(cart(), "/userId"), "userId"),
        (with(cart(), "/userId", json!("")), "userId"),
        (with(cart(), "/items", json!([])), "items"),
        (
            with(cart(), "/items/0/productId", json!("")),
            "items[0].productId",
        ),
        (
            with(cart(), "/items/0/quantity", json!(0)),
            "items[0].quantity",
        ),
        (
            with(cart(), "/items/0/price", json!(1.001)),
            "items[0].price",
        ),
        (without(cart(), "/items/0/price"), "items[0].price"),
        (
            with(cart(), "/items/0/price", json!(9_999_999_999_i64)),
            "items",
        ),
    ] {
        let answer = post(&routes, "/api/checkout", &[], &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        assert_eq!(answer.body["field"], field, "{}", answer.body);
    }
}
