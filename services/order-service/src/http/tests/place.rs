use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::StatusCode;
use sagaline_contracts::Payload;
use sagaline_service_kit::http::{HttpOptions, HttpStack};
use sagaline_service_kit::{CorsOrigins, Health};
use serde_json::json;

use super::{cart, failed, order, shipped, with, without};
use crate::testing::{World, get, post, send};

#[tokio::test]
async fn an_order_is_created_once_and_the_same_request_gets_the_same_answer() {
    let world = World::new();
    let routes = world.routes();
    for (headers, body) in [
        (vec![("Idempotency-Key", "k-1")], order()),
        (vec![], with(order(), "/clientRequestId", json!("c-1"))),
        (vec![], with(order(), "/orderId", json!("o-1"))),
    ] {
        let first = post(&routes, "/orders", &headers, &body).await;
        assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
        let again = post(&routes, "/orders", &headers, &body).await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &first.body));
        let other = with(body, "/currency", json!("EUR"));
        let conflict = post(&routes, "/orders", &headers, &other).await;
        assert_eq!(conflict.status, StatusCode::CONFLICT);
        assert!(
            conflict.body["error"]
                .as_str()
                .unwrap()
                .contains("another request")
        );
    }
    assert_eq!(world.published_after(3).await.len(), 3);
}

#[tokio::test]
async fn orders_without_any_identity_are_all_different() {
    let world = World::new();
    let routes = world.routes();
    let first = post(&routes, "/orders", &[], &order()).await;
    let second = post(&routes, "/orders", &[], &order()).await;
    assert_eq!(second.status, StatusCode::CREATED);
    assert_ne!(first.body["orderId"], second.body["orderId"]);
}

#[tokio::test]
async fn the_event_tells_what_was_ordered() {
    let world = World::new();
    let routes = world.routes();
    let full = json!({
        "orderId": "o-1", "clientRequestId": "c-1", "customerId": "u-1", "currency": "eur", "unknown": [1],
        "items": [{ "sku": "SKU-1", "qty": 2, "price": 10.5 }, { "sku": "Größe 42", "qty": 1, "price": 0 }], "total": 21.0,
    });
    let answer = post(&routes, "/orders", &[], &full).await;
    assert_eq!(answer.body, json!({ "orderId": "o-1" }));
    let events = world.published_after(1).await;
    let Payload::OrderCreated(created) = &events[0].payload else {
        unreachable!("{events:?}")
    };
    assert_eq!(
        serde_json::to_value(created).unwrap(),
        json!({
            "orderId": "o-1", "customerId": "u-1", "currency": "EUR", "total": 21,
            "items": [{ "sku": "SKU-1", "qty": 2, "price": 10.5 }, { "sku": "Größe 42", "qty": 1, "price": 0 }],
        })
    );
}

