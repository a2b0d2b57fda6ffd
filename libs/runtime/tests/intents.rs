//! What is intended is saved before its effect is carried out, and by one instance only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::world::{ToyState, World, failed, order, reserved};
use sagaline_contracts::EventType;
use sagaline_saga::OrderRecord;
use sagaline_store::{Index, Write};

#[tokio::test]
async fn who_loses_the_race_for_what_it_intends_carries_nothing_out() {
    let world = World::new();
    // Another instance charges while this one is about to save what it intends.
    let mut winner = OrderRecord::<ToyState>::unknown(order("o"));
    winner.state.charges = 7;
    *world.store.rival.lock() = Some(Write {
        id: "o".to_owned(),
        expected: 0,
        body: serde_json::to_vec(&winner).unwrap().into(),
        index: Index::default(),
    });
    world.broker.send_event(&failed("o"));
    world.broker.send_event(&failed("other"));
    world.caught_up().await;
    assert_eq!(world.record("o").await.unwrap().state.charges, 7);
    assert_eq!(world.record("other").await.unwrap().state.charges, 1);
    assert_eq!(world.gateway.calls.load(Ordering::SeqCst), 1);
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
}

#[tokio::test]
async fn what_was_intended_is_carried_out_after_a_crash_and_nothing_overtakes_it() {
    let mut world = World::new();
    world.gateway.hangs.store(true, Ordering::SeqCst);
    world.broker.send_event(&failed("o"));
    world.gateway_was_called(1).await;
    let saved = world.record("o").await.unwrap();
    assert!(saved.state.intends);
    assert!(saved.applied.is_empty(), "it is not handled yet");
    let front = saved.parked.front().unwrap();
    assert_eq!(front.held.id.as_str(), "failed-o");

    world.crash().await;
    world.gateway.hangs.store(false, Ordering::SeqCst);
    world.start();
    world.broker.send_event(&reserved("o"));
    world.caught_up().await;
    let waiting = world.record("o").await.unwrap();
    assert_eq!((waiting.parked.len(), waiting.state.charges), (2, 0));
    assert_eq!(world.broker.distinct(), []);

    world.clock.advance(Duration::from_secs(11));
    world
        .until("it is carried out", || !world.broker.distinct().is_empty())
        .await;
    let done = world.record("o").await.unwrap();
    assert_eq!((done.parked.len(), done.state.charges), (0, 1));
    let causes: Vec<_> = done.applied.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(causes, ["failed-o", "reserved-o"]);
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
}

#[tokio::test]
async fn what_is_intended_and_fails_for_now_is_tried_again_and_then_forgotten() {
    let world = World::new();
    world.gateway.failing.store(1, Ordering::SeqCst);
    world.broker.send_event(&failed("o"));
    world.caught_up().await;
    let parked = world.record("o").await.unwrap();
    assert_eq!((parked.parked.len(), parked.parked[0].attempts), (1, 1));
    assert!(parked.state.intends);

    world.clock.advance(Duration::from_secs(15));
    world
        .until("it is carried out", || !world.broker.distinct().is_empty())
        .await;
    let done = world.record("o").await.unwrap();
    assert_eq!((done.parked.len(), done.state.charges), (0, 1));
    assert_eq!(world.gateway.calls.load(Ordering::SeqCst), 2);
}
