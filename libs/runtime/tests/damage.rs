//! A document that cannot be used hurts its own order, and no other.
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

use std::time::Duration;

use common::world::{COLLECTION, World, order, reserved, shipped};
use sagaline_contracts::payload::{DeadLetter, RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventType, Payload};
use sagaline_saga::given;
use sagaline_store::{Index, Store, Write};

async fn write(world: &World, id: &str, expected: u64, body: &str) {
    let write = Write {
        id: id.to_owned(),
        expected,
        body: body.to_owned().into(),
        index: Index {
            due: Some(0),
            ..Index::default()
        },
    };
    world.store.save(COLLECTION, vec![write]).await.unwrap();
}

fn letters(world: &World) -> Vec<DeadLetter> {
    let published = world.broker.published.lock();
    let letters = published
        .iter()
        .filter(|message| message.topic.ends_with(".dlq"))
        .map(|message| Event::from_json(EventType::DeadLetter, &message.value).unwrap());
    letters
        .map(|event| match event.payload {
            Payload::DeadLetter(letter) => letter,
            other => panic!("not a dead letter: {other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn messages_of_an_order_whose_document_is_no_record_are_dead_letters_and_the_others_flow() {
    for body in [
        "{\"state\":7}",
        "{\"orderId\":\"other\",\"state\":{\"charges\":0,\"shipped\":false}}",
    ] {
        let world = World::new();
        write(&world, "bad", 0, body).await;
        for id in ["a", "bad", "b"] {
            world.broker.send_event(&reserved(id));
            world.broker.send_event(&shipped(id));
        }
        world.caught_up().await;
        for id in ["a", "b"] {
            assert!(world.record(id).await.unwrap().state.shipped, "{id}");
        }
        let letters = letters(&world);
        assert_eq!(letters.len(), 2, "{letters:?}");
        for letter in letters {
            assert_eq!(letter.order_id, Some(order("bad")));
            assert_eq!(letter.attempts, Some(0), "it was not tried");
            assert!(letter.error.contains("\"bad\""), "{}", letter.error);
            assert!(letter.error.contains("redrive"), "{}", letter.error);
            assert_eq!(letter.payload["orderId"], "bad", "nothing is lost");
        }
        let stored = world.store.load(COLLECTION, &["bad"]).await.unwrap();
        let stored = stored.into_iter().flatten().next().unwrap();
        assert_eq!((stored.version, &stored.body[..]), (1, body.as_bytes()));
    }
}

#[tokio::test]
async fn a_document_that_the_store_cannot_read_or_write_holds_nobody_else_up() {
    let world = World::new();
    world.store.damaged.lock().extend(["x".into(), "y".into()]);
    for id in ["a", "x", "y", "b"] {
        world.broker.send_event(&reserved(id));
    }
    world.caught_up().await;
    for id in ["a", "b"] {
        assert_eq!(world.record(id).await.unwrap().state.charges, 1);
    }
    let hurt: Vec<_> = letters(&world)
        .into_iter()
        .map(|letter| letter.order_id.unwrap())
        .collect();
    assert_eq!(hurt, [order("x"), order("y")]);
}

#[tokio::test]
async fn a_document_that_cannot_be_written_hurts_its_order_alone() {
    let world = World::new();
    *world.store.unwritable.lock() = Some("big".to_owned());
    for id in ["a", "big", "b"] {
        world.broker.send_event(&reserved(id));
    }
    world.caught_up().await;
    for id in ["a", "b"] {
        assert_eq!(world.record(id).await.unwrap().state.charges, 1);
    }
    let letters = letters(&world);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].order_id, Some(order("big")));
    let told = world.broker.events();
    let charged = told
        .iter()
        .filter(|event| event.order_id == Some(order("big")))
        .filter(|event| event.event_type() == EventType::PaymentAuthorized);
    assert_eq!(charged.count(), 0, "nothing is told that is not saved");
}

fn redrive(letter: &DeadLetter, along: &Event) -> RedriveRequested {
    RedriveRequested {
        order_id: order("bad"),
        dead_letter_id: letter.dead_letter_id.clone().unwrap(),
        action: RedriveAction::Redrive,
        event: Some(serde_json::from_slice(&along.encode()).unwrap()),
        consumers: vec!["toy-service".to_owned()],
        requested_by: "ann".to_owned(),
    }
}

#[tokio::test]
async fn what_is_due_is_done_although_a_document_beside_it_is_damaged() {
    let world = World::new();
    write(&world, "bad", 0, "{}").await;
    world
        .gateway
        .failing
        .store(1, std::sync::atomic::Ordering::SeqCst);
    world.broker.send_event(&reserved("slow"));
    world.caught_up().await;
    world.clock.advance(Duration::from_secs(15));
    world
        .until("the later try is made", || {
            world.broker.distinct() == [EventType::PaymentAuthorized]
        })
        .await;
}

#[tokio::test]
async fn what_is_due_is_done_although_more_documents_are_damaged_than_one_tick_looks_after() {
    let world = World::new();
    for n in 0..1_200 {
        write(&world, &format!("bad-{n}"), 0, "{}").await;
    }
    world
        .gateway
        .failing
        .store(1, std::sync::atomic::Ordering::SeqCst);
    world.broker.send_event(&reserved("slow"));
    world.caught_up().await;
    world.clock.advance(Duration::from_secs(15));
    world
        .until("the later try is made", || {
            world.broker.distinct() == [EventType::PaymentAuthorized]
        })
        .await;
}

#[tokio::test]
async fn after_the_document_is_mended_its_dead_letters_are_redriven_and_handled_once() {
    let world = World::new();
    write(&world, "bad", 0, "{}").await;
    let event = reserved("bad");
    world.broker.send_event(&event);
    world.caught_up().await;
    let letter = letters(&world).remove(0);
    write(
        &world,
        "bad",
        1,
        "{\"orderId\":\"bad\",\"state\":{\"charges\":0,\"shipped\":false}}",
    )
    .await;
    for id in ["first", "again"] {
        world
            .broker
            .send_event(&given::event(id, redrive(&letter, &event)));
    }
    world.caught_up().await;
    assert_eq!(world.record("bad").await.unwrap().state.charges, 1);
    let charged = |kind: &EventType| *kind == EventType::PaymentAuthorized;
    assert_eq!(
        world.broker.distinct().into_iter().filter(charged).count(),
        1
    );
}

#[tokio::test]
async fn a_redrive_that_came_too_soon_is_a_dead_letter_that_can_be_redriven() {
    let world = World::new();
    write(&world, "bad", 0, "{}").await;
    let event = reserved("bad");
    world.broker.send_event(&event);
    world.caught_up().await;
    let too_soon = given::event("too-soon", redrive(&letters(&world)[0], &event));
    world.broker.send_event(&too_soon);
    world.caught_up().await;
    let letters = letters(&world);
    assert_eq!(letters.len(), 2, "{letters:?}");
    write(
        &world,
        "bad",
        1,
        "{\"orderId\":\"bad\",\"state\":{\"charges\":0,\"shipped\":false}}",
    )
    .await;
    let in_time = given::event("in-time", redrive(&letters[1], &too_soon));
    world.broker.send_event(&in_time);
    world.caught_up().await;
    assert_eq!(world.record("bad").await.unwrap().state.charges, 1);
    // the message itself comes again: handled under its own id
    world.broker.send_event(&event);
    world.caught_up().await;
    assert_eq!(world.record("bad").await.unwrap().state.charges, 1);
}
