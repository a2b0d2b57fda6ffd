//! What a session guarantees, whatever comes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use proptest::prelude::*;
use sagaline_contracts::payload::{
    InventoryReserved, OrderConfirmed, OrderCreated, OrderItem, OrderShipped, PaymentAuthorized,
    PaymentFailed, RedriveAction, RedriveRequested,
};
use sagaline_contracts::{
    Event, EventId, EventType, Money, OrderId, Payload, Rejected, RejectedKind, Sku, Timestamp,
};
use sagaline_saga::{
    Decision, Delivery, EffectFailure, Emission, OrderRecord, ParkedReason, Participant,
    RetryPolicy, Session, Source, Status, Transition, message_id,
};
use serde::{Deserialize, Serialize};

/// Creates → reserves; reserved → charges (an effect); shipped needs a charge first; a failed payment is a contradiction.
struct Toy;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct ToyState {
    created: bool,
    charged: bool,
    shipped: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Charge;

impl Participant for Toy {
    type State = ToyState;
    type Effect = Charge;
    type Outcome = &'static str;

    fn name(&self) -> &'static str {
        "toy-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[
            EventType::OrderCreated,
            EventType::InventoryReserved,
            EventType::OrderShipped,
            EventType::PaymentFailed,
        ]
    }

    fn decide(&self, state: &ToyState, event: &Event) -> Decision<ToyState, Charge> {
        let order_id = order();
        match &event.payload {
            Payload::OrderCreated(_) if state.created => Decision::Ignore("created already"),
            Payload::OrderCreated(_) => Transition::to(ToyState {
                created: true,
                ..state.clone()
            })
            .emit(InventoryReserved {
                order_id,
                reserved_items: Vec::new(),
                total: None,
                attempt: None,
            })
            .into(),
            Payload::InventoryReserved(_) => Decision::Effect(Charge),
            Payload::OrderShipped(_) if !state.charged => Decision::Early("nothing is charged yet"),
            Payload::OrderShipped(_) => Transition::to(ToyState {
                shipped: true,
                ..state.clone()
            })
            .emit(OrderConfirmed {
                order_id,
                attempt: None,
            })
            .into(),
            Payload::PaymentFailed(failed) if failed.reason == "panic" => {
                panic!("a bug in the handler")
            }
            _ => Decision::Reject("a failed payment contradicts everything".to_owned()),
        }
    }

    fn settle(&self, state: &ToyState, _: &Event, auth_id: &'static str) -> Transition<ToyState> {
        Transition::to(ToyState {
            charged: true,
            ..state.clone()
        })
        .emit(PaymentAuthorized {
            order_id: order(),
            amount: Money::ZERO,
            auth_id: auth_id.to_owned(),
            attempt: None,
        })
    }

    fn deadline(&self, state: &ToyState) -> Option<Timestamp> {
        (state.created && !state.shipped).then(|| at(60))
    }

    fn expire(&self, _: &OrderId, state: &ToyState, _: Timestamp) -> Transition<ToyState> {
        Transition::to(ToyState {
            shipped: true,
            ..state.clone()
        })
        .emit(OrderConfirmed {
            order_id: order(),
            attempt: None,
        })
    }
}

