//! What a session does with what nobody should send: anything under an order's key, and any edit of an operator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use sagaline_contracts::payload::{OrderConfirmed, RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventType, OrderId, Payload, Timestamp, examples};
use sagaline_saga::{
    Decision, Delivery, Emission, OrderRecord, Participant, RetryPolicy, Session, Source, Status,
    Transition, message_id,
};
use serde_json::{Value, json};

/// Counts what it sees, tells of each, and cannot stand failed payments.
struct Counter;

impl Participant for Counter {
    type State = u32;
    type Effect = ();
    type Outcome = ();

    fn name(&self) -> &'static str {
        "counter-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::OrderConfirmed, EventType::PaymentFailed]
    }

    fn decide(&self, seen: &u32, event: &Event) -> Decision<u32, ()> {
        match &event.payload {
            Payload::PaymentFailed(_) => Decision::Reject("a failed payment".to_owned()),
            Payload::OrderShipped(_) if *seen < 3 => Decision::Early("not yet"),
            _ => Transition::to(seen + 1)
                .emit(OrderConfirmed {
                    order_id: order(),
                    attempt: None,
                })
                .into(),
        }
    }

    fn settle(&self, seen: &u32, _: &Event, (): ()) -> Transition<u32> {
        Transition::to(*seen)
    }
}

fn order() -> OrderId {
    OrderId::new("o-1").unwrap()
}

/// Later than all that comes: what comes from a far future is refused, which other tests are about.
fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

const KINDS: [EventType; 3] = [
    EventType::OrderConfirmed,
    EventType::PaymentFailed,
    EventType::OrderShipped,
];

/// As the runtime makes a delivery of a message.
fn delivery(kind: EventType, offset: i64, value: &[u8]) -> Delivery {
    let source = Source {
        topic: kind.as_str().to_owned(),
        partition: 0,
        offset,
    };
    match Event::decode(kind, Some(b"o-1"), Some(value)) {
        Ok(event) => Delivery::Event { source, event },
        Err(rejected) => Delivery::Poison {
            source,
            value: Some(value.to_vec()),
            rejected,
        },
    }
}

fn redrive(offset: i64, letter: &str, action: RedriveAction, event: Option<Value>) -> Delivery {
    let payload = RedriveRequested {
        order_id: order(),
        dead_letter_id: letter.to_owned(),
        action,
        event,
        consumers: vec!["counter-service".to_owned()],
        requested_by: "ann".to_owned(),
    };
    let source = Source {
        topic: EventType::RedriveRequested.as_str().to_owned(),
        partition: 0,
        offset,
    };
    let event = sagaline_saga::given::event(&format!("redrive-{offset}"), payload);
    Delivery::Event { source, event }
}

/// Works a delivery off as the runtime does: on a record that was saved and loaded again.
fn work(record: &OrderRecord<u32>, delivery: Delivery) -> (OrderRecord<u32>, Session<Counter>) {
    let saved = serde_json::to_vec(record).unwrap();
    let loaded: OrderRecord<u32> = serde_json::from_slice(&saved).expect("a saved record is read");
    let mut session: Session<Counter> = Session::new(loaded, RetryPolicy::default());
    session.offer(delivery);
    while session.advance(&Counter, now()).is_some() {
        session.settle(&Counter, Ok(()), now());
    }
    (session.record().clone(), session)
}

/// Whatever is published can be read by whoever it is for.
fn check_published(published: &[Emission]) -> Result<(), TestCaseError> {
    for emission in published {
        let kind = emission.topic.strip_suffix(".dlq").map_or_else(
            || EventType::parse(&emission.topic),
            |_| Some(EventType::DeadLetter),
        );
        let read = Event::decode(
            kind.expect("a topic of ours"),
            Some(b"o-1"),
            Some(emission.event.get().as_bytes()),
        );
        prop_assert!(
            read.is_ok(),
            "{} cannot be read: {}",
            emission.topic,
            read.unwrap_err()
        );
    }
    Ok(())
}

/// One message, and whatever became of it: nothing vanishes, and nothing that is published is unreadable.
fn take(record: &OrderRecord<u32>, delivery: Delivery) -> Result<OrderRecord<u32>, TestCaseError> {
    let (record, session) = work(record, delivery);
    prop_assert_eq!(session.handled().len(), 1, "each message is accounted for");
    check_published(session.publish())?;
    let mut ids: Vec<_> = record.applied.iter().map(|applied| &applied.id).collect();
    ids.sort();
    let before = ids.len();
    ids.dedup();
    prop_assert_eq!(ids.len(), before, "an event was applied twice");
    Ok(record)
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, at| match at % 2 {
        0 => json!([inner]),
        _ => json!({ "a": inner }),
    })
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<f64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::String),
        (0..130_usize).prop_map(nested),
        Just(json!({ "orderId": "o-1" })),
        Just(json!({ "orderId": "o-2", "reason": "no" })),
    ]
}

