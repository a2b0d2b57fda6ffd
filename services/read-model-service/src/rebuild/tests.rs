use std::sync::atomic::Ordering;

use sagaline_contracts::Event;
use sagaline_runtime::{BatchHandler, Inbound};
use sagaline_store::Store;
use serde_json::json;

use super::*;
use crate::testing::given::*;
use crate::testing::{World, of_order};

async fn exported(world: &World) -> String {
    let mut out = Vec::new();
    export(&*world.store, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// Everything that a topic has: orders, a command, a dead letter of ours and one of a service.
fn history(world: &World) -> Vec<Inbound> {
    let mut events: Vec<Event> = (0..30)
        .flat_map(|n| of_order(&failed(), &format!("p-{n}")))
        .collect();
    events.extend(happy());
    events.push(event("r", 7, None, retry("ann")));
    events.push(event("x", 8, Some("r"), rejected()));
    events.push(event(
        "dead",
        9,
        None,
        dead_letter("payment-service", json!({ "a": 1 })),
    ));
    let mut messages: Vec<Inbound> = events.iter().map(|event| world.message(event)).collect();
    messages.push(world.raw("order.OrderCreated.v1", None, b"nonsense"));
    messages
}

#[tokio::test(start_paused = true)]
async fn a_rebuilt_read_model_is_equal_byte_for_byte() {
    let world = World::new();
    let mut messages = history(&world);
    for message in &messages {
        world
            .projector
            .handle(std::slice::from_ref(message))
            .await
            .unwrap();
    }
    let letters = world.broker.published.lock().clone();
    assert_eq!(letters.len(), 1);
    messages.extend(
        letters
            .iter()
            .map(|m| world.raw(&m.topic, Some(&m.key), &m.value)),
    );
    world.deliver_published().await;
    // a dead letter of no order is discarded, of which no event tells
    let waiting = world
        .get("/dead-letters?topic=order.OrderCreated.v1")
        .await
        .1;
    let id = waiting[0]["deadLetterId"].as_str().unwrap();
    world
        .post(&format!("/admin/dead-letters/{id}/discard"), "")
        .await;
    let before = exported(&world).await;
    assert_eq!(before.lines().count(), 31 + 2 + 2);

    // the topics bring it in another order, and partly twice
    messages.reverse();
    let again = messages[..40].to_vec();
    world
        .broker
        .batches
        .lock()
        .extend([messages, again, Vec::new()]);
    let report = rebuild(&world.ports, RebuildOptions::default())
        .await
        .unwrap();
    assert_eq!(report.orders, 31);
    assert_eq!(exported(&world).await, before);
    assert!(
        world.broker.published.lock().is_empty(),
        "a rebuild makes no dead letters"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_beside_a_running_service_loses_nothing() {
    let world = World::new();
    let events = happy();
    world.project(&events[..3]).await;
    let replayed: Vec<Inbound> = events[..4]
        .iter()
        .map(|event| world.message(event))
        .collect();
    world.broker.batches.lock().push_back(replayed);
    rebuild(&world.ports, RebuildOptions::default())
        .await
        .unwrap();
    // the service still has the order in memory as it was before
    world.project(&events[3..]).await;
    assert_eq!(world.get("/orders/o-1").await.1, document(&events));
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_it_runs_does_not_keep_a_rebuild_from_ending() {
    let world = World::new();
    let mut new = of_order(&happy()[..1], "new");
    new[0].timestamp = world.ports.clock.now();
    let message = world.message(&new[0]);
    world
        .broker
        .batches
        .lock()
        .push_back(vec![world.message(&happy()[0])]);
    let broker = world.broker.clone();
    let traffic = tokio::spawn(async move {
        loop {
            broker.batches.lock().push_back(vec![message.clone()]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let report = rebuild(&world.ports, RebuildOptions::default())
        .await
        .unwrap();
    traffic.abort();
    assert_eq!(report.orders, 2);
    assert!(report.took < Duration::from_secs(10), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_without_a_store_says_so() {
    let world = World::new();
    world.store.is_down.store(true, Ordering::Relaxed);
    let error = rebuild(&world.ports, RebuildOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("start it again"), "{error}");
    assert_eq!(world.store.memory.count(ORDERS).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_was_cut_off_is_known_to_be_unfinished() {
    let world = World::new();
    assert!(!is_rebuild_unfinished(&*world.store).await.unwrap());
    let cut_off = rebuild(&world.ports, RebuildOptions::default());
    let limit = Duration::from_secs(1);
    assert!(tokio::time::timeout(limit, cut_off).await.is_err());
    assert!(is_rebuild_unfinished(&*world.store).await.unwrap());
    rebuild(&world.ports, RebuildOptions::default())
        .await
        .unwrap();
    assert!(!is_rebuild_unfinished(&*world.store).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_the_service_rebuild_itself_one_at_a_time() {
    let world = World::new();
    let messages = happy().iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().push_back(messages);
    let (first, second) = tokio::join!(
        world.post("/admin/rebuild", ""),
        world.post("/admin/rebuild", "")
    );
    assert_eq!(first.0, axum::http::StatusCode::OK);
    assert_eq!(
        (&first.1["messages"], &first.1["orders"]),
        (&5.into(), &1.into())
    );
    assert!(first.1["tookMs"].is_number());
    assert_eq!(second.0, axum::http::StatusCode::CONFLICT);
    assert_eq!(world.get("/orders/o-1").await.1, document(&happy()));
}