#[tokio::test]
async fn every_mistake_is_a_400_that_names_its_field() {
    let world = World::new();
    let routes = world.routes();
    let long = "x".repeat(129);
    let lines = |count: usize| json!(vec![json!({ "sku": "S", "qty": 1 }); count]);
    for (body, field) in [
        (without(order(), "/items"), "items"),
        (without(order(), "/total"), "total"),
        (without(order(), "/items/0/sku"), "items[0].sku"),
        (without(order(), "/items/0/qty"), "items[0].qty"),
        (with(order(), "/items", lines(0)), "items"),
        (with(order(), "/items", lines(101)), "items"),
        (with(order(), "/items", json!("SKU-1")), "items"),
        (with(order(), "/items/0", json!(null)), "items[0]"),
        (with(order(), "/items/0/sku", json!("")), "items[0].sku"),
        (with(order(), "/items/0/sku", json!(long)), "items[0].sku"),
        (with(order(), "/items/0/sku", json!("a\nb")), "items[0].sku"),
        (with(order(), "/items/0/sku", json!(7)), "items[0].sku"),
        (with(order(), "/items/0/qty", json!(0)), "items[0].qty"),
        (with(order(), "/items/0/qty", json!(-1)), "items[0].qty"),
        (with(order(), "/items/0/qty", json!(1.5)), "items[0].qty"),
        (
            with(order(), "/items/0/qty", json!(1_000_001)),
            "items[0].qty",
        ),
        (
            with(
                order(),
                "/items/0/qty",
                json!(18_446_744_073_709_551_615_u64),
            ),
            "items[0].qty",
        ),
        (with(order(), "/items/0/qty", json!("2")), "items[0].qty"),
        (
            with(order(), "/items/0/price", json!(-0.01)),
            "items[0].price",
        ),
        (
            with(order(), "/items/0/price", json!(9.999)),
            "items[0].price",
        ),
        (
            with(order(), "/items/0/price", json!("10")),
            "items[0].price",
        ),
        (with(order(), "/total", json!(-20)), "total"),
        (with(order(), "/total", json!(20.001)), "total"),
        (with(order(), "/total", json!(1e11)), "total"),
        (with(order(), "/total", json!("20")), "total"),
        (with(order(), "/total", json!(19.99)), "total"),
        (
            with(order(), "/items/0/price", json!(9_000_000_000_i64)),
            "total",
        ),
        (with(order(), "/orderId", json!("")), "orderId"),
        (with(order(), "/orderId", json!("a b")), "orderId"),
        (with(order(), "/orderId", json!(long)), "orderId"),
        (with(order(), "/orderId", json!(1)), "orderId"),
        (
            with(order(), "/clientRequestId", json!("")),
            "clientRequestId",
        ),
        (
            with(order(), "/clientRequestId", json!("a\u{0}")),
            "clientRequestId",
        ),
        (with(order(), "/customerId", json!(long)), "customerId"),
        (with(order(), "/currency", json!("EURO")), "currency"),
        (with(order(), "/currency", json!("€")), "currency"),
        (with(order(), "/currency", json!("E1R")), "currency"),
        (json!([]), "body"),
    ] {
        let answer = post(&routes, "/orders", &[], &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        assert_eq!(answer.body["field"], field, "{body}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let error = answer.body["error"].as_str().unwrap();
        assert!(error.contains(field) && error.len() < 300, "{error}");
    }
    for text in ["", "{", "{\"items\":", "nul", "\u{feff}{}"] {
        let answer = send(&routes, "POST", "/orders", &[], text.to_owned()).await;
        assert_eq!(
            (answer.status, &answer.body["field"]),
            (StatusCode::BAD_REQUEST, &json!("body")),
            "{text:?}"
        );
    }
    assert_eq!(world.store.saves.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn all_mistakes_are_listed_at_once_and_their_number_is_bounded() {
    let world = World::new();
    let routes = world.routes();
    let body = json!({ "orderId": "a b", "currency": "?", "items": [{ "sku": "", "qty": 0, "price": -1 }], "total": -1 });
    let answer = post(&routes, "/orders", &[], &body).await;
    let fields: Vec<_> = answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].clone())
        .collect();
    assert_eq!(
        fields,
        [
            "orderId",
            "currency",
            "items[0].sku",
            "items[0].qty",
            "items[0].price",
            "total"
        ]
    );
    let many = json!({ "items": vec![json!({ "sku": "", "qty": 0 }); 100], "total": 1 });
    let answer = post(&routes, "/orders", &[], &many).await;
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn what_is_just_valid_is_accepted() {
    let world = World::new();
    let routes = world.routes();
    let text = "ä".repeat(128);
    for body in [
        with(order(), "/items/0/qty", json!(1_000_000)),
        with(
            order(),
            "/items",
            json!(vec![json!({ "sku": "S", "qty": 1 }); 100]),
        ),
        with(order(), "/items/0/sku", json!(text)),
        with(order(), "/customerId", json!(text)),
        with(order(), "/orderId", json!("A.b_c:d-9")),
        with(order(), "/total", json!(20.00)),
        json!({ "items": [{ "sku": "S", "qty": 1 }], "total": 0 }),
        json!({ "items": [{ "sku": "S", "qty": 1 }], "total": 0, "orderId": null, "currency": null }),
        // the total counts only against prices that are all there
        json!({ "items": [{ "sku": "S", "qty": 1, "price": 5 }, { "sku": "T", "qty": 1 }], "total": 3 }),
    ] {
        let body = if body["items"][0]["qty"] == 1_000_000 {
            with(body, "/total", json!(10_000_000))
        } else {
            body
        };
        let answer = post(&routes, "/orders", &[], &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_must_be_short_and_printable_and_sent_once() {
    let world = World::new();
    let routes = world.routes();
    let long = "x".repeat(129);
    for headers in [
        vec![("Idempotency-Key", "")],
        vec![("Idempotency-Key", long.as_str())],
        vec![("Idempotency-Key", "a\tb")],
        vec![("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    ] {
        let answer = post(&routes, "/orders", &headers, &order()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{headers:?}");
        assert_eq!(answer.body["field"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let world = World::new();
    let stack = HttpStack {
        health: Health::new("order-service", &[]),
        cors: "*".parse::<CorsOrigins>().unwrap(),
        shutdown: world.shutdown.clone(),
        options: HttpOptions::default(),
    };
    let routes = stack.wrap(world.routes());
    let body = with(
        order(),
        "/padding",
        json!("x".repeat(stack.options.body_limit)),
    );
    let text = body.to_string();
    let length = text.len().to_string();
    let announced = [("content-length", length.as_str())];
    let answer = post(&routes, "/orders", &announced, &body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>(text)]);
    let answer = send(&routes, "POST", "/orders", &[], Body::from_stream(chunks)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn fifty_identical_requests_at_once_get_one_201_and_the_rest_200() {
    let world = World::new();
    let routes = world.routes();
    let (headers, body) = ([("Idempotency-Key", "k")], order());
    let answers =
        futures::future::join_all((0..50).map(|_| post(&routes, "/orders", &headers, &body))).await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::OK)), (1, 49));
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    post(&routes, "/orders", &[], &body).await;
    assert_eq!(world.published_after(2).await.len(), 2);
}

#[tokio::test]
async fn an_outage_of_the_store_is_a_503_that_says_when_to_try_again() {
    let world = World::new();
    let routes = world.routes();
    world.store.down.store(true, Ordering::SeqCst);
    let token = world.token("ann", "admin");
    for answer in [
        post(&routes, "/orders", &[], &order()).await,
        post(&routes, "/api/checkout", &[], &cart()).await,
        get(&routes, "/orders/o-1").await,
        post(
            &routes,
            "/admin/retry/o-1",
            &[("authorization", &token)],
            &json!({ "step": "payment" }),
        )
        .await,
    ] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn an_outage_of_the_broker_does_not_keep_orders_from_being_placed() {
    let world = World::new();
    let routes = world.routes();
    world.broker.down.store(true, Ordering::SeqCst);
    let placed = post(
        &routes,
        "/orders",
        &[],
        &with(order(), "/orderId", json!("o-1")),
    )
    .await;
    assert_eq!(placed.status, StatusCode::CREATED);
    let document = get(&routes, "/orders/o-1").await.body;
    assert_eq!(document["outbox"]["pending"], 1);
    assert_eq!(document["outbox"]["attempts"], 0);
    assert!(document["outbox"]["nextAttempt"].is_string());
}

#[tokio::test]
async fn orders_in_flight_are_counted() {
    let world = World::new();
    let routes = world.routes();
    for id in ["o-1", "o-2"] {
        post(
            &routes,
            "/orders",
            &[],
            &with(order(), "/orderId", json!(id)),
        )
        .await;
    }
    assert_eq!(world.gauges.in_flight(), 2);
    world.published_after(2).await;
    world.consume();
    world.deliver(shipped("o-1"));
    world.deliver(failed("o-2", "out_of_stock"));
    world.published_after(4).await;
    assert_eq!(world.gauges.in_flight(), 0);
}