/// An event with something in it that may or may not do.
fn message() -> impl Strategy<Value = (EventType, Vec<u8>)> {
    let mutated = (
        select(KINDS.to_vec()),
        select(vec![
            "eventId", "payload", "headers", "key", "type", "unknown",
        ]),
        anything(),
        0..4_u8,
    )
        .prop_map(|(kind, field, value, id)| {
            let mut event: Value = serde_json::from_slice(&examples::full(kind).encode()).unwrap();
            event["key"] = json!("o-1");
            event["payload"]["orderId"] = json!("o-1");
            event["eventId"] = json!(format!("e-{id}"));
            if field == "unknown" {
                event["payload"]["unknown"] = value;
            } else if !value.is_null() {
                event[field] = value;
            }
            (kind, event.to_string().into_bytes())
        });
    let bytes = (
        select(KINDS.to_vec()),
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            anything().prop_map(|value| value.to_string().into_bytes()),
            (100..200_usize).prop_map(|depth| {
                format!("{{\"payload\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
            }),
            select(vec![
                &br#"{"payload":1e999}"#[..],
                br#"{"payload":"\ud800"}"#,
                br#"{"eventId":"e-1","type":7}"#,
                b"\xef\xbb\xbf{}",
            ])
            .prop_map(<[u8]>::to_vec),
        ],
    );
    prop_oneof![3 => mutated, 1 => bytes]
}

#[derive(Debug, Clone)]
enum Step {
    Message(EventType, Vec<u8>),
    Redrive { which: usize, edit: Option<Value> },
    Discard { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let edit = prop_oneof![
        Just(None),
        anything().prop_map(Some),
        message().prop_map(|(_, bytes)| serde_json::from_slice(&bytes).ok()),
    ];
    prop_oneof![
        3 => message().prop_map(|(kind, value)| Step::Message(kind, value)),
        2 => (0..4_usize, edit).prop_map(|(which, edit)| Step::Redrive { which, edit }),
        1 => (0..4_usize).prop_map(|which| Step::Discard { which }),
    ]
}

proptest! {
    #![proptest_config(sagaline_contracts::generate::cases(1_500))]

    #[test]
    fn whatever_comes_and_however_it_is_edited_nothing_vanishes_and_nothing_unreadable_is_told(
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut record = OrderRecord::unknown(order());
        for (offset, step) in (0..).zip(&steps) {
            let letter = |which: usize, record: &OrderRecord<u32>| {
                let parked = record.parked.get(which % record.parked.len().max(1));
                parked.map_or_else(
                    || "no-such-letter".to_owned(),
                    |parked| {
                        let place = &parked.held.source;
                        message_id(&place.topic, place.partition, place.offset).to_string()
                    },
                )
            };
            let delivery = match step {
                Step::Message(kind, value) => delivery(*kind, offset, value),
                Step::Redrive { which, edit } => {
                    let letter = letter(*which, &record);
                    redrive(offset, &letter, RedriveAction::Redrive, edit.clone())
                }
                Step::Discard { which } => {
                    redrive(offset, &letter(*which, &record), RedriveAction::Discard, None)
                }
            };
            record = take(&record, delivery)?;
        }
        // An operator who drops whatever is in the way gets the order to flow again.
        for offset in 1_000..1_200 {
            let Some(parked) = record.parked.front() else { break };
            let place = &parked.held.source;
            let id = message_id(&place.topic, place.partition, place.offset);
            record = take(&record, redrive(offset, id.as_str(), RedriveAction::Discard, None))?;
        }
        prop_assert!(record.parked.is_empty(), "{:?}", record.parked);
    }
}

#[test]
fn a_flood_of_poison_under_one_key_does_not_make_a_record_that_no_store_takes() {
    let mut record = OrderRecord::unknown(order());
    for offset in 0..1_100 {
        let poison = delivery(EventType::OrderConfirmed, offset, b"{}");
        let mut session: Session<Counter> = Session::new(record, RetryPolicy::default());
        session.offer(poison);
        assert!(session.advance(&Counter, now()).is_none());
        let next = session.record().clone();
        assert_eq!(session.handled()[0].status, Status::Dead);
        assert_eq!(
            session.publish().len(),
            1,
            "its letter is published, kept or not"
        );
        record = next;
    }
    assert!(record.parked.len() <= 1_000, "{}", record.parked.len());

    let megabyte = vec![b'x'; 1_000_000];
    let mut record = OrderRecord::unknown(order());
    for offset in 0..20 {
        record = work(
            &record,
            delivery(EventType::OrderConfirmed, offset, &megabyte),
        )
        .0;
    }
    let saved = serde_json::to_vec(&record).unwrap();
    assert!(saved.len() < 16_000_000, "{} bytes", saved.len());
    assert!(
        !record.parked.is_empty(),
        "the first of them waits for an operator"
    );
}

#[test]
fn a_dead_letter_carries_what_the_message_was_even_when_it_is_nested_too_deeply_to_be_read() {
    for value in [
        format!("{{\"payload\":{}{}}}", "[".repeat(126), "]".repeat(126)),
        format!("{}{}", "[".repeat(127), "]".repeat(127)),
        format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)),
        r#"{"payload":1e999}"#.to_owned(),
        r#"{"payload":"\ud800"}"#.to_owned(),
    ] {
        let poison = delivery(EventType::OrderConfirmed, 1, value.as_bytes());
        let (_, session) = work(&OrderRecord::unknown(order()), poison);
        check_published(session.publish()).unwrap();
        let letter: Value = serde_json::from_str(session.publish()[0].event.get()).unwrap();
        let letter = &letter["payload"];
        assert!(
            !letter["payload"].is_null() || letter["raw"].is_string(),
            "what was in the message is gone: {letter}"
        );
    }
}

#[test]
fn every_message_of_the_corpus_is_accounted_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/events");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let value = std::fs::read(file.unwrap().path()).unwrap();
        for kind in KINDS {
            take(&OrderRecord::unknown(order()), delivery(kind, 1, &value)).unwrap();
        }
        files += 1;
    }
    assert!(files > 20, "the corpus is not where it should be");
}
