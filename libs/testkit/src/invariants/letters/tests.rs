use serde_json::json;

use super::*;
use crate::operators::Accepted;

const TOPIC: &str = "payment.PaymentAuthorized.v1";

fn message(topic: &str, offset: i64, value: Option<&str>) -> TopicMessage {
    TopicMessage {
        topic: topic.to_owned(),
        partition: 1,
        offset,
        key: Some(b"o-1".to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
    }
}

fn sent() -> Vec<TopicMessage> {
    let fine = r#"{"eventId":"e-1"}"#;
    vec![message(TOPIC, 4, Some(fine)), message(TOPIC, 5, None)]
}

fn death(consumer: &str, id: &str, offset: i64) -> TopicMessage {
    let letter = json!({
        "originalTopic": TOPIC, "partition": 1, "offset": offset, "deadLetterId": "l-1", "consumer": consumer,
    });
    let event = json!({ "eventId": id, "payload": letter }).to_string();
    message("payment.PaymentAuthorized.v1.dlq", 0, Some(&event))
}

fn deaths() -> Vec<TopicMessage> {
    vec![
        death("shipping-service", "d-1", 5),
        death("read-model-service", "d-2", 5),
        // Told again after a crash.
        death("shipping-service", "d-1", 5),
    ]
}

fn record() -> Value {
    json!({
        "deadLetterId": "l-1", "topic": TOPIC, "partition": 1, "offset": 5, "state": "discarded",
        "consumers": [
            { "consumer": "read-model-service", "state": "discarded" },
            { "consumer": "shipping-service", "state": "discarded" },
        ],
        "decisions": [{ "eventId": "c-1" }],
    })
}

fn acts() -> Acts {
    let accepted = Accepted {
        command: "discard".to_owned(),
        command_id: "c-1".to_owned(),
        order: "o-1".to_owned(),
        letter: Some("l-1".to_owned()),
    };
    Acts {
        accepted: vec![accepted],
        poison: poison(&sent()).into_iter().collect(),
        ..Acts::default()
    }
}

fn found(messages: &[TopicMessage], deaths: &[TopicMessage], records: &[Value]) -> Violations {
    let mut found = Violations::default();
    let told = Deaths::told(deaths);
    check(&acts(), messages, &told, records, &mut found);
    found
}

#[test]
fn a_message_that_is_no_event_is_one_letter_of_each_consumer_and_decided() {
    let right = found(&sent(), &deaths(), &[record()]);
    assert!(right.0.is_empty(), "{right:?}");
    assert_eq!(found(&sent(), &deaths(), &[]).count(Broken::Lost), 1);
    let twice = found(&sent(), &deaths(), &[record(), record()]);
    assert_eq!(twice.count(Broken::Doubled), 1);
}

#[test]
fn what_vanished_at_a_consumer_or_died_there_twice_is_found() {
    let vanished = found(&sent(), &deaths()[1..2], &[record()]);
    assert_eq!(vanished.count(Broken::Lost), 1, "{vanished:?}");
    let mut twice = deaths();
    twice.push(death("shipping-service", "d-3", 5));
    assert_eq!(
        found(&sent(), &twice, &[record()]).count(Broken::Doubled),
        1
    );
    let mut elsewhere = deaths();
    elsewhere.push(death("order-service", "d-3", 5));
    assert_eq!(
        found(&sent(), &elsewhere, &[record()]).count(Broken::Wrong),
        1
    );
    let gone = found(&sent()[..1], &[], &[]);
    assert_eq!(gone.count(Broken::Lost), 1, "{gone:?}");
}

#[test]
fn a_dead_letter_of_what_was_fine_is_found() {
    let mut more = deaths();
    more.push(death("shipping-service", "d-3", 4));
    assert_eq!(found(&sent(), &more, &[record()]).count(Broken::Wrong), 1);
    let mut fine = record();
    fine["offset"] = json!(4);
    let wrong = found(&sent(), &deaths(), &[record(), fine]);
    assert_eq!(wrong.count(Broken::Wrong), 1);
}

#[test]
fn a_letter_that_waits_or_was_decided_by_nobody_or_otherwise_is_found() {
    for (pointer, value, kind) in [
        ("/consumers/1/state", json!("waiting"), Broken::Lost),
        ("/state", json!("waiting"), Broken::Lost),
        ("/decisions", json!([]), Broken::Lost),
        ("/decisions/0/eventId", json!("c-2"), Broken::Lost),
        (
            "/decisions",
            json!([{ "eventId": "c-1" }, { "eventId": "c-2" }]),
            Broken::Doubled,
        ),
        ("/consumers", json!([]), Broken::Wrong),
    ] {
        let mut record = record();
        if let Some(place) = record.pointer_mut(pointer) {
            *place = value;
        }
        let found = found(&sent(), &deaths(), &[record]);
        assert_eq!(found.count(kind), 1, "{pointer}: {found:?}");
    }
}
