use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use sagaline_contracts::payload::{InventoryFailed, OrderShipped};
use sagaline_contracts::{EventType, OrderId, Payload};
use sagaline_service_kit::http::{HttpOptions, HttpStack};
use sagaline_service_kit::{CorsOrigins, Health};
use serde_json::{Value, json};

use crate::testing::{World, get, post, send};

fn order() -> Value {
    json!({ "items": [{ "sku": "SKU-1", "qty": 2, "price": 10 }], "total": 20 })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        parent => parent[field] = value,
    }
    body
}

fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(field);
    body
}

fn cart() -> Value {
    json!({ "userId": "u-1", "items": [{ "productId": "SKU-1", "quantity": 2, "price": 9.99 }] })
}

fn shipped(order_id: &str) -> OrderShipped {
    OrderShipped {
        order_id: OrderId::new(order_id).unwrap(),
        carrier: "c".into(),
        tracking_id: "t".into(),
        attempt: Some(1),
    }
}

fn failed(order_id: &str, reason: &str) -> InventoryFailed {
    InventoryFailed {
        order_id: OrderId::new(order_id).unwrap(),
        reason: reason.into(),
        shortages: vec![],
        attempt: Some(1),
    }
}

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
    for id in ["unknown", "a%20b", "%00", &"x".repeat(300)] {
        let answer = get(&routes, &format!("/orders/{id}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.body["error"].is_string());
    }
}

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

async fn cancelled_order(world: &World, routes: &axum::Router) {
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
