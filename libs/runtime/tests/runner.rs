//! What the runner guarantees when things fail between its steps.
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

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::FakeBroker;
use common::world::{BOTH, ToyState, World, order, reserved, shipped};
use sagaline_contracts::EventType;
use sagaline_saga::OrderRecord;
use sagaline_store::{Index, Write};

#[tokio::test(start_paused = true)]
async fn the_producer_is_connected_before_the_first_message_and_again_after_a_refusal() {
    let broker = Arc::new(FakeBroker::default());
    broker.producers_refused.store(2, Ordering::SeqCst);
    let world = World::on(broker);
    world
        .until("it is connected", || {
            world.broker.producers.load(Ordering::SeqCst) == 3
        })
        .await;
    assert!(world.broker.published.lock().is_empty());
    world.broker.send_event(&reserved("o-1"));
    world.caught_up().await;
    assert_eq!(world.broker.producers.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_does_not_end_is_left_to_the_next_start() {
    let mut world = World::new();
    world.gateway.hangs.store(true, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    world.gateway_was_called(1).await;
    world.token.cancel();
    let ended = world.running.take().unwrap();
    tokio::time::timeout(Duration::from_secs(9), ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(world.broker.lag(), 1, "it is not committed");

    world.gateway.hangs.store(false, Ordering::SeqCst);
    world.start();
    world.caught_up().await;
    assert_eq!(world.record("o").await.unwrap().state.charges, 1);
}

#[tokio::test]
async fn a_batch_of_one_order_is_worked_off_in_order_and_saved_once() {
    let world = World::new();
    world.broker.send_event(&reserved("o"));
    world.broker.send_event(&shipped("o"));
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), BOTH);
    assert_eq!(
        world.record("o").await.unwrap().state,
        ToyState {
            charges: 1,
            shipped: true,
            ..ToyState::default()
        }
    );
}

#[tokio::test]
async fn a_failure_between_any_two_steps_loses_and_doubles_nothing() {
    for step in 0..4 {
        let world = World::new();
        let faults = [
            &world.store.saves.before,
            &world.store.saves.after,
            &world.broker.publishes.before,
            &world.broker.publishes.after,
        ];
        faults[step].store(2, Ordering::SeqCst);
        for id in ["a", "b", "c"] {
            world.broker.send_event(&reserved(id));
            world.broker.send_event(&shipped(id));
        }
        world.caught_up().await;
        let mut kinds = world.broker.distinct();
        kinds.sort();
        assert_eq!(kinds.len(), 6, "step {step}: {kinds:?}");
        for id in ["a", "b", "c"] {
            assert_eq!(
                world.record(id).await.unwrap().state,
                ToyState {
                    charges: 1,
                    shipped: true,
                    ..ToyState::default()
                },
                "step {step}"
            );
        }
    }
}

#[tokio::test]
async fn a_crash_after_the_save_publishes_the_same_events_after_the_restart() {
    let mut world = World::new();
    world
        .broker
        .publishes
        .before
        .store(usize::MAX, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    while world.record("o").await.is_none() {
        tokio::task::yield_now().await;
    }
    world.crash().await;
    assert_eq!(world.broker.distinct(), []);
    world.broker.publishes.before.store(0, Ordering::SeqCst);
    world.start();
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
    assert_eq!(
        world.gateway.calls.load(Ordering::SeqCst),
        1,
        "the record knows that it is charged"
    );
}

#[tokio::test]
async fn a_crash_before_an_early_event_is_published_is_healed_by_the_outbox() {
    let mut world = World::new();
    world.broker.send_event(&shipped("o"));
    world.caught_up().await;
    world
        .broker
        .publishes
        .before
        .store(usize::MAX, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    while world.record("o").await.unwrap().state.charges == 0 {
        tokio::task::yield_now().await;
    }
    world.crash().await;
    world.broker.publishes.before.store(0, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(3));
    world.start();
    world
        .until("both are published", || world.broker.distinct().len() == 2)
        .await;
    world.caught_up().await;
    world.clock.advance(Duration::from_mins(1));
    for _ in 0..100 {
        if world.record("o").await.unwrap().outbox.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "the outbox is not emptied: {:?}",
        world.record("o").await.unwrap().outbox
    );
}

#[tokio::test]
async fn an_outage_of_the_gateway_is_waited_out_and_nothing_is_a_dead_letter() {
    let world = World::new();
    world.gateway.down.store(true, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((world.broker.distinct(), world.broker.lag()), (vec![], 1));
    world.gateway.down.store(false, Ordering::SeqCst);
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
}

#[tokio::test]
async fn an_effect_that_fails_for_one_order_delays_only_that_order() {
    let world = World::new();
    world.gateway.failing.store(1, Ordering::SeqCst);
    world.broker.send_event(&reserved("slow"));
    world.caught_up().await;
    world.broker.send_event(&reserved("fast"));
    world.broker.send_event(&shipped("slow"));
    world.caught_up().await;
    assert_eq!(world.broker.events().len(), 1);
    assert_eq!(world.record("slow").await.unwrap().parked.len(), 2);
    world.clock.advance(Duration::from_secs(15));
    world
        .until("the slow order goes on", || {
            world.broker.distinct().len() == 3
        })
        .await;
    assert_eq!(
        world.record("slow").await.unwrap().state,
        ToyState {
            charges: 1,
            shipped: true,
            ..ToyState::default()
        }
    );
}

#[tokio::test]
async fn a_lost_race_starts_again_from_the_winners_record() {
    let world = World::new();
    // Another instance handles the reservation while this one is about to save.
    let mut winner = OrderRecord::<ToyState>::unknown(order("o"));
    winner.state.charges = 7;
    let body = serde_json::to_vec(&winner).unwrap().into();
    *world.store.rival.lock() = Some(Write {
        id: "o".to_owned(),
        expected: 0,
        body,
        index: Index::default(),
    });
    world.broker.send_event(&reserved("o"));
    world.caught_up().await;
    assert_eq!(world.record("o").await.unwrap().state.charges, 7);
    assert_eq!(world.broker.distinct(), [], "the loser tells nothing");
}

#[tokio::test]
async fn messages_of_no_order_are_dead_letters_and_the_others_flow() {
    let world = World::new();
    let topic = EventType::InventoryReserved.as_str();
    world.broker.send(topic, None, Some(b"{}"));
    world
        .broker
        .send(topic, Some("no spaces allowed"), Some(b"{}"));
    world
        .broker
        .send(topic, Some("poisoned"), Some(&[0xff, 0x00]));
    world.broker.send(topic, Some("poisoned"), None);
    world.broker.send_event(&reserved("o"));
    world.caught_up().await;
    let kinds = world.broker.distinct();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == EventType::DeadLetter)
            .count(),
        4,
        "{kinds:?}"
    );
    assert!(kinds.contains(&EventType::PaymentAuthorized));
    let letters = world.broker.published.lock();
    assert!(
        letters
            .iter()
            .filter(|m| m.topic.ends_with(".dlq"))
            .all(|m| m.topic == "inventory.InventoryReserved.v1.dlq")
    );
}

#[tokio::test]
async fn a_shutdown_in_an_outage_leaves_the_batch_for_the_next_instance() {
    let mut world = World::new();
    world.gateway.down.store(true, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.token.cancel();
    let drained = tokio::time::timeout(Duration::from_secs(5), world.running.take().unwrap()).await;
    drained.expect("the shutdown is bounded").unwrap();
    world.gateway.down.store(false, Ordering::SeqCst);
    world.start();
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
}

#[tokio::test]
async fn what_is_saved_is_told_as_it_is_saved_and_a_tick_tells_as_well() {
    let world = World::new();
    world.broker.send_event(&reserved("a"));
    world.broker.send_event(&shipped("early"));
    world.caught_up().await;
    let told = |world: &World| world.gateway.told.lock().clone();
    assert_eq!(told(&world), [("a".to_owned(), 1), ("early".to_owned(), 0)]);

    // the effect of a later try is carried out by a tick, without a message
    world.gateway.told.lock().clear();
    world.gateway.failing.store(1, Ordering::SeqCst);
    world.broker.send_event(&reserved("slow"));
    world.caught_up().await;
    assert_eq!(told(&world), [("slow".to_owned(), 0)], "not charged yet");
    world.clock.advance(Duration::from_secs(15));
    world
        .until("the later try is told", || {
            told(&world).contains(&("slow".to_owned(), 1))
        })
        .await;
    assert_eq!(world.record("slow").await.unwrap().state.charges, 1);
}

#[tokio::test]
async fn a_lost_race_is_told_with_the_winners_state() {
    let world = World::new();
    let mut winner = OrderRecord::<ToyState>::unknown(order("o"));
    winner.state.charges = 7;
    let body = serde_json::to_vec(&winner).unwrap().into();
    *world.store.rival.lock() = Some(Write {
        id: "o".to_owned(),
        expected: 0,
        body,
        index: Index::default(),
    });
    world.broker.send_event(&reserved("o"));
    world.caught_up().await;
    assert_eq!(*world.gateway.told.lock(), [("o".to_owned(), 7)]);
}
