use std::time::Duration;

use axum::http::StatusCode;
use sagaline_contracts::payload::{DeadLetter, RedriveAction};
use sagaline_contracts::{Event, EventType, Payload};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::projection::PROJECTOR;
use crate::service::show_what_was_kept;
use crate::testing::World;
use crate::testing::given::*;

async fn letters(world: &World, query: &str) -> Vec<Value> {
    let (status, body) = world.get(&format!("/dead-letters{query}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body.as_array().unwrap().clone()
}

fn numbered(n: u32, consumer: &str) -> Event {
    let letter = DeadLetter {
        dead_letter_id: Some(format!("letter-{n}")),
        original_topic: Some(
            if n.is_multiple_of(2) {
                "order.OrderCreated.v1"
            } else {
                "payment.PaymentFailed.v1"
            }
            .to_owned(),
        ),
        ..dead_letter(consumer, json!({ "orderId": "o-1" }))
    };
    event(&format!("death-{n}-{consumer}"), i64::from(n), None, letter)
}

fn published(world: &World) -> Vec<Event> {
    let published = world.broker.published.lock();
    let decode = |message: &sagaline_runtime::Outbound| {
        Event::from_json(EventType::parse(&message.topic).unwrap(), &message.value).unwrap()
    };
    published.iter().map(decode).collect()
}

#[tokio::test]
async fn letters_are_listed_the_latest_first_and_filtered() {
    let world = World::new();
    for n in 0..6 {
        world.project(&[numbered(n, "payment-service")]).await;
    }
    world.project(&[numbered(2, "inventory-service")]).await;
    let ids = |letters: Vec<Value>| -> Vec<String> {
        letters
            .iter()
            .map(|l| l["deadLetterId"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ids(letters(&world, "").await);
    assert_eq!(
        all,
        [
            "letter-5", "letter-4", "letter-3", "letter-2", "letter-1", "letter-0"
        ]
    );
    assert_eq!(
        ids(letters(&world, "?topic=order.OrderCreated.v1").await),
        ["letter-4", "letter-2", "letter-0"]
    );
    assert_eq!(
        ids(letters(&world, "?consumer=inventory-service").await),
        ["letter-2"]
    );
    assert_eq!(ids(letters(&world, "?limit=1").await), ["letter-5"]);
    assert_eq!(letters(&world, "?state=discarded").await.len(), 0);
    assert_eq!(letters(&world, "?state=waiting").await.len(), 6);
    let (status, letter) = world.get("/dead-letters/letter-2").await;
    assert_eq!(
        (status, letter["consumers"].as_array().unwrap().len()),
        (StatusCode::OK, 2)
    );
    assert_eq!(
        world.get("/dead-letters/none").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_redrive_that_is_only_tried_says_what_would_be_said_and_sends_nothing() {
    let world = World::new();
    let letter = dead_letter("payment-service", json!({ "orderId": "o-1" }));
    world.project(&[event("death", 1, None, letter)]).await;
    let uri = "/admin/dead-letters/letter-1/redrive?dryRun=true";
    let (status, body) = world.post(uri, "").await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "dryRun": true })));
    let (status, body) = world
        .post(uri, r#"{"payload":{"orderId":"o-1","amount":"much"}}"#)
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert!(published(&world).is_empty());
    let (_, letter) = world.get("/dead-letters/letter-1").await;
    assert_eq!(letter["state"], "waiting");
}

#[tokio::test]
async fn a_letter_of_a_service_is_redriven_as_it_was() {
    let world = World::new();
    world.project(&[numbered(1, "order-service")]).await;
    let (status, body) = world.post("/admin/dead-letters/letter-1/redrive", "").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let Payload::RedriveRequested(request) = published(&world)[0].payload.clone() else {
        panic!("no redrive")
    };
    assert_eq!(request.action, RedriveAction::Redrive);
    assert_eq!(
        (request.event, request.consumers),
        (None, vec!["order-service".to_owned()])
    );
    world.deliver_published().await;
    let (_, letter) = world.get("/dead-letters/letter-1").await;
    assert_eq!(letter["state"], "redriven");
    // the second click: the same answer, and nothing more happens
    let again = world.post("/admin/dead-letters/letter-1/redrive", "").await;
    assert_eq!(again, (StatusCode::ACCEPTED, body));
    assert!(world.broker.published.lock().is_empty());
    let (status, _) = world.post("/admin/dead-letters/letter-1/discard", "").await;
    assert_eq!(status, StatusCode::CONFLICT);
    let audit = world.audit().await;
    let of = |at: usize| (&audit[at]["command"], &audit[at]["outcome"]);
    assert_eq!(audit.len(), 2);
    assert_eq!(of(0), (&"discard".into(), &"rejected".into()));
    assert_eq!(of(1), (&"redrive".into(), &"accepted".into()));
}

#[tokio::test]
async fn an_edited_message_is_checked_then_sent_and_takes_its_place_in_the_timeline() {
    let world = World::new();
    let poison = world.raw(
        "payment.PaymentAuthorized.v1",
        Some("o-1"),
        br#"{"eventId":"c","payload":{"orderId":"o-1"}}"#,
    );
    let mut batch = vec![poison];
    let events = happy();
    let others = events.iter().filter(|e| e.id.as_str() != "c");
    batch.extend(others.map(|event| world.message(event)));
    sagaline_runtime::BatchHandler::handle(&world.projector, &batch)
        .await
        .unwrap();
    world.deliver_published().await;
    let waiting = letters(&world, "?state=waiting").await;
    let uri = format!(
        "/admin/dead-letters/{}/redrive",
        waiting[0]["deadLetterId"].as_str().unwrap()
    );
    // as it was it cannot be read by the read model either
    let (status, body) = world.post(&uri, "").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    let wrong = r#"{"payload":{"orderId":"o-1","amount":"much","authId":"auth"}}"#;
    let (status, body) = world.post(&uri, wrong).await;
    assert_eq!(
        (status, &body["field"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &Value::from("payload.amount")
        )
    );
    assert!(world.broker.published.lock().is_empty());
    let right = r#"{"payload":{"orderId":"o-1","amount":20.5,"authId":"auth","attempt":1}}"#;
    let (status, body) = world.post(&uri, right).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    world.deliver_published().await;
    let (_, order) = world.get("/orders/o-1").await;
    let timeline = order["timeline"].as_array().unwrap();
    let authorized = timeline
        .iter()
        .find(|entry| entry["eventId"] == "c")
        .unwrap();
    assert_eq!(authorized["details"]["amount"], 20.5);
    assert_eq!(order["deadLetters"][0]["status"], "redriven");
    assert_eq!(letters(&world, "?state=waiting").await.len(), 0);
}

#[tokio::test]
async fn a_letter_of_no_order_is_discarded_by_the_read_model_itself() {
    let world = World::new();
    let poison = world.raw("payment.PaymentAuthorized.v1", None, b"nonsense");
    sagaline_runtime::BatchHandler::handle(&world.projector, &[poison])
        .await
        .unwrap();
    world.deliver_published().await;
    let letter = &letters(&world, "").await[0];
    assert_eq!(letter["raw"], "bm9uc2Vuc2U=");
    let uri = format!(
        "/admin/dead-letters/{}",
        letter["deadLetterId"].as_str().unwrap()
    );
    let (status, body) = world.post(&format!("{uri}/redrive"), "").await;
    assert_eq!(
        (status, &body["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &Value::from("payload"))
    );
    let (status, body) = world.post(&format!("{uri}/discard"), "").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    assert!(world.broker.published.lock().is_empty());
    assert_eq!(letters(&world, "?state=discarded").await.len(), 1);
    assert_eq!(
        world.post(&format!("{uri}/discard"), "").await,
        (StatusCode::ACCEPTED, body)
    );
    let audit = world.audit().await;
    let mut of: Vec<_> = audit
        .iter()
        .map(|entry| (entry["command"].as_str(), entry["outcome"].as_str()))
        .collect();
    of.sort_unstable();
    assert_eq!(
        of,
        [
            (Some("discard"), Some("accepted")),
            (Some("redrive"), Some("rejected"))
        ]
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_bad_request() {
    let world = World::new();
    world.project(&[numbered(1, "order-service")]).await;
    let (status, body) = world
        .post("/admin/dead-letters/letter-1/redrive", "{")
        .await;
    assert_eq!(
        (status, &body["field"]),
        (StatusCode::BAD_REQUEST, &Value::from("body"))
    );
    assert_eq!(
        world.post("/admin/dead-letters/none/redrive", "").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_letter_of_the_read_model_names_it_as_a_consumer() {
    let world = World::new();
    world.project(&[numbered(1, PROJECTOR)]).await;
    let letter = &letters(&world, "").await[0];
    assert_eq!(
        letter["consumers"][0],
        json!({
            "consumer": PROJECTOR, "error": "payload: no amount", "attempts": 1,
            "at": "1970-01-01T00:00:01.000000Z", "state": "waiting",
        })
    );
}

#[tokio::test]
async fn a_letter_of_no_order_that_dies_at_one_more_service_after_its_discard_can_be_discarded_again()
 {
    let world = World::new();
    let mut deaths = ["payment-service", "shipping-service"].map(|consumer| numbered(1, consumer));
    for death in &mut deaths {
        death.order_id = None;
        death.correlation_id = String::new();
        let Payload::DeadLetter(letter) = &mut death.payload else {
            panic!("a letter")
        };
        letter.order_id = None;
    }
    let [first, mut second] = deaths;
    world.project(&[first]).await;
    let uri = "/admin/dead-letters/letter-1/discard";
    assert_eq!(world.post(uri, "").await.0, StatusCode::ACCEPTED);
    assert_eq!(letters(&world, "?state=waiting").await.len(), 0);

    let decided = &world.audit().await[0];
    second.timestamp = decided["at"].as_str().unwrap().parse().unwrap();
    second.timestamp = second.timestamp.next();
    world.project(&[second]).await;
    assert_eq!(letters(&world, "?state=waiting").await.len(), 1);
    assert_eq!(world.post(uri, "").await.0, StatusCode::ACCEPTED);
    assert_eq!(letters(&world, "?state=waiting").await.len(), 0);
    assert_eq!(world.audit().await.len(), 2);
}

#[tokio::test]
async fn a_discard_that_was_cut_off_is_in_the_audit_once_the_letter_is_shown_as_decided() {
    let world = World::new();
    let poison = world.raw("payment.PaymentAuthorized.v1", None, b"nonsense");
    sagaline_runtime::BatchHandler::handle(&world.projector, &[poison])
        .await
        .unwrap();
    world.deliver_published().await;
    let letter = &letters(&world, "").await[0];
    let id = letter["deadLetterId"].as_str().unwrap().to_owned();
    let uri = format!("/admin/dead-letters/{id}/discard");
    // The store goes away after each of the writes in turn, until the discard comes through.
    for writes in 1..10 {
        world.store.fail_after(writes);
        let (status, _) = world.post(&uri, "").await;
        world.store.fail_after(usize::MAX);
        let is_shown = letters(&world, "?state=discarded").await.len() == 1;
        assert!(
            !is_shown || world.audit().await.len() == 1,
            "after {writes} writes"
        );
        if status == StatusCode::ACCEPTED {
            return;
        }
    }
    panic!("the discard never came through");
}

#[tokio::test]
async fn a_discard_that_was_kept_and_not_shown_is_shown_when_the_store_is_back() {
    let world = World::new();
    let poison = world.raw("payment.PaymentAuthorized.v1", None, b"nonsense");
    sagaline_runtime::BatchHandler::handle(&world.projector, &[poison])
        .await
        .unwrap();
    world.deliver_published().await;
    let id = letters(&world, "").await[0]["deadLetterId"].clone();
    let uri = format!("/admin/dead-letters/{}/discard", id.as_str().unwrap());
    world.store.fail_after(1);
    let (status, _) = world.post(&uri, "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    world.store.fail_after(usize::MAX);
    assert!(letters(&world, "?state=discarded").await.is_empty());
    let shutdown = CancellationToken::new();
    let shown = async {
        while letters(&world, "?state=discarded").await.is_empty() || world.audit().await.is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = show_what_was_kept(&world.state, &shutdown) => panic!("it ended by itself"),
        shown = tokio::time::timeout(Duration::from_secs(10), shown) => shown.unwrap(),
    }
}

#[tokio::test]
async fn nothing_is_decided_about_a_letter_while_the_read_model_is_rebuilt() {
    let world = World::new();
    world.project(&[numbered(1, "order-service")]).await;
    let began = sagaline_store::Write {
        id: "rebuild".to_owned(),
        expected: 0,
        body: r#"{"began":"2026-01-01T00:00:00Z"}"#.into(),
        index: sagaline_store::Index::default(),
    };
    let store = &world.store.memory;
    sagaline_store::Store::save(store, crate::collections::REBUILDING, vec![began])
        .await
        .unwrap();
    let uri = "/admin/dead-letters/letter-1/discard";
    assert_eq!(world.post(uri, "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    sagaline_store::Store::clear(store, crate::collections::REBUILDING)
        .await
        .unwrap();
    assert_eq!(world.post(uri, "").await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_refused_decision_is_in_the_audit_once_and_survives_a_rebuild() {
    let world = World::new();
    world.project(&[numbered(1, "payment-service")]).await;
    for payload in [
        r#"{"payload":{"orderId":"o-2"}}"#,
        r#"{"payload":{"orderId":"o-2"}}"#,
    ] {
        let uri = "/admin/dead-letters/letter-1/redrive";
        assert_eq!(
            world.post(uri, payload).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    let (status, _) = world.post("/admin/dead-letters/letter-1/discard", "").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    world.deliver_published().await;
    let (status, _) = world.post("/admin/dead-letters/letter-1/redrive", "").await;
    assert_eq!(status, StatusCode::CONFLICT);
    let outcomes = async || -> Vec<(String, String)> {
        let audit = world.audit().await.into_iter();
        let audit = audit.filter(|entry| entry["command"] != "rebuild");
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
        let mut outcomes: Vec<_> = audit
            .map(|entry| {
                assert_eq!(entry["deadLetterId"], "letter-1");
                assert_eq!(entry["requestedBy"], "ann");
                (text(&entry, "command"), text(&entry, "outcome"))
            })
            .collect();
        outcomes.sort();
        outcomes
    };
    let refused = ("redrive".to_owned(), "rejected".to_owned());
    let discarded = ("discard".to_owned(), "accepted".to_owned());
    assert_eq!(
        outcomes().await,
        [discarded, refused.clone(), refused.clone()]
    );
    world.post("/admin/rebuild", "").await;
    assert_eq!(outcomes().await, [refused.clone(), refused]);
}

#[tokio::test]
async fn all_letters_that_wait_are_counted() {
    let world = World::new();
    let letters: Vec<Event> = (0..1_100)
        .map(|n| {
            let mut letter = numbered(n, "payment-service");
            if let Payload::DeadLetter(dead) = &mut letter.payload {
                dead.order_id = None;
            }
            letter.order_id = None;
            letter
        })
        .collect();
    world.project(&letters).await;
    let (_, stats) = world.get("/stats").await;
    assert_eq!(stats["deadLetters"]["waiting"], 1_100);
}