fn order() -> OrderId {
    OrderId::new("o-1").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn event(id: &str, payload: impl Into<Payload>) -> Event {
    sagaline_saga::given::event(id, payload)
}

fn created() -> Event {
    let items = vec![OrderItem {
        sku: Sku::new("SKU-1").unwrap(),
        qty: 1,
        price: None,
    }];
    event(
        "created",
        OrderCreated {
            order_id: order(),
            items,
            total: Money::ZERO,
            currency: None,
            customer_id: None,
        },
    )
}

fn reserved() -> Event {
    event(
        "reserved",
        InventoryReserved {
            order_id: order(),
            reserved_items: Vec::new(),
            total: None,
            attempt: None,
        },
    )
}

fn shipped() -> Event {
    event(
        "shipped",
        OrderShipped {
            order_id: order(),
            carrier: "c".to_owned(),
            tracking_id: "t".to_owned(),
            attempt: None,
        },
    )
}

fn payment_failed(reason: &str) -> Event {
    event(
        "failed",
        PaymentFailed {
            order_id: order(),
            reason: reason.to_owned(),
            attempt: None,
        },
    )
}

fn source(event: &Event, offset: i64) -> Source {
    Source {
        topic: event.event_type().as_str().to_owned(),
        partition: 0,
        offset,
    }
}

fn delivery(event: Event) -> Delivery {
    // A test's events have one place each: the redelivery of one has the same.
    let offset = i64::try_from(event.id.as_str().len()).unwrap();
    Delivery::Event {
        source: source(&event, offset),
        event,
    }
}

fn poison(offset: i64) -> Delivery {
    Delivery::Poison {
        source: Source {
            topic: EventType::OrderCreated.as_str().to_owned(),
            partition: 0,
            offset,
        },
        value: Some(b"{\"payload\":{\"orderId\":17}}".to_vec()),
        rejected: Rejected {
            kind: RejectedKind::Schema,
            reason: "payload.orderId: 17 is not a string".to_owned(),
        },
    }
}

fn redrive(
    id: &str,
    topic: EventType,
    offset: i64,
    action: RedriveAction,
    edited: Option<&Event>,
) -> Event {
    event(
        id,
        RedriveRequested {
            order_id: order(),
            dead_letter_id: message_id(topic.as_str(), 0, offset).to_string(),
            action,
            event: edited.map(|event| serde_json::from_slice(&event.encode()).unwrap()),
            consumers: Vec::new(),
            requested_by: "ann".to_owned(),
        },
    )
}

/// Saved and loaded again between deliveries, as after a crash, so every test covers the record's JSON too.
struct World {
    record: OrderRecord<ToyState>,
    published: Vec<Emission>,
    handled: Vec<Status>,
    now: Timestamp,
    outcome: Result<&'static str, EffectFailure>,
    charges: usize,
}

impl World {
    fn new() -> Self {
        Self {
            record: OrderRecord::unknown(order()),
            published: Vec::new(),
            handled: Vec::new(),
            now: at(1),
            outcome: Ok("auth-1"),
            charges: 0,
        }
    }

    fn deliver(&mut self, deliveries: impl IntoIterator<Item = Delivery>) -> Vec<EventType> {
        self.run(deliveries, false)
    }

    fn tick(&mut self) -> Vec<EventType> {
        self.run([], true)
    }

    fn run(
        &mut self,
        deliveries: impl IntoIterator<Item = Delivery>,
        expire: bool,
    ) -> Vec<EventType> {
        let policy = RetryPolicy {
            delays: vec![Duration::from_secs(10)],
            attempts_max: 3,
        };
        let json = serde_json::to_vec(&self.record).unwrap();
        let mut session = Session::<Toy>::new(serde_json::from_slice(&json).unwrap(), policy);
        for delivery in deliveries {
            session.offer(delivery);
        }
        if expire {
            session.expire(&Toy, self.now);
        }
        while session.advance(&Toy, self.now).is_some() {
            self.charges += 1;
            session.settle(&Toy, self.outcome.clone(), self.now);
        }
        self.record = session.record().clone();
        self.handled
            .extend(session.handled().iter().map(|handled| handled.status));
        self.published.extend(session.publish().iter().cloned());
        session.publish().iter().map(kind_of).collect()
    }

    fn deliver_each(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<EventType> {
        events
            .into_iter()
            .flat_map(|event| self.deliver([delivery(event)]))
            .collect()
    }
}

fn kind_of(emission: &Emission) -> EventType {
    EventType::parse(&emission.topic).unwrap_or(EventType::DeadLetter)
}

fn decoded(emission: &Emission) -> Event {
    Event::from_json(kind_of(emission), emission.event.get().as_bytes()).unwrap()
}

const HAPPY: [EventType; 3] = [
    EventType::InventoryReserved,
    EventType::PaymentAuthorized,
    EventType::OrderConfirmed,
];

#[test]
fn events_in_order_are_applied_and_tell_the_others() {
    let mut world = World::new();
    assert_eq!(
        world.deliver_each([created(), reserved(), shipped()]),
        HAPPY
    );
    assert_eq!(
        world.record.state,
        ToyState {
            created: true,
            charged: true,
            shipped: true
        }
    );
    assert_eq!(world.handled, [Status::Ok; 3]);
}

#[test]
fn a_redelivery_publishes_the_same_again_and_changes_nothing() {
    let mut world = World::new();
    world.deliver_each([created(), reserved()]);
    let (state, first) = (
        world.record.state.clone(),
        std::mem::take(&mut world.published),
    );
    world.now = at(500);
    world.deliver_each([created(), reserved()]);
    assert_eq!(world.record.state, state);
    assert_eq!(world.charges, 1);
    let texts = |emissions: &[Emission]| {
        emissions
            .iter()
            .map(|e| e.event.get().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&world.published), texts(&first));
    assert_eq!(world.handled[2..], [Status::Duplicate; 2]);
}

#[test]
fn an_early_event_is_remembered_and_applied_when_its_time_has_come() {
    let mut world = World::new();
    assert_eq!(
        world.deliver_each([shipped(), created()]),
        [EventType::InventoryReserved]
    );
    assert_eq!(
        world.deliver_each([shipped()]),
        [],
        "a redelivered early event is a duplicate"
    );
    assert_eq!(
        world.deliver_each([reserved()]),
        [EventType::PaymentAuthorized, EventType::OrderConfirmed]
    );
    assert!(world.record.early.is_empty());
    assert!(world.record.state.shipped);
}

#[test]
fn what_a_kept_event_causes_stands_in_the_outbox_because_no_redelivery_brings_it_back() {
    let mut world = World::new();
    world.deliver_each([shipped(), reserved()]);
    let kept: Vec<EventType> = world
        .record
        .outbox
        .iter()
        .map(|entry| kind_of(&entry.emission))
        .collect();
    assert_eq!(kept, [EventType::OrderConfirmed]);
}

#[test]
fn a_poison_message_is_a_dead_letter_and_later_events_wait_behind_it() {
    let mut world = World::new();
    assert_eq!(world.deliver([poison(7)]), [EventType::DeadLetter]);
    assert_eq!(world.published[0].topic, "order.OrderCreated.v1.dlq");
    assert_eq!(world.deliver_each([created(), reserved(), shipped()]), []);
    assert_eq!(world.record.state, ToyState::default());
    assert_eq!(world.record.parked.len(), 4);
    let Payload::DeadLetter(letter) = decoded(&world.published[0]).payload else {
        panic!("not a dead letter")
    };
    assert_eq!(letter.error, "payload.orderId: 17 is not a string");
    assert_eq!(letter.payload, serde_json::json!({ "orderId": 17 }));
    assert_eq!(
        (letter.partition, letter.offset, letter.attempts),
        (Some(0), Some(7), Some(1))
    );
}

#[test]
fn a_redelivered_poison_message_publishes_the_same_dead_letter() {
    let mut world = World::new();
    world.deliver([poison(7)]);
    world.deliver([poison(7)]);
    assert_eq!(world.published[0].id, world.published[1].id);
    assert_eq!(world.record.parked.len(), 1);
}

#[test]
fn an_edited_redrive_lets_everything_go_on_in_order() {
    let mut world = World::new();
    world.deliver([poison(7)]);
    world.deliver_each([reserved(), shipped()]);
    let command = redrive(
        "redrive",
        EventType::OrderCreated,
        7,
        RedriveAction::Redrive,
        Some(&created()),
    );
    assert_eq!(world.deliver_each([command]), HAPPY);
    assert!(world.record.parked.is_empty());
    assert_eq!(
        world.deliver([poison(7)]),
        [EventType::InventoryReserved],
        "the original is handled: what it caused comes again"
    );
    assert_eq!(
        world.deliver_each([created()]),
        [],
        "and so is the edited one"
    );
}

#[test]
fn a_redrive_without_an_edit_fails_again_as_another_attempt_of_the_same_letter() {
    let mut world = World::new();
    world.deliver([poison(7)]);
    world.deliver_each([reserved()]);
    let mut command = redrive(
        "redrive",
        EventType::OrderCreated,
        7,
        RedriveAction::Redrive,
        None,
    );
    // Decided on a machine whose clock is ahead of this service's.
    command.timestamp = at(20);
    assert_eq!(world.deliver_each([command]), [EventType::DeadLetter]);
    let [Payload::DeadLetter(first), Payload::DeadLetter(second)] =
        [0, 1].map(|n| decoded(&world.published[n]).payload)
    else {
        panic!("not dead letters")
    };
    assert_eq!(first.dead_letter_id, second.dead_letter_id);
    assert_ne!(world.published[0].id, world.published[1].id);
    assert_eq!(second.attempts, Some(2));
    let died_again = decoded(&world.published[1]).timestamp;
    assert!(
        died_again > at(20),
        "{died_again} is not later than the redrive, so it looks as if nothing waited"
    );
    assert_eq!(
        world.record.parked.len(),
        2,
        "the other one still waits behind it"
    );
}

#[test]
fn an_edit_that_is_about_another_order_is_refused() {
    let mut world = World::new();
    world.deliver([poison(7)]);
    let mut other = created();
    other.order_id = Some(OrderId::new("o-2").unwrap());
    if let Payload::OrderCreated(payload) = &mut other.payload {
        payload.order_id = OrderId::new("o-2").unwrap();
    }
    let command = redrive(
        "redrive",
        EventType::OrderCreated,
        7,
        RedriveAction::Redrive,
        Some(&other),
    );
    assert_eq!(world.deliver_each([command]), [EventType::DeadLetter]);
    assert_eq!(world.record.state, ToyState::default());
}

#[test]
fn a_discarded_dead_letter_is_dropped_and_the_others_go_on() {
    let mut world = World::new();
    world.deliver_each([created()]);
    world.deliver([poison(7)]);
    world.deliver_each([reserved()]);
    let command = redrive(
        "discard",
        EventType::OrderCreated,
        7,
        RedriveAction::Discard,
        None,
    );
    assert_eq!(
        world.deliver_each([command.clone()]),
        [EventType::PaymentAuthorized]
    );
    assert_eq!(
        world.deliver_each([command]),
        [],
        "a second click does nothing"
    );
    assert_eq!(world.deliver([poison(7)]), [], "it does not come back");
}

#[test]
fn poison_behind_poison_waits_for_its_own_decision() {
    let mut world = World::new();
    world.deliver([poison(7), poison(9)]);
    world.deliver_each([created()]);
    let first = redrive(
        "a",
        EventType::OrderCreated,
        7,
        RedriveAction::Discard,
        None,
    );
    assert_eq!(world.deliver_each([first]), []);
    assert!(matches!(
        world.record.parked[0].reason,
        ParkedReason::DeadLetter { .. }
    ));
    assert_eq!(world.record.parked[0].held.source.offset, 9);
    let second = redrive(
        "b",
        EventType::OrderCreated,
        9,
        RedriveAction::Discard,
        None,
    );
    assert_eq!(world.deliver_each([second]), [EventType::InventoryReserved]);
}

#[test]
fn a_contradiction_is_a_dead_letter_and_so_is_a_panic() {
    for reason in ["declined", "panic"] {
        let mut world = World::new();
        assert_eq!(
            world.deliver_each([payment_failed(reason)]),
            [EventType::DeadLetter],
            "{reason}"
        );
        assert_eq!(world.handled, [Status::Dead]);
        assert_eq!(world.deliver_each([created()]), [], "it waits");
    }
}

#[test]
fn a_failed_effect_is_tried_again_when_it_is_due_and_nothing_overtakes() {
    let mut world = World::new();
    world.outcome = Err(EffectFailure::Transient("the gateway timed out".to_owned()));
    assert_eq!(world.deliver_each([reserved(), created()]), []);
    assert_eq!(world.record.parked.len(), 2);
    let due = world.record.due().unwrap();
    assert!(due >= at(11) && due < at(14), "{due}");
    assert_eq!(world.tick(), [], "not due yet");
    assert_eq!(world.charges, 1);
    world.now = due;
    world.outcome = Ok("auth-1");
    assert_eq!(
        world.tick(),
        [EventType::PaymentAuthorized, EventType::InventoryReserved]
    );
    assert!(world.record.parked.is_empty());
}

#[test]
fn an_effect_that_keeps_failing_is_given_up_as_a_dead_letter() {
    let mut world = World::new();
    world.outcome = Err(EffectFailure::Transient("the gateway timed out".to_owned()));
    world.deliver_each([reserved()]);
    world.now = world.record.due().unwrap();
    assert_eq!(world.tick(), []);
    world.now = world.record.due().unwrap();
    assert_eq!(world.tick(), [EventType::DeadLetter]);
    let Payload::DeadLetter(letter) = decoded(world.published.last().unwrap()).payload else {
        panic!("no letter")
    };
    assert_eq!(
        letter.error,
        "given up after 3 tries: the gateway timed out"
    );
    assert!(matches!(
        world.record.parked[0].reason,
        ParkedReason::DeadLetter { .. }
    ));
    assert_eq!(
        world.record.outbox.len(),
        1,
        "no redelivery would bring the letter back"
    );
}

#[test]
fn a_permanent_failure_is_a_dead_letter_at_once() {
    let mut world = World::new();
    world.outcome = Err(EffectFailure::Permanent("no such account".to_owned()));
    assert_eq!(world.deliver_each([reserved()]), [EventType::DeadLetter]);
}

#[test]
fn an_event_is_later_than_its_cause_whatever_the_clocks_say() {
    let mut world = World::new();
    let mut cause = created();
    cause.timestamp = at(86_400);
    world.deliver_each([cause.clone(), reserved()]);
    let [first, second] = [0, 1].map(|n| decoded(&world.published[n]));
    assert!(first.timestamp > cause.timestamp);
    assert!(
        second.timestamp > first.timestamp,
        "one service's events of an order never go back in time"
    );
    assert_eq!(first.causation_id, Some(cause.id));
    assert_eq!(first.correlation_id, "o-1");
}

#[test]
fn a_passed_deadline_is_acted_on_once_and_through_the_outbox() {
    let mut world = World::new();
    world.deliver_each([created()]);
    assert_eq!(world.tick(), []);
    world.now = at(60);
    assert_eq!(world.tick(), [EventType::OrderConfirmed]);
    assert_eq!(world.record.outbox.len(), 1);
    assert_eq!(world.tick(), []);
}

#[test]
fn a_dead_letter_without_an_order_is_handled_as_new_when_it_is_redriven_with_an_edit() {
    let mut world = World::new();
    let mut command = redrive(
        "redrive",
        EventType::OrderCreated,
        99,
        RedriveAction::Redrive,
        Some(&created()),
    );
    if let Payload::RedriveRequested(payload) = &mut command.payload {
        payload.consumers = vec!["toy-service".to_owned()];
    }
    assert_eq!(
        world.deliver_each([command.clone()]),
        [EventType::InventoryReserved]
    );
    assert_eq!(world.deliver_each([command]), []);
    if let Payload::RedriveRequested(payload) = &mut redrive(
        "r2",
        EventType::OrderCreated,
        98,
        RedriveAction::Redrive,
        Some(&reserved()),
    )
    .payload
    {
        payload.consumers = vec!["other-service".to_owned()];
        let elsewhere = event("r2", payload.clone());
        assert_eq!(
            world.deliver_each([elsewhere]),
            [],
            "another service's letter"
        );
    }
}

#[test]
fn an_order_with_too_many_events_refuses_more_without_growing() {
    let mut world = World::new();
    world.deliver_each([created()]);
    for n in 0..2_000 {
        let mut again = created();
        again.id = EventId::new(format!("again-{n}")).unwrap();
        world.deliver([delivery(again)]);
    }
    assert_eq!(world.handled.last(), Some(&Status::Dead));
    let size = world.record.applied.len();
    let mut again = created();
    again.id = EventId::new("one-more").unwrap();
    assert_eq!(world.deliver([delivery(again)]), [EventType::DeadLetter]);
    assert_eq!(world.record.applied.len(), size);
    assert!(world.record.parked.is_empty());
}

proptest! {
    #[test]
    fn any_arrival_order_and_any_duplication_end_in_the_same_state(
        order in Just(vec![0_usize, 1, 2]).prop_shuffle(),
        again in prop::collection::vec((0_usize..3, 0_usize..6), 0..6),
        cuts in prop::collection::vec(1_usize..4, 1..9),
    ) {
        let events = [created(), reserved(), shipped()];
        let mut arrivals = order;
        for (event, at) in again {
            arrivals.insert(at.min(arrivals.len()), event);
        }
        let mut world = World::new();
        let mut rest = &arrivals[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (batch, later) = rest.split_at((*cut).min(rest.len()));
            world.deliver(batch.iter().map(|at| delivery(events[*at].clone())));
            rest = later;
        }
        prop_assert_eq!(&world.record.state, &ToyState { created: true, charged: true, shipped: true });
        prop_assert_eq!(world.charges, 1);
        let mut ids: Vec<&str> = world.published.iter().map(|emission| emission.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), 3);
    }
}

#[test]
fn a_message_that_is_brought_along_after_it_was_handled_is_not_handled_again() {
    let mut world = World::new();
    world.deliver_each([created(), reserved()]);
    assert_eq!(world.charges, 1);
    let mut along = redrive(
        "redrive",
        EventType::InventoryReserved,
        99,
        RedriveAction::Redrive,
        Some(&reserved()),
    );
    if let Payload::RedriveRequested(redrive) = &mut along.payload {
        redrive.consumers = vec!["toy-service".to_owned()];
    }
    assert_eq!(world.deliver_each([along]), []);
    assert_eq!(world.charges, 1);
    assert!(world.record.parked.is_empty());
}
