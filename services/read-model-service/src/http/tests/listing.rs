use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use sagaline_contracts::Event;
use sagaline_views::History;

use crate::testing::given::*;
use crate::testing::{World, json, of_order};

/// So many orders; the higher the number, the later the update. Every third one failed.
async fn with_orders(count: i64) -> World {
    let world = World::new();
    for n in 0..count {
        let story = if n % 3 == 0 { failed() } else { happy() };
        let mut events = of_order(&story, &format!("o-{n:03}"));
        for event in &mut events {
            event.timestamp = sagaline_contracts::Timestamp::from_micros(
                event.timestamp.micros() + n * 100_000_000,
            );
        }
        world.project(&events).await;
    }
    world
}

/// Follows the links from page to page; gives the ids of each.
async fn pages(world: &World, first: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(uri) = next {
        let request = Request::get(&uri).body(Body::empty()).unwrap();
        let response = world.send(request).await;
        next = response.headers().get(header::LINK).map(|link| {
            let link = link.to_str().unwrap();
            assert!(link.ends_with(">; rel=\"next\""), "{link}");
            link[1..link.find('>').unwrap()].to_owned()
        });
        let (status, body) = json(response).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let ids = body.as_array().unwrap().iter();
        pages.push(
            ids.map(|order| order["orderId"].as_str().unwrap().to_owned())
                .collect(),
        );
    }
    pages
}

fn names(numbers: impl Iterator<Item = i64>) -> Vec<String> {
    numbers.map(|n| format!("o-{n:03}")).collect()
}

#[tokio::test]
async fn orders_come_in_pages_the_latest_update_first() {
    let world = with_orders(7).await;
    let pages = pages(&world, "/orders?limit=3").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(pages.concat(), names((0..7).rev()));
}

#[tokio::test]
async fn given_a_moment_then_pages_begin_with_what_was_updated_then_or_earlier() {
    let world = with_orders(7).await;
    let (_, order) = world.get("/orders/o-004").await;
    let at = order["updatedAt"].as_str().unwrap();
    let pages = pages(&world, &format!("/orders?limit=2&before={at}")).await;
    assert_eq!(pages.concat(), names((0..5).rev()));
    let (_, earlier) = world.get("/orders?before=1970-01-01T00:00:00Z").await;
    assert_eq!(earlier, serde_json::json!([]));
}

#[tokio::test]
async fn the_last_page_has_no_link_even_when_it_is_full() {
    let world = with_orders(6).await;
    assert_eq!(pages(&world, "/orders?limit=3").await.len(), 2);
    assert_eq!(
        pages(&World::new(), "/orders").await,
        [Vec::<String>::new()]
    );
}

#[tokio::test]
async fn orders_are_filtered_by_status_outcome_and_both() {
    let world = with_orders(9).await;
    let all = |uri: &'static str| {
        let world = &world;
        async move { pages(world, uri).await.concat() }
    };
    let failed = names([6, 3, 0].into_iter());
    assert_eq!(all("/orders?status=PAYMENT_FAILED&limit=2").await, failed);
    assert_eq!(all("/orders?outcome=CANCELLED&limit=2").await, failed);
    assert_eq!(
        all("/orders?outcome=CONFIRMED&status=SHIPPED&limit=5")
            .await
            .len(),
        6
    );
    assert_eq!(
        all("/orders?outcome=CONFIRMED&status=PAYMENT_FAILED")
            .await
            .len(),
        0
    );
    assert_eq!(all("/orders?stalled=true").await.len(), 0);
    assert_eq!(all("/orders?stalled=false").await.len(), 9);
}

#[tokio::test]
async fn orders_are_found_by_what_is_in_their_id_or_reason_and_by_what_waits() {
    let world = with_orders(9).await;
    let o_4 = sagaline_contracts::OrderId::new("o-004").unwrap();
    let letter = sagaline_contracts::payload::DeadLetter {
        order_id: Some(o_4.clone()),
        ..dead_letter("payment-service", serde_json::json!({ "orderId": "o-004" }))
    };
    let mut died = event("death", 1, None, letter);
    died.correlation_id = o_4.to_string();
    died.order_id = Some(o_4);
    world.project(&[died]).await;
    let all = |uri: &'static str| {
        let world = &world;
        async move { pages(world, uri).await.concat() }
    };
    assert_eq!(all("/orders?q=O-007").await, ["o-007"]);
    let failed = names([6, 3, 0].into_iter());
    assert_eq!(all("/orders?q=DECLINED&limit=2").await, failed);
    assert_eq!(all("/orders?q=nothing%20has%20it").await.len(), 0);
    assert_eq!(all("/orders?parked=true").await, ["o-004"]);
    assert_eq!(all("/orders?parked=false").await.len(), 8);
}

