//! An effect that others must know of before it is carried out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use sagaline_contracts::payload::{OrderCancelled, OrderConfirmed};
use sagaline_contracts::{Event, EventType, OrderId, Payload, Timestamp};
use sagaline_saga::given::event;
use sagaline_saga::{
    Decision, Delivery, EffectFailure, OrderRecord, ParkedReason, Participant, RetryPolicy,
    Session, Source, Status, Transition,
};
use serde::{Deserialize, Serialize};

/// Undoes what is cancelled, and says so; a confirmation is noted unless it is being undone.
struct Undoing;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    Open,
    Undoing,
    Undone,
    Confirmed,
}

#[derive(Debug, Clone, PartialEq)]
struct Undo;

impl Participant for Undoing {
    type State = State;
    type Effect = Undo;
    type Outcome = ();

    fn name(&self) -> &'static str {
        "undoing-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::OrderCancelled, EventType::OrderConfirmed]
    }

    fn decide(&self, state: &State, event: &Event) -> Decision<State, Undo> {
        match (&event.payload, state) {
            (Payload::OrderCancelled(_), State::Open) => Decision::Intend {
                state: State::Undoing,
                effect: Undo,
            },
            (Payload::OrderCancelled(_), State::Undoing) => Decision::Effect(Undo),
            (Payload::OrderConfirmed(_), State::Open) => Transition::to(State::Confirmed).into(),
            _ => Decision::Ignore("over"),
        }
    }

    fn settle(&self, _: &State, _: &Event, (): ()) -> Transition<State> {
        Transition::to(State::Undone).emit(confirmed().payload)
    }
}

fn order() -> OrderId {
    OrderId::new("o").unwrap()
}

fn cancelled() -> Event {
    let payload = OrderCancelled {
        order_id: order(),
        reason: "x".to_owned(),
        attempt: None,
    };
    event("cancelled", payload)
}

fn confirmed() -> Event {
    let payload = OrderConfirmed {
        order_id: order(),
        attempt: None,
    };
    event("confirmed", payload)
}

fn delivery(event: Event) -> Delivery {
    let source = Source {
        topic: event.event_type().as_str().to_owned(),
        partition: 0,
        offset: 0,
    };
    Delivery::Event { source, event }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// From a record as it was saved.
fn session(record: &OrderRecord<State>) -> Session<Undoing> {
    let json = serde_json::to_vec(record).unwrap();
    let policy = RetryPolicy {
        delays: vec![Duration::from_secs(10)],
        attempts_max: 3,
    };
    Session::new(serde_json::from_slice(&json).unwrap(), policy)
}

/// The record that is saved before the effect of a cancellation.
fn intended() -> (Session<Undoing>, OrderRecord<State>) {
    let mut session = session(&OrderRecord::unknown(order()));
    session.offer(delivery(cancelled()));
    let (cause, _) = session.advance(&Undoing, at(1)).unwrap();
    assert_eq!(cause.as_str(), "cancelled");
    assert!(session.is_intended() && session.changed());
    let record = session.record().clone();
    (session, record)
}

#[test]
fn what_is_intended_stands_in_the_record_with_its_event_in_front_of_all_others() {
    let (mut session, record) = intended();
    assert_eq!(record.state, State::Undoing);
    assert!(record.applied.is_empty());
    assert_eq!(record.parked[0].held.id.as_str(), "cancelled");
    assert!(session.publish().is_empty());

    session.settle(&Undoing, Ok(()), at(1));
    assert!(!session.is_intended());
    assert_eq!(session.record().state, State::Undone);
    assert!(session.record().parked.is_empty());
    assert_eq!(session.record().applied[0].emitted.len(), 1);
    assert_eq!(session.publish().len(), 1);
    // Should this save arrive late, its message is a duplicate by then, and may be committed.
    assert_eq!(session.record().outbox.len(), 1);
}

#[test]
fn whoever_finds_it_lets_nothing_overtake_it_and_goes_on_with_it_when_its_time_comes() {
    let (_, record) = intended();
    let mut next = session(&record);
    next.offer(delivery(cancelled()));
    next.offer(delivery(confirmed()));
    assert_eq!(next.advance(&Undoing, at(1)), None, "somebody is at it");
    let statuses: Vec<_> = next.handled().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Status::Duplicate, Status::Parked]);
    let due = next.due(&Undoing).unwrap();

    let mut later = session(next.record());
    assert!(later.advance(&Undoing, due).is_some());
    assert!(!later.is_intended(), "that is saved already");
    later.settle(&Undoing, Ok(()), due);
    assert_eq!(later.advance(&Undoing, due), None);
    assert_eq!(later.record().state, State::Undone);
    assert!(later.record().parked.is_empty());
    // no message would bring back what it told
    assert_eq!(later.record().outbox.len(), 1);
}

/// Charges whatever is confirmed.
struct Charging;

impl Participant for Charging {
    type State = u32;
    type Effect = u32;
    type Outcome = ();

    fn name(&self) -> &'static str {
        "charging-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::OrderConfirmed]
    }

    fn decide(&self, state: &u32, _: &Event) -> Decision<u32, u32> {
        Decision::Effect(*state)
    }

    fn settle(&self, state: &u32, _: &Event, (): ()) -> Transition<u32> {
        Transition::to(state + 1)
    }
}

#[test]
fn no_effect_rests_on_the_outcome_of_another_that_is_not_saved() {
    let policy = RetryPolicy {
        delays: vec![Duration::from_secs(10)],
        attempts_max: 3,
    };
    let mut session = Session::<Charging>::new(OrderRecord::unknown(order()), policy);
    for id in ["first", "second", "third"] {
        session.offer(delivery(event(id, confirmed().payload)));
    }
    let mut needed_a_save = Vec::new();
    while let Some((cause, effect)) = session.advance(&Charging, at(1)) {
        assert_eq!(session.record().state, effect);
        needed_a_save.push((cause.to_string(), session.is_intended()));
        session.settle(&Charging, Ok(()), at(1));
    }
    let expected = [("first", false), ("second", true), ("third", true)];
    assert_eq!(
        needed_a_save,
        expected.map(|(id, is_intended)| (id.to_owned(), is_intended))
    );
    assert_eq!(session.record().state, 3);
    assert_eq!(session.record().applied.len(), 3);
    assert!(session.record().parked.is_empty());
}

#[test]
fn what_fails_for_now_or_for_good_stays_intended_and_waits_once() {
    for failure in [
        EffectFailure::Transient("busy".to_owned()),
        EffectFailure::Permanent("never".to_owned()),
    ] {
        let is_dead = matches!(failure, EffectFailure::Permanent(_));
        let (mut session, _) = intended();
        session.settle(&Undoing, Err(failure), at(1));
        let record = session.record();
        assert_eq!(record.state, State::Undoing);
        assert_eq!(record.parked.len(), 1);
        let reason = &record.parked[0].reason;
        assert_eq!(matches!(reason, ParkedReason::DeadLetter { .. }), is_dead);
    }
}
