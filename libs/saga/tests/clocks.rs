//! Time, when the clocks of the others are wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;
use std::time::Duration;

use proptest::prelude::*;
use sagaline_contracts::payload::{OrderConfirmed, PaymentFailed, RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventType, OrderId, Payload, Timestamp};
use sagaline_saga::{
    CLOCK_LEAD_MAX, Decision, Delivery, Emission, OrderRecord, Participant, RetryPolicy, Session,
    Source, Transition, given, message_id,
};
use serde::{Deserialize, Serialize};

const DAY_US: i64 = 86_400_000_000;
const END_OF_TIME: &str = "9999-12-31T23:59:59.999999Z";

/// Remembers of when the latest event was, and tells of each. It rejects those without a reason.
struct Echo;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Heard {
    at: Timestamp,
}

impl Participant for Echo {
    type State = Heard;
    type Effect = Infallible;
    type Outcome = Infallible;

    fn name(&self) -> &'static str {
        "echo-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::PaymentFailed]
    }

    fn decide(&self, _: &Heard, event: &Event) -> Decision<Heard, Infallible> {
        match &event.payload {
            Payload::PaymentFailed(failed) if failed.reason == "rejected" => {
                Decision::Reject("as asked".to_owned())
            }
            _ => Transition::to(Heard {
                at: event.timestamp,
            })
            .emit(OrderConfirmed {
                order_id: order(),
                attempt: None,
            })
            .into(),
        }
    }

    fn settle(&self, _: &Heard, _: &Event, outcome: Infallible) -> Transition<Heard> {
        match outcome {}
    }
}

fn order() -> OrderId {
    OrderId::new("o-1").unwrap()
}

fn event(id: &str, at: Timestamp, reason: &str) -> Event {
    let failed = PaymentFailed {
        order_id: order(),
        reason: reason.to_owned(),
        attempt: None,
    };
    Event {
        timestamp: at,
        ..given::event(id, failed)
    }
}

/// A service with its own clock.
struct Service {
    record: OrderRecord<Heard>,
    offset: i64,
}

impl Service {
    fn new() -> Self {
        Self {
            record: OrderRecord::unknown(order()),
            offset: 0,
        }
    }

    /// Handles an event at this time of its own clock; gives the stamps of what it tells.
    fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Timestamp> {
        let saved = serde_json::to_vec(&self.record).unwrap();
        let record = serde_json::from_slice(&saved).unwrap();
        let mut session = Session::<Echo>::new(record, RetryPolicy::default());
        self.offset += 1;
        let source = Source {
            topic: event.event_type().as_str().to_owned(),
            partition: 0,
            offset: self.offset,
        };
        session.offer(Delivery::Event { source, event });
        assert!(session.advance(&Echo, now).is_none());
        self.record = session.record().clone();
        session.publish().iter().map(stamp).collect()
    }
}

fn stamp(emission: &Emission) -> Timestamp {
    let kind = EventType::parse(&emission.topic).unwrap_or(EventType::DeadLetter);
    Event::from_json(kind, emission.event.get().as_bytes())
        .unwrap()
        .timestamp
}

fn now() -> Timestamp {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

#[test]
fn an_event_of_the_year_9999_is_taken_to_be_of_now() {
    let mut service = Service::new();
    let far = event("far", END_OF_TIME.parse().unwrap(), "x");
    assert_eq!(service.handle(far, now()), [now().next()]);
    assert_eq!(service.record.state.at, now(), "and decided as of now");
    let later = now() + Duration::from_secs(1);
    let next = event("next", later, "x");
    assert_eq!(
        service.handle(next, later),
        [later.next()],
        "the order's clock is not pinned"
    );
}

#[test]
fn a_clock_that_is_ahead_by_no_more_than_the_limit_is_followed() {
    let limit = now() + CLOCK_LEAD_MAX;
    let mut service = Service::new();
    let told = service.handle(event("ahead", limit, "x"), now());
    assert_eq!(told, [limit.next()], "later than its cause");
    assert_eq!(service.record.state.at, limit);
    let mut service = Service::new();
    let told = service.handle(event("beyond", limit.next(), "x"), now());
    assert_eq!(told, [now().next()]);
}

#[test]
fn what_an_operator_writes_into_a_dead_letter_is_held_to_the_same_limit() {
    let mut service = Service::new();
    let told = service.handle(event("bad", now(), "rejected"), now());
    assert_eq!(told.len(), 1, "a dead letter");
    let edited = event("bad", END_OF_TIME.parse().unwrap(), "x");
    let redrive = given::event(
        "redrive",
        RedriveRequested {
            order_id: order(),
            dead_letter_id: message_id(EventType::PaymentFailed.as_str(), 0, 1).to_string(),
            action: RedriveAction::Redrive,
            event: Some(serde_json::from_slice(&edited.encode()).unwrap()),
            consumers: Vec::new(),
            requested_by: "ann".to_owned(),
        },
    );
    let later = now() + Duration::from_mins(1);
    assert_eq!(service.handle(redrive, later), [later.next()]);
    assert_eq!(service.record.state.at, later);
}

#[test]
fn a_service_whose_own_clock_stepped_back_still_tells_each_event_later_than_the_one_before() {
    let mut service = Service::new();
    let first = service.handle(event("a", now(), "x"), now());
    let a_year_before = Timestamp::from_micros(now().micros() - 365 * DAY_US);
    let second = service.handle(event("b", now(), "x"), a_year_before);
    assert!(second > first, "{second:?} {first:?}");
}

proptest! {
    /// An event goes from service to service and back, while their clocks are up to a day off in either direction.
    #[test]
    fn no_effect_is_stamped_before_its_cause_while_clocks_are_at_most_a_day_off(
        offsets in prop::collection::vec(-DAY_US..=DAY_US, 4),
        hops in prop::collection::vec((0..4_usize, 0..60_000_000_i64), 1..30),
    ) {
        let mut services: Vec<Service> = offsets.iter().map(|_| Service::new()).collect();
        let mut true_time = now().micros();
        let mut cause = Timestamp::from_micros(true_time + offsets[0]);
        for (hop, (to, takes)) in hops.into_iter().enumerate() {
            true_time += takes;
            let clock = Timestamp::from_micros(true_time + offsets[to]);
            let id = format!("e{hop}");
            let told = services[to].handle(event(&id, cause, "x"), clock);
            prop_assert!(told[0] > cause, "{:?} told because of {cause:?}", told[0]);
            cause = told[0];
        }
    }

    /// Whatever the others stamp, an order's clock stays near this machine's, and only goes forward.
    #[test]
    fn no_stamp_of_others_takes_an_orders_clock_further_than_the_limit(
        stamps in prop::collection::vec((any::<i64>(), 0..DAY_US), 1..30),
    ) {
        let mut service = Service::new();
        let (mut clock, mut last) = (now(), Timestamp::EPOCH);
        for (at, (stamped, takes)) in stamps.into_iter().enumerate() {
            clock = Timestamp::from_micros(clock.micros() + takes);
            let event = event(&format!("e{at}"), Timestamp::from_micros(stamped), "x");
            let told = service.handle(event, clock)[0];
            prop_assert!(told > last);
            prop_assert!(told <= clock + CLOCK_LEAD_MAX + Duration::from_millis(1));
            last = told;
        }
    }
}