#[tokio::test]
async fn what_a_listing_cannot_do_is_refused_by_field() {
    let world = World::new();
    for (uri, field) in [
        ("/orders?limit=0", "limit"),
        ("/orders?limit=", "limit"),
        ("/orders?limit=many", "limit"),
        ("/orders?status=LOST", "status"),
        ("/orders?outcome=LOST", "outcome"),
        ("/orders?stalled=perhaps", "stalled"),
        ("/orders?parked=perhaps", "parked"),
        ("/orders?cursor=%21", "cursor"),
        ("/orders?cursor=YWJj", "cursor"),
        ("/dead-letters?state=lost", "state"),
        ("/dead-letters?limit=-1", "limit"),
        ("/orders/a%20b", "path"),
    ] {
        let (status, body) = world.get(uri).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{uri}");
        assert_eq!(body["field"], field, "{uri}: {body}");
        assert!(body["error"].is_string());
    }
}

#[tokio::test]
async fn an_order_is_answered_as_it_is_stored() {
    let world = World::new();
    world.project(&happy()).await;
    assert_eq!(
        world.get("/orders/o-1").await,
        (StatusCode::OK, document(&happy()))
    );
}

#[tokio::test]
async fn an_unknown_order_and_one_of_commands_alone_are_not_found() {
    let world = World::new();
    world.project(&[event("r", 1, None, retry("ann"))]).await;
    for uri in ["/orders/o-1", "/orders/o-2"] {
        let (status, body) = world.get(uri).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(
            body["error"].as_str().unwrap().contains("not known"),
            "{body}"
        );
    }
    assert_eq!(pages(&world, "/orders").await.concat().len(), 0);
}

#[tokio::test]
async fn without_the_store_the_answer_is_503_with_retry_after() {
    let world = World::new();
    world.store.is_down.store(true, Ordering::Relaxed);
    for uri in [
        "/orders",
        "/orders/o-1",
        "/orders/o-1/stream?from=start",
        "/stats",
        "/dead-letters",
    ] {
        let response = world
            .send(Request::get(uri).body(Body::empty()).unwrap())
            .await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{uri}");
        assert!(
            response.headers().contains_key(header::RETRY_AFTER),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn stats_count_orders_throughput_latency_and_dead_letters() {
    let world = World::new();
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    let mut events: Vec<Event> = happy();
    events.extend(of_order(&failed(), "o-2"));
    events.extend(of_order(&happy()[..2], "o-3"));
    events.push(event(
        "dead",
        9,
        None,
        dead_letter("payment-service", serde_json::json!({})),
    ));
    world.project(&events).await;
    world.clock.advance(1);
    let (status, body) = world.get("/stats").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["total"], 3);
    assert_eq!(body["byStatus"]["SHIPPED"], 1);
    assert_eq!(body["byStatus"]["REFUNDED"], 0);
    assert_eq!(body["byOutcome"]["CANCELLED"], 1);
    assert_eq!(
        (&body["inFlight"], &body["stalled"]),
        (&1.into(), &0.into())
    );
    assert_eq!(body["counting"], false);
    assert_eq!(body["throughput"]["created"]["1s"], 3.0);
    assert_eq!(body["throughput"]["finished"]["10s"], 0.2);
    assert_eq!(body["latencyMs"]["count"], 2);
    assert_eq!(body["deadLetters"]["waiting"], 1);
    assert!(body["projector"]["lagMs"].is_number());
}

#[tokio::test]
async fn given_samples_of_busy_and_idle_times_then_the_history_tells_both_even_without_the_store() {
    let world = World::new();
    world.stats.remember(world.ports.clock.now(), None);
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    world.project(&happy()).await;
    world.project(&of_order(&happy()[..2], "o-2")).await;
    world.clock.advance(1);
    world.stats.remember(world.ports.clock.now(), Some(3));
    world.clock.advance(30);
    world.stats.remember(world.ports.clock.now(), Some(0));
    world.clock.advance(2);
    world.store.is_down.store(true, Ordering::Relaxed);
    let (status, body) = world.get("/stats/history").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["everyMs"], 5_000);
    let history: History = serde_json::from_value(body).unwrap();
    let told: Vec<_> = history
        .samples
        .iter()
        .map(|it| (it.age_ms, it.created, it.finished, it.in_flight))
        .collect();
    let expected = [
        (33_000, 0.0, 0.0, None),
        (32_000, 0.4, 0.2, Some(1)),
        (2_000, 0.0, 0.0, Some(1)),
    ];
    assert_eq!(told, expected);
    let letters = history.samples.iter().map(|it| it.dead_letters);
    assert_eq!(letters.collect::<Vec<_>>(), [None, Some(3), Some(0)]);
    let halves = history.samples.iter().map(|it| it.p50_ms.is_some());
    assert_eq!(halves.collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(history.samples[1].confirmed, Some(1));
    let (_, latest) = world.get("/stats/history?seconds=10").await;
    assert_eq!(latest["samples"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn whoever_asks_for_more_than_a_page_gets_a_page() {
    let world = World::new();
    for n in 0..101 {
        world
            .project(&of_order(&happy()[..1], &format!("o-{n}")))
            .await;
    }
    for limit in ["100", "101", "200", "99999999999999999999999999"] {
        let (status, orders) = world.get(&format!("/orders?limit={limit}")).await;
        assert_eq!(status, axum::http::StatusCode::OK);
        assert_eq!(orders.as_array().unwrap().len(), 100, "{limit}");
    }
}
