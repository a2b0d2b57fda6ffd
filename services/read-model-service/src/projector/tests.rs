//! The projector on a store that is contended, loses answers, or is down.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use sagaline_commands::Outcome;
use sagaline_contracts::payload::{DeadLetter, RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventType};
use sagaline_runtime::{BatchHandler, Inbound};
use sagaline_store::{Index, Store, Write};
use serde_json::{Value, json};

use crate::collections::{DEAD_LETTERS, ORDERS};
use crate::projection::PROJECTOR;
use crate::testing::given::*;
use crate::testing::{World, of_order};

async fn stored(world: &World, id: &str) -> Value {
    let stored = world.store.memory.load(ORDERS, &[id]).await.unwrap();
    serde_json::from_slice(&stored[0].as_ref().unwrap().body).unwrap()
}

fn expected(events: &[Event]) -> Value {
    document(events)
}

#[tokio::test]
async fn a_whole_order_in_one_batch_is_not_loaded_and_saved_once() {
    let world = World::new();
    world.project(&happy()).await;
    assert_eq!(stored(&world, "o-1").await, expected(&happy()));
    assert_eq!(world.store.loads.load(Ordering::Relaxed), 0);
    assert_eq!(world.store.writes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_order_in_flight_is_saved_event_by_event_without_a_load() {
    let world = World::new();
    for event in happy() {
        world.project(&[event]).await;
    }
    assert_eq!(stored(&world, "o-1").await, expected(&happy()));
    assert_eq!(world.store.loads.load(Ordering::Relaxed), 0);
    assert_eq!(world.store.writes.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn any_order_of_arrival_over_two_instances_ends_in_the_same_bytes() {
    let events = failed();
    for rotation in 0..events.len() {
        let one = World::new();
        let other = World::on(Arc::clone(&one.store));
        let mut arriving = events.clone();
        arriving.rotate_left(rotation);
        arriving.reverse();
        for (at, event) in arriving.iter().enumerate() {
            let world = if at % 2 == 0 { &one } else { &other };
            world.project(std::slice::from_ref(event)).await;
            world.project(std::slice::from_ref(event)).await;
        }
        assert_eq!(
            stored(&one, "o-1").await,
            expected(&events),
            "rotation {rotation}"
        );
    }
}

#[tokio::test]
async fn a_document_that_another_instance_saved_meanwhile_is_merged() {
    let world = World::new();
    let other = World::on(Arc::clone(&world.store));
    let events = happy();
    world.project(&events[..1]).await;
    let overtaking = events[1].clone();
    *world.store.before_save.lock() = Some(Box::new(move || {
        Box::pin(async move { other.project(&[overtaking]).await })
    }));
    world.project(&events[2..]).await;
    assert_eq!(stored(&world, "o-1").await, expected(&events));
}

#[tokio::test]
async fn a_save_without_an_answer_is_done_again_and_everybody_is_told() {
    let world = World::new();
    let mut watch = world.hub.watchers.watch(order_id());
    world.store.loses_answer.store(true, Ordering::Relaxed);
    let batch: Vec<Inbound> = happy().iter().map(|event| world.message(event)).collect();
    assert!(world.projector.handle(&batch).await.is_err());
    world.projector.handle(&batch).await.unwrap();
    assert_eq!(stored(&world, "o-1").await, expected(&happy()));
    let mut seen = crate::live::Seen::default();
    assert_eq!(seen.unseen(&*watch.changed().await).len(), 5);
    // the counts start over, for nobody knows what was counted
    assert!(world.stats.counts.total().counting);
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    assert_eq!(world.stats.counts.total().by_outcome["CONFIRMED"], 1);
}

#[tokio::test]
async fn an_outage_loses_nothing_and_doubles_nothing() {
    let world = World::new();
    world.project(&happy()[..2]).await;
    world.store.is_down.store(true, Ordering::Relaxed);
    let batch: Vec<Inbound> = happy()[2..]
        .iter()
        .map(|event| world.message(event))
        .collect();
    let outage = world.projector.handle(&batch).await.unwrap_err();
    assert_eq!(outage.dependency, "store");
    world.store.is_down.store(false, Ordering::Relaxed);
    world.projector.handle(&batch).await.unwrap();
    assert_eq!(stored(&world, "o-1").await, expected(&happy()));
}

#[tokio::test]
async fn redelivered_orders_are_merged_and_soon_loaded_first() {
    let world = World::new();
    let orders: Vec<Event> = (0..20)
        .flat_map(|n| of_order(&happy(), &format!("o-{n}")))
        .collect();
    world.project(&orders).await;
    let writes = world.store.writes.load(Ordering::Relaxed);
    world.project(&orders).await;
    world.project(&orders).await;
    // the first time the guess that they are new was wrong; the second time nobody guessed
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes + 20);
    let order = stored(&world, "o-7").await;
    assert_eq!(order["outcome"], "CONFIRMED");
    assert_eq!(order["timeline"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_becomes_a_dead_letter_and_holds_up_nothing() {
    let world = World::new();
    let mut batch = vec![world.raw("payment.PaymentAuthorized.v1", Some("o-1"), b"not json")];
    batch.extend(happy().iter().map(|event| world.message(event)));
    world.projector.handle(&batch).await.unwrap();
    assert_eq!(stored(&world, "o-1").await, expected(&happy()));
    let published = world.broker.published.lock().clone();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].topic, "payment.PaymentAuthorized.v1.dlq");
    assert_eq!(published[0].key, "o-1");
    let letter = Event::from_json(EventType::DeadLetter, &published[0].value).unwrap();
    // the same message again gives the same event
    world.projector.handle(&batch[..1]).await.unwrap();
    let again = world.broker.published.lock()[1].clone();
    assert_eq!(
        Event::from_json(EventType::DeadLetter, &again.value)
            .unwrap()
            .id,
        letter.id
    );
    // and the letter comes back over its topic
    world.deliver_published().await;
    assert_eq!(world.store.memory.count(DEAD_LETTERS).await.unwrap(), 1);
    let order = stored(&world, "o-1").await;
    assert_eq!(order["deadLetters"][0]["consumer"], PROJECTOR);
    assert_eq!(order["outcome"], "CONFIRMED");
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_read_makes_no_dead_letter() {
    let world = World::new();
    let message = world.raw("payment.PaymentAuthorized.v1.dlq", Some("o-1"), b"not json");
    world.projector.handle(&[message]).await.unwrap();
    assert!(world.broker.published.lock().is_empty());
}

#[tokio::test]
async fn a_batch_is_not_done_before_its_dead_letters_are_acknowledged() {
    let world = World::new();
    world.broker.is_down.store(true, Ordering::Relaxed);
    let message = world.raw("payment.PaymentAuthorized.v1", Some("o-1"), b"not json");
    let outage = world.projector.handle(&[message]).await.unwrap_err();
    assert_eq!(outage.dependency, "kafka");
}

#[tokio::test]
async fn a_document_that_cannot_be_read_holds_up_no_other_order() {
    let world = World::new();
    let damaged = sagaline_store::Write {
        id: "o-1".to_owned(),
        expected: 0,
        body: r#"{"nonsense":true}"#.into(),
        index: sagaline_store::Index::default(),
    };
    world
        .store
        .memory
        .save(ORDERS, vec![damaged])
        .await
        .unwrap();
    let mut events = happy();
    events.extend(of_order(&happy(), "o-2"));
    world.project(&events).await;
    assert_eq!(stored(&world, "o-1").await, json!({ "nonsense": true }));
    assert_eq!(stored(&world, "o-2").await["outcome"], "CONFIRMED");
}

#[tokio::test]
async fn transitions_keep_the_counts_that_a_scan_would_find() {
    let world = World::new();
    world.project(&of_order(&failed(), "before")).await;
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    for (at, event) in happy().into_iter().enumerate() {
        world.project(&[event]).await;
        let total = world.stats.counts.total();
        let in_flight = u64::from(at < 4);
        assert_eq!(
            (total.total, total.in_flight),
            (2, in_flight),
            "after event {at}"
        );
    }
    world
        .project(&[event("w", 9, None, wish("saga-timeout", Some(1)))])
        .await;
    let total = world.stats.counts.total();
    assert_eq!(
        (
            total.by_status["SHIPPED"],
            total.by_status["PAYMENT_FAILED"]
        ),
        (1, 1)
    );
    let kept = total.clone();
    let gate = world.stats.counts.gate().await;
    world.stats.counts.recount(&gate);
    drop(gate);
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    assert_eq!(world.stats.counts.total(), kept);
}

#[tokio::test]
async fn orders_that_come_while_the_scan_is_under_way_are_counted_once() {
    let world = World::new();
    let name = |n: usize| format!("o-{n:05}");
    let old: Vec<Event> = (0..2_500)
        .flat_map(|n| of_order(&happy()[..1], &name(n)))
        .collect();
    world.project(&old).await;
    assert!(world.stats.counts.scan_page(&*world.store).await.unwrap());
    // one order that the scan has passed, one that it has not, and two new ones
    for id in [name(3), name(2_000), "a-new".to_owned(), "z-new".to_owned()] {
        world.project(&of_order(&happy(), &id)).await;
    }
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    let total = world.stats.counts.total();
    assert_eq!((total.total, total.in_flight), (2_502, 2_498));
    assert_eq!(total.by_outcome[Outcome::Confirmed.as_str()], 4);
}

#[tokio::test]
async fn latency_and_throughput_are_of_what_was_saved() {
    let world = World::new();
    world.project(&happy()).await;
    world.project(&happy()).await;
    world.clock.advance(1);
    let report = world.stats.report(world.ports.clock.now());
    assert_eq!(report.latency_ms.count, 1);
    assert!((report.latency_ms.p50 - 4_000.0).abs() < f64::EPSILON);
    assert!((report.throughput.created.second - 1.0).abs() < f64::EPSILON);
    assert!((report.throughput.finished.second - 1.0).abs() < f64::EPSILON);
    assert!((report.throughput.events.second - 10.0).abs() < f64::EPSILON);
    assert!(report.projector.lag_ms > 90_000.0);
}

#[tokio::test]
async fn a_lost_race_merges_what_the_batch_brought_and_nothing_that_was_remembered() {
    let world = World::new();
    let events = happy();
    for event in &events[..3] {
        world.project(std::slice::from_ref(event)).await;
    }
    // A rebuild empties the document; what the instance remembers of it is not to come back with the next event.
    let stored = world.store.memory.load(ORDERS, &["o-1"]).await.unwrap();
    let empty = Write {
        id: "o-1".to_owned(),
        expected: stored[0].as_ref().unwrap().version,
        body: br"{}"[..].into(),
        index: Index::default(),
    };
    world.store.memory.save(ORDERS, vec![empty]).await.unwrap();
    world.project(&events[3..4]).await;
    assert_eq!(stored_of(&world).await, expected(&events[3..4]));
    // An event that the instance knew, and the document does not any more, counts as new.
    world.project(&events[1..2]).await;
    assert_eq!(
        stored_of(&world).await,
        expected(&[events[1].clone(), events[3].clone()])
    );
}

async fn stored_of(world: &World) -> Value {
    stored(world, "o-1").await
}

#[tokio::test]
async fn names_and_texts_of_any_size_hold_up_nobody() {
    let world = World::new();
    let long = "x".repeat(2_000);
    let mut events = Vec::new();
    for (at, (letter, by)) in [("", "ann"), (&long, "ann"), ("letter-1", &long)]
        .into_iter()
        .enumerate()
    {
        let request = RedriveRequested {
            dead_letter_id: letter.to_owned(),
            requested_by: by.to_owned(),
            ..redrive(RedriveAction::Discard, &[], None)
        };
        events.push(event(
            &format!("r{at}"),
            9 + i64::try_from(at).unwrap(),
            None,
            request,
        ));
        let death = DeadLetter {
            dead_letter_id: Some(letter.to_owned()),
            ..dead_letter("payment-service", json!({}))
        };
        events.push(event(&format!("d{at}"), 5, None, death));
    }
    events.extend(happy());
    world.project(&events).await;
    assert_eq!(world.get("/orders/o-1").await.1, expected(&events));
    let (_, letters) = world.get("/dead-letters?state=discarded").await;
    assert_eq!(letters.as_array().unwrap().len(), 3);
    let (status, letter) = world.get(&format!("/dead-letters/{long}")).await;
    assert_eq!(
        (status, &letter["state"]),
        (StatusCode::OK, &"discarded".into())
    );
    let audit = world.audit().await;
    assert_eq!(audit.len(), 3);
    assert!(
        audit
            .iter()
            .any(|entry| entry["requestedBy"] == long.as_str())
    );
}

#[tokio::test]
async fn a_message_that_dies_again_and_again_stays_within_what_stores_take() {
    let world = World::new();
    let payload = json!({ "text": "x".repeat(600_000) });
    let mut events: Vec<Event> = Vec::new();
    for n in 0..30 {
        let letter = dead_letter(&format!("service-{n}"), payload.clone());
        events.push(event(&format!("d{n:02}"), 100 - i64::from(n), None, letter));
    }
    for batch in events.chunks(10) {
        world.project(batch).await;
    }
    let stored = world
        .store
        .memory
        .load(DEAD_LETTERS, &["letter-1"])
        .await
        .unwrap();
    let body = &stored[0].as_ref().unwrap().body;
    assert!(body.len() < 3_000_000, "{}", body.len());
    let letter: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(letter["payload"], payload, "the first one is whole");
    assert_eq!(letter["deaths"].as_array().unwrap().len(), 30);
    assert_eq!(letter["consumers"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn an_order_whose_document_is_not_usable_holds_up_no_other_and_its_messages_are_dead_letters()
{
    for is_refused in [true, false] {
        let world = World::new();
        if is_refused {
            *world.store.refuses.lock() = Some("o-1".to_owned());
        } else {
            let damaged = Write {
                id: "o-1".to_owned(),
                expected: 0,
                body: br#"{"nonsense":true}"#[..].into(),
                index: Index::default(),
            };
            world
                .store
                .memory
                .save(ORDERS, vec![damaged])
                .await
                .unwrap();
        }
        let mut events = happy();
        events.extend(of_order(&happy(), "o-2"));
        world.project(&events).await;
        assert_eq!(world.get("/orders/o-2").await.0, StatusCode::OK);
        let published = world.broker.published.lock().clone();
        assert_eq!(published.len(), 5, "refused: {is_refused}");
        assert!(
            published
                .iter()
                .all(|letter| letter.topic.ends_with(".dlq"))
        );
        // They are of that order, too, and make no more of themselves.
        world.deliver_published().await;
        assert!(world.broker.published.lock().is_empty());
        let (_, letters) = world.get("/dead-letters?state=waiting").await;
        assert_eq!(letters.as_array().unwrap().len(), 5);
        while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
        assert_eq!(world.stats.counts.total().total, 1);
    }
}
