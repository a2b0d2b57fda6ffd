use std::sync::atomic::Ordering;

use sagaline_contracts::Event;
use sagaline_runtime::{BatchHandler, Inbound};
use sagaline_store::{Index, SaveResult, Store, Write};
use serde_json::json;

use super::*;
use crate::collections::AUDIT;
use crate::testing::given::*;
use crate::testing::{BeforeReplay, World, of_order};

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
    let report = rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap();
    assert_eq!(report.orders, 31);
    // Of the rebuild itself the audit has a line more.
    let is_its = |line: &&str| line.contains(r#""command":"rebuild""#);
    let after = exported(&world).await;
    let after: Vec<&str> = after.lines().filter(|line| !is_its(line)).collect();
    assert_eq!(after, before.lines().collect::<Vec<_>>());
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
    rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap();
    // the service still has the order in memory as it was before
    world.project(&events[3..]).await;
    assert_eq!(world.get("/orders/o-1").await.1, document(&events));
}

#[tokio::test(start_paused = true)]
async fn a_save_from_before_a_rebuild_that_comes_late_overwrites_nothing() {
    let world = World::new();
    let events = happy();
    world.project(&events[..2]).await;
    // What another instance was about to save, when it stood still: it goes by the only version that there was.
    let before = world.store.memory.load(ORDERS, &["o-1"]).await.unwrap();
    let before = before.into_iter().flatten().next().unwrap();
    let late = Write {
        id: before.id,
        expected: before.version,
        body: br#"{"late":true}"#[..].into(),
        index: Index::default(),
    };
    let replayed: Vec<Inbound> = events.iter().map(|event| world.message(event)).collect();
    // One by one, so that versions go up to where they were and beyond.
    world
        .broker
        .batches
        .lock()
        .extend(replayed.into_iter().map(|message| vec![message]));
    rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap();
    let saved = world.store.memory.save(ORDERS, vec![late]).await.unwrap();
    assert_eq!(saved, [SaveResult::Conflict]);
    assert_eq!(world.get("/orders/o-1").await.1, document(&events));
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_race_remembered_from_before_a_rebuild_does_not_come_back() {
    let world = World::new();
    // An order of which the topics have nothing any more, but for what comes now.
    world.project(&happy()[..4]).await;
    world.broker.gone.store(4, Ordering::Relaxed);
    let options = RebuildOptions {
        accept_loss: true,
        ..RebuildOptions::by("ann")
    };
    rebuild(&world.ports, options).await.unwrap();
    assert_eq!(world.store.memory.count(ORDERS).await.unwrap(), 0);
    world.project(&happy()[4..]).await;
    assert_eq!(world.get("/orders/o-1").await.1, document(&happy()[4..]));
}

#[tokio::test(start_paused = true)]
async fn what_is_empty_during_a_rebuild_is_nowhere_to_be_seen() {
    let world = World::new();
    world.project(&happy()).await;
    let letter = event(
        "dead",
        9,
        None,
        dead_letter("payment-service", json!({ "a": 1 })),
    );
    world.project(&[letter]).await;
    world.broker.is_endless.store(true, Ordering::Relaxed);
    let cut_off = rebuild(&world.ports, RebuildOptions::by("ann"));
    let limit = Duration::from_secs(1);
    assert!(tokio::time::timeout(limit, cut_off).await.is_err());
    let documents = world.store.memory.count(ORDERS).await.unwrap();
    assert_eq!(documents, 1, "it keeps its version");
    for path in ["/orders/o-1", "/dead-letters/letter-1"] {
        assert_eq!(world.get(path).await.0, axum::http::StatusCode::NOT_FOUND);
    }
    for path in ["/orders", "/dead-letters"] {
        assert_eq!(world.get(path).await.1, json!([]));
    }
    assert_eq!(exported(&world).await, "");
    while world.stats.counts.scan_page(&*world.store).await.unwrap() {}
    assert_eq!(world.stats.counts.total().total, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_projected_while_documents_are_emptied_is_read_from_the_topics() {
    let world = World::new();
    let events = happy();
    world.project(&events[..2]).await;
    // Between the emptying and the first message the service saves what it had in hand, and what is new.
    let other = World::on(Arc::clone(&world.store));
    let (new, all) = (events[4].clone(), events[..4].to_vec());
    let before = async move { other.project(&[new]).await };
    *world.broker.before_replay.lock() = Some(BeforeReplay(Box::pin(before)));
    let replayed = all.iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().push_back(replayed);
    rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap();
    assert_eq!(world.get("/orders/o-1").await.1, document(&events));
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_whose_messages_stop_coming_is_an_error_in_bounded_time() {
    let world = World::new();
    world.broker.is_endless.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let error = rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RebuildError::Stalled { left: 1_000, .. }),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(is_rebuild_unfinished(&*world.store).await.unwrap());
    let audit = world.audit().await;
    assert_eq!(
        (&audit[0]["command"], &audit[0]["outcome"]),
        (&"rebuild".into(), &"rejected".into())
    );
}

#[tokio::test(start_paused = true)]
async fn topics_that_have_lost_messages_are_not_rebuilt_from_unless_that_is_meant() {
    let world = World::new();
    world.project(&happy()).await;
    world.broker.gone.store(3, Ordering::Relaxed);
    let error = rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("3 messages are gone"), "{error}");
    let (status, body) = world.post("/admin/rebuild", "").await;
    assert_eq!(status, axum::http::StatusCode::CONFLICT);
    assert_eq!(body["gone"], 3);
    assert!(body["error"].as_str().unwrap().contains("acceptLoss"));
    assert_eq!(
        world.get("/orders/o-1").await.1,
        document(&happy()),
        "nothing was touched"
    );
    world.clock.advance(1);
    let (status, report) = world.post("/admin/rebuild", r#"{"acceptLoss":true}"#).await;
    assert_eq!(
        (status, &report["orders"]),
        (axum::http::StatusCode::OK, &0.into())
    );
    let audit = world.audit().await;
    let outcomes: Vec<_> = audit
        .iter()
        .map(|entry| (entry["outcome"].as_str().unwrap(), entry["note"].as_str()))
        .collect();
    assert_eq!(outcomes[0], ("accepted", Some("acceptLoss")));
    assert_eq!(outcomes[1].0, "rejected");
}

/// It has emptied everything by then: to give up would leave nothing to see until somebody starts another one.
#[tokio::test(start_paused = true)]
async fn a_broker_that_goes_away_once_everything_is_emptied_is_waited_for() {
    let world = World::new();
    let events = happy();
    world.project(&events).await;
    let replayed = events.iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().push_back(replayed);
    let looks = [true, false, false, false, false, false];
    world.broker.looks.lock().extend(looks);
    let rebuilt = rebuild(&world.ports, RebuildOptions::by("ann")).await;
    assert_eq!(rebuilt.unwrap().orders, 1);
    assert_eq!(world.get("/orders/o-1").await.1, document(&events));
    // But not for ever, for somebody waits for the end; and not at all while nothing is emptied.
    world.broker.looks.lock().push_back(true);
    world.broker.looks.lock().extend([false; 100]);
    let rebuilt = rebuild(&world.ports, RebuildOptions::by("ann")).await;
    assert!(matches!(rebuilt, Err(RebuildError::Broker(_))));
    let left = world.broker.looks.lock().len();
    // Twenty seconds, with a look every half.
    assert!((55..65).contains(&left), "{left} looks of 100 are left");
    let rebuilt = rebuild(&world.ports, RebuildOptions::by("ann")).await;
    assert!(matches!(rebuilt, Err(RebuildError::Broker(_))));
    assert_eq!(world.broker.looks.lock().len(), left - 1);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_without_a_store_says_so() {
    let world = World::new();
    world.store.is_down.store(true, Ordering::Relaxed);
    let error = rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("start it again"), "{error}");
    assert_eq!(world.store.memory.count(ORDERS).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_was_cut_off_is_known_to_be_unfinished() {
    let world = World::new();
    world.broker.is_endless.store(true, Ordering::Relaxed);
    assert!(!is_rebuild_unfinished(&*world.store).await.unwrap());
    let cut_off = rebuild(&world.ports, RebuildOptions::by("ann"));
    let limit = Duration::from_secs(1);
    assert!(tokio::time::timeout(limit, cut_off).await.is_err());
    assert!(is_rebuild_unfinished(&*world.store).await.unwrap());
    world.broker.is_endless.store(false, Ordering::Relaxed);
    world.clock.advance(1);
    rebuild(&world.ports, RebuildOptions::by("ann"))
        .await
        .unwrap();
    assert!(!is_rebuild_unfinished(&*world.store).await.unwrap());
    let audit = world.audit().await;
    assert_eq!(audit.len(), 2);
    assert!(
        audit.iter().all(|entry| entry["outcome"] == "accepted"),
        "{audit:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_no_topic_tells_keeps_its_version_through_a_rebuild() {
    let world = World::new();
    let options = || RebuildOptions::by("ann");
    rebuild(&world.ports, options()).await.unwrap();
    let audits = || async {
        let audits = world.store.memory.scan(AUDIT, None, 10).await.unwrap();
        audits.into_iter().map(|audit| (audit.id, audit.version))
    };
    let before: Vec<(String, u64)> = audits().await.collect();
    world.clock.advance(1);
    rebuild(&world.ports, options()).await.unwrap();
    let after: std::collections::HashMap<String, u64> = audits().await.collect();
    for (id, version) in before {
        assert!(
            after[&id] > version,
            "a late save would be taken: {after:?}"
        );
    }
}

/// A rebuild elsewhere that dies before it has read anything.
fn dying_elsewhere(world: &World, requested_by: &'static str) -> BeforeReplay {
    let other = World::on(Arc::clone(&world.store));
    other.broker.is_endless.store(true, Ordering::Relaxed);
    BeforeReplay(Box::pin(async move {
        let dies = rebuild(&other.ports, RebuildOptions::by(requested_by));
        let limit = Duration::from_secs(1);
        assert!(tokio::time::timeout(limit, dies).await.is_err());
    }))
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_does_not_end_a_later_one_that_is_cut_off() {
    let world = World::new();
    world.project(&happy()).await;
    // When "ann" has emptied all documents "bob" begins elsewhere, empties them again, and dies.
    *world.broker.before_replay.lock() = Some(dying_elsewhere(&world, "bob"));
    let messages = happy().iter().map(|event| world.message(event)).collect();
    world.broker.batches.lock().push_back(messages);
    let ended = rebuild(&world.ports, RebuildOptions::by("ann")).await;
    assert!(matches!(ended, Err(RebuildError::Superseded)), "{ended:?}");
    assert!(is_rebuild_unfinished(&*world.store).await.unwrap());
    // The next one answers for all three.
    rebuild(&world.ports, RebuildOptions::by("carl"))
        .await
        .unwrap();
    assert!(!is_rebuild_unfinished(&*world.store).await.unwrap());
    let audit = world.audit().await;
    assert_eq!(audit.len(), 3);
    assert!(
        audit.iter().all(|entry| entry["outcome"] == "accepted"),
        "{audit:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_stood_still_empties_nothing_that_a_later_one_has_projected() {
    let world = World::new();
    world.project(&happy()).await;
    let request = Request::new(&RebuildOptions::by("ann"), world.ports.clock.now());
    let claim = Claim::take(&*world.store, &request).await.unwrap();
    // It has loaded the documents, and stands still before it saves.
    let other = World::on(Arc::clone(&world.store));
    let messages = happy().iter().map(|event| other.message(event)).collect();
    other.broker.batches.lock().push_back(messages);
    *world.store.before_save.lock() = Some(Box::new(move || {
        Box::pin(async move {
            rebuild(&other.ports, RebuildOptions::by("bob"))
                .await
                .unwrap();
        })
    }));
    let emptied = blank::blank_all(&*world.store, ORDERS, &claim).await;
    assert!(
        matches!(emptied, Err(RebuildError::Superseded)),
        "{emptied:?}"
    );
    assert_eq!(world.get("/orders/o-1").await.1, document(&happy()));
    assert_eq!(claim.end(&*world.store).await.unwrap(), Ending::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_empty_already_is_emptied_once_more() {
    let world = World::new();
    world.project(&happy()).await;
    let version = || async {
        let stored = world.store.memory.load(ORDERS, &["o-1"]).await.unwrap();
        stored.into_iter().flatten().next().unwrap().version
    };
    let request = Request::new(&RebuildOptions::by("ann"), world.ports.clock.now());
    let claim = Claim::take(&*world.store, &request).await.unwrap();
    let mut versions = vec![version().await];
    for _ in 0..2 {
        // And once only, when nobody knows whether it was saved.
        world.store.loses_answer.store(true, Ordering::Relaxed);
        blank::blank_all(&*world.store, ORDERS, &claim)
            .await
            .unwrap();
        versions.push(version().await);
    }
    assert_eq!(versions, [versions[0], versions[0] + 1, versions[0] + 2]);
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
