//! Dead letters are bounded and can be read, whatever the message was; and what follows from an event is bounded as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;

use proptest::prelude::*;
use sagaline_contracts::payload::{OrderCancelled, PaymentFailed};
use sagaline_contracts::{Event, EventType, OrderId, Payload, Timestamp};
use sagaline_saga::{
    Deceased, Decision, Delivery, Held, Message, OrderRecord, Parked, ParkedReason, Participant,
    RetryPolicy, Session, Source, Status, Transition, given, without_message,
};
use serde_json::Value;

/// More than any letter has, and less than any broker takes.
const LETTER_MAX: usize = 300 * 1_024;

fn letter_of(value: &[u8], error: &str) -> (Event, usize) {
    let source = Source {
        topic: EventType::PaymentFailed.as_str().to_owned(),
        partition: 0,
        offset: 7,
    };
    let letter = Deceased {
        source: &source,
        message: &Message::of(Some(value.to_vec())),
        event_id: None,
        order_id: None,
        consumer: "echo-service",
        attempts: 1,
        error,
    }
    .letter();
    let wire = given::event("letter", letter).encode();
    let read = Event::decode(EventType::DeadLetter, None, Some(&wire)).unwrap();
    (read, wire.len())
}

fn check(value: &[u8]) -> sagaline_contracts::payload::DeadLetter {
    let (event, size) = letter_of(value, "wrong");
    assert!(size < LETTER_MAX, "{size} bytes of {}", value.len());
    match event.payload {
        Payload::DeadLetter(letter) => letter,
        other => panic!("not a letter: {other:?}"),
    }
}

#[test]
fn a_letter_of_a_message_of_any_size_and_kind_is_small_enough_to_be_published() {
    for size in [
        0, 1, 190_000, 200_000, 262_144, 300_000, 1_048_576, 3_000_000,
    ] {
        let letter = check(&vec![0xff; size]);
        let left_out = letter
            .error
            .contains(&format!("its {size} bytes are not repeated"));
        assert_eq!(letter.raw.is_none(), left_out, "{size}: {}", letter.error);
        let json = format!("{{\"payload\":\"{}\"}}", "x".repeat(size));
        let letter = check(json.as_bytes());
        assert_eq!(letter.payload.is_null(), json.len() > 262_144, "{size}");
        // Says twice what it says of itself.
        let loud = format!(
            "{{\"type\":\"{0}\",\"eventId\":\"{0}\"}}",
            "x".repeat(size / 2)
        );
        check(loud.as_bytes());
        let numbers = format!("[{}1]", "1e15,".repeat(size / 5));
        check(numbers.as_bytes());
        let deep = format!("{}{}", "[".repeat(size / 2), "]".repeat(size / 2));
        check(deep.as_bytes());
    }
}

#[test]
fn a_letter_says_no_more_about_what_is_wrong_than_a_person_reads() {
    let (event, size) = letter_of(b"x", &"é".repeat(1_000_000));
    assert!(size < 8_192, "{size}");
    let Payload::DeadLetter(letter) = event.payload else {
        panic!("not a letter");
    };
    assert!(letter.error.starts_with('é') && letter.error.ends_with('…'));
}

#[test]
fn a_letter_without_its_message_says_so_and_there_is_no_shorter_one() {
    let letter = check(br#"{"payload":{"orderId":7}}"#);
    let shorter = without_message(&letter).unwrap();
    assert_eq!((&shorter.payload, &shorter.raw), (&Value::Null, &None));
    assert!(shorter.error.starts_with("wrong"), "{}", shorter.error);
    assert!(shorter.error.contains("too large"), "{}", shorter.error);
    assert_eq!(shorter.dead_letter_id, letter.dead_letter_id);
    assert_eq!(without_message(&shorter), None);
}

proptest! {
    #[test]
    fn any_bytes_make_a_letter_that_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check(&bytes);
    }

    #[test]
    fn any_text_around_json_makes_a_letter_that_can_be_read(text in "[\\[\\]{}:,0-9a-e\"\\\\ ]{0,200}") {
        check(text.as_bytes());
    }
}

/// Hands on what it is told.
struct Echo;

impl Participant for Echo {
    type State = u32;
    type Effect = Infallible;
    type Outcome = Infallible;

