//! Events that the broker refuses for good hurt their own order, and are not lost.
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

use common::world::{World, reserved, shipped};
use sagaline_contracts::EventType;

/// An id that makes every event of its order larger than those of others.
fn long_id() -> String {
    "x".repeat(100)
}

/// Larger than an event of an order with a short id, smaller than one with a long id.
const LARGEST: usize = 600;

fn told_of(world: &World, id: &str) -> Vec<EventType> {
    let events = world.broker.events().into_iter();
    events
        .filter(|event| event.key() == id)
        .map(|event| event.event_type())
        .collect()
}

#[tokio::test]
async fn an_event_that_the_broker_refuses_waits_in_its_orders_outbox_until_the_broker_takes_it() {
    let (world, big) = (World::new(), long_id());
    world.broker.largest.store(LARGEST, Ordering::SeqCst);
    for id in ["a", &big, "b"] {
        world.broker.send_event(&reserved(id));
    }
    world.caught_up().await;
    for id in ["a", "b"] {
        assert_eq!(told_of(&world, id), [EventType::PaymentAuthorized], "{id}");
    }
    assert_eq!(told_of(&world, &big), []);
    let waits = world.record(&big).await.unwrap().outbox;
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].last_error.as_deref(), Some("too large"));

    // Nobody else waits with it: not what comes later, and not what the sweep publishes.
    world.broker.send_event(&shipped("a"));
    world.caught_up().await;
    assert_eq!(
        told_of(&world, "a").last(),
        Some(&EventType::OrderConfirmed)
    );
    world.clock.advance(Duration::from_secs(15));
    let tries = async {
        while world.record(&big).await.unwrap().outbox[0].attempts < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tries)
        .await
        .expect("the sweep tries it again");

    world.broker.largest.store(0, Ordering::SeqCst);
    world.clock.advance(Duration::from_mins(1));
    world
        .until("it is told at last", || {
            told_of(&world, &big) == [EventType::PaymentAuthorized]
        })
        .await;
}

#[tokio::test]
async fn a_redelivery_keeps_what_is_refused_once() {
    let (mut world, big) = (World::new(), long_id());
    world.broker.largest.store(LARGEST, Ordering::SeqCst);
    world.broker.send_event(&reserved(&big));
    world.caught_up().await;
    world.crash().await;
    world.start();
    world.broker.send_event(&reserved(&big));
    world.caught_up().await;
    assert_eq!(world.record(&big).await.unwrap().outbox.len(), 1);
    assert_eq!(world.record(&big).await.unwrap().state.charges, 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_participants_outbox_is_shown_until_the_broker_has_it() {
    let world = World::new();
    // An event that was kept: what it causes is in the outbox.
    world.broker.send_event(&shipped("o"));
    world.caught_up().await;
    let fails = &world.broker.publishes.before;
    fails.store(usize::MAX, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    let shown = |count: f64| {
        let world = &world;
        move || (world.shown_outbox() - count).abs() < 0.1
    };
    world.until("one entry waits", shown(1.0)).await;
    fails.store(0, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(5));
    world.until("nothing waits", shown(0.0)).await;
}