    fn name(&self) -> &'static str {
        "echo-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::PaymentFailed]
    }

    fn decide(&self, heard: &u32, event: &Event) -> Decision<u32, Infallible> {
        let Payload::PaymentFailed(failed) = &event.payload else {
            return Decision::Reject("not mine".to_owned());
        };
        Transition::to(heard + 1)
            .emit(OrderCancelled {
                order_id: failed.order_id.clone(),
                reason: failed.reason.clone(),
                attempt: None,
            })
            .into()
    }

    fn settle(&self, _: &u32, _: &Event, outcome: Infallible) -> Transition<u32> {
        match outcome {}
    }
}

#[test]
fn an_event_from_which_something_too_large_follows_parks_its_order_and_nothing_of_it_is_told() {
    let order_id = OrderId::new("o").unwrap();
    let failed = |id: &str, reason: String| {
        let payload = PaymentFailed {
            order_id: order_id.clone(),
            reason,
            attempt: None,
        };
        given::event(id, payload)
    };
    let mut session: Session<Echo> = Session::new(
        OrderRecord::unknown(order_id.clone()),
        RetryPolicy::default(),
    );
    let large = failed("large", "x".repeat(1_000_000));
    for (offset, event) in [(0, large), (1, failed("small", "x".to_owned()))] {
        let source = Source {
            topic: EventType::PaymentFailed.as_str().to_owned(),
            partition: 0,
            offset,
        };
        session.offer(Delivery::Event { source, event });
    }
    assert!(session.advance(&Echo, Timestamp::EPOCH).is_none());
    let statuses: Vec<Status> = session.handled().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Status::Dead, Status::Parked]);
    assert_eq!(session.record().state, 0, "nothing of it counts");
    let [letter] = session.publish() else {
        panic!("one letter, not {:?}", session.publish());
    };
    assert_eq!(letter.topic, EventType::PaymentFailed.dead_letter_topic());
    assert!(letter.event.get().len() < 8_192);
    assert!(
        letter
            .event
            .get()
            .contains("order.OrderCancelled.v1, would have"),
        "{}",
        letter.event.get()
    );
}

/// Everything is too early for it.
struct Patient;

impl Participant for Patient {
    type State = ();
    type Effect = Infallible;
    type Outcome = Infallible;

    fn name(&self) -> &'static str {
        "patient-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::PaymentFailed]
    }

    fn decide(&self, (): &(), _: &Event) -> Decision<(), Infallible> {
        Decision::Early("something is missing")
    }

    fn settle(&self, (): &(), _: &Event, outcome: Infallible) -> Transition<()> {
        match outcome {}
    }
}

#[test]
fn of_an_event_that_was_kept_and_has_no_room_the_letter_is_told_even_if_nobody_publishes_it_now() {
    let failed = |id: &str| {
        let payload = PaymentFailed {
            order_id: OrderId::new("o").unwrap(),
            reason: "x".to_owned(),
            attempt: None,
        };
        given::event(id, payload)
    };
    let source = |offset| Source {
        topic: EventType::PaymentFailed.as_str().to_owned(),
        partition: 0,
        offset,
    };
    let record = OrderRecord::unknown(OrderId::new("o").unwrap());
    let mut session = Session::<Patient>::new(record, RetryPolicy::default());
    for at in 0..1_000 {
        let (source, event) = (source(at), failed(&format!("early-{at}")));
        session.offer(Delivery::Event { source, event });
    }
    session.advance(&Patient, Timestamp::EPOCH);
    assert!(session.publish().is_empty(), "there is room for so many");

    // One waits in the record, whose message is long committed.
    let mut record = session.record().clone();
    let kept = failed("kept");
    record.parked.push_back(Parked {
        held: Held {
            source: source(1_000),
            message: Message::of(Some(kept.encode())),
            id: kept.id,
        },
        reason: ParkedReason::Behind,
        attempts: 0,
    });
    let mut session = Session::<Patient>::new(record, RetryPolicy::default());
    session.advance(&Patient, Timestamp::EPOCH);
    assert_eq!(session.publish().len(), 1);
    assert!(session.record().parked.is_empty());
    assert_eq!(session.record().outbox.len(), 1);
}
