//! What holds for every set of events.

use proptest::prelude::*;
use sagaline_contracts::payload::RedriveAction;
use sagaline_contracts::{Event, EventType, Payload, Timestamp};
use serde_json::json;

use crate::projection::{Audit, EVENTS_MAX, Entry, Order, PROJECTOR, PostMortem};
use crate::testing::given::*;

const DAY_S: i64 = 86_400;
const YEAR_9999_S: i64 = 253_370_764_800;

fn payloads() -> Vec<Payload> {
    let replacement = event("replacement", 5, Some("e1"), authorized(1));
    vec![
        created().into(),
        reserved(1).into(),
        authorized(1).into(),
        payment_failed(1).into(),
        shipped(1).into(),
        confirmed(1).into(),
        cancelled(1).into(),
        retried(2).into(),
        reserved(2).into(),
        wish("saga-timeout", Some(1)).into(),
        wish("ann", None).into(),
        ruling(1).into(),
        retry("ann").into(),
        rejected().into(),
        dead_letter(PROJECTOR, json!({ "amount": "x" })).into(),
        dead_letter("shipping-service", json!(null)).into(),
        redrive(RedriveAction::Redrive, &[], Some(&replacement)).into(),
        redrive(RedriveAction::Discard, &["shipping-service"], None).into(),
    ]
}

/// Any events of one order: clocks up to a day off and some that are wrong altogether, causes that are missing, and even
/// causes in circles.
fn events(max: usize) -> impl Strategy<Value = Vec<Event>> {
    let payload = prop::sample::select(payloads());
    let at_s = prop_oneof![9 => -DAY_S..DAY_S, 1 => YEAR_9999_S..YEAR_9999_S + 9];
    let one = (payload, at_s, prop::option::of(0..max + 2));
    prop::collection::vec(one, 1..max).prop_map(|drawn| {
        drawn
            .into_iter()
            .enumerate()
            .map(|(at, (payload, at_s, cause))| {
                let cause = cause.map(|cause| format!("e{cause}"));
                event(&format!("e{at}"), at_s, cause.as_deref(), payload)
            })
            .collect()
    })
}

/// The same events in another order, some of them twice, cut into batches; some batches are stored in between.
fn arrival(events: &[Event]) -> impl Strategy<Value = Vec<(Vec<Event>, bool)>> + use<> {
    let all = events.to_vec();
    let again = prop::sample::subsequence(all.clone(), 0..=all.len());
    again
        .prop_flat_map(move |again| {
            let mut arriving = all.clone();
            arriving.extend(again);
            Just(arriving).prop_shuffle()
        })
        .prop_flat_map(|arriving| {
            let batches = prop::collection::vec((1..5_usize, any::<bool>()), arriving.len());
            (Just(arriving), batches)
        })
        .prop_map(|(mut arriving, sizes)| {
            let mut batches = Vec::new();
            for (size, is_stored) in sizes {
                let rest = arriving.split_off(size.min(arriving.len()));
                batches.push((std::mem::replace(&mut arriving, rest), is_stored));
            }
            batches
        })
}

fn arrivals(max: usize) -> impl Strategy<Value = (Vec<Event>, Vec<(Vec<Event>, bool)>)> {
    events(max).prop_flat_map(|events| {
        let arrival = arrival(&events);
        (Just(events), arrival)
    })
}

fn project_batches(batches: &[(Vec<Event>, bool)]) -> Order {
    let mut order = Order::new(order_id());
    for (batch, is_stored) in batches {
        order.merge(batch.iter().map(entry));
        if *is_stored {
            order = Order::parse(&bytes(&order)).unwrap();
        }
    }
    order
}

fn audits(order: &Order) -> Vec<Vec<u8>> {
    let mut audits: Vec<Vec<u8>> = Audit::of_order(order)
        .map(|audit| audit.document().0.to_vec())
        .collect();
    audits.sort();
    audits
}

proptest! {
    #[test]
    fn any_arrival_gives_the_same_bytes((events, batches) in arrivals(12)) {
        let expected = project(&events);
        let got = project_batches(&batches);
        prop_assert_eq!(
            String::from_utf8(bytes(&got)).unwrap(),
            String::from_utf8(bytes(&expected)).unwrap()
        );
        prop_assert_eq!(audits(&got), audits(&expected));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_arrival_of_a_long_order_gives_the_same_bytes((events, batches) in arrivals(60)) {
        prop_assert_eq!(bytes(&project_batches(&batches)), bytes(&project(&events)));
    }

}

proptest! {
    #[test]
    fn two_halves_merge_to_the_whole((events, batches) in arrivals(12), at in 0..12_usize) {
        let (one, other) = batches.split_at(at.min(batches.len()));
        let mut merged = project_batches(one);
        merged.merge_copy(project_batches(other));
        prop_assert_eq!(bytes(&merged), bytes(&project(&events)));
    }

    #[test]
    fn no_effect_stands_before_its_cause(events in events(20)) {
        let order = project(&events);
        let position = |id: &str| ids(&order).iter().position(|other| *other == id);
        for entry in order.entries() {
            let Some(cause) = entry.cause() else { continue };
            // going up from the cause, an effect in a circle comes back to itself
            let mut seen = vec![entry.id().clone()];
            let mut up = order.entries().iter().find(|e| e.id() == cause);
            while let Some(above) = up.filter(|e| !seen.contains(e.id())) {
                seen.push(above.id().clone());
                up = above.cause().and_then(|c| order.entries().iter().find(|e| e.id() == c));
            }
            if up.is_some() { continue }
            if let Some(cause) = position(cause.as_str()) {
                prop_assert!(Some(cause) < position(entry.id().as_str()));
            }
        }
        let times: Vec<Timestamp> = order.entries().iter().map(Entry::at).collect();
        prop_assert!(times.is_sorted());
    }

    #[test]
    fn a_stored_document_is_read_as_what_it_was(events in events(20)) {
        let order = project(&events);
        let again = Order::parse(&bytes(&order)).unwrap();
        prop_assert_eq!(bytes(&again), bytes(&order));
        prop_assert_eq!(again.fold().head(), order.fold().head());
    }

    #[test]
    fn a_dead_letter_is_the_same_whatever_came_first((events, batches) in arrivals(12)) {
        let project = |events: &mut dyn Iterator<Item = &Event>| {
            let mut letter = PostMortem::new("letter-1");
            for event in events {
                if let Some(other) = PostMortem::of(event) {
                    letter.merge(other);
                    letter = PostMortem::parse(&letter.document().0).unwrap();
                }
            }
            letter.document().0
        };
        let expected = project(&mut events.iter());
        let got = project(&mut batches.iter().flat_map(|(batch, _)| batch));
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn the_first_to_come_of_two_with_one_id_does_not_win(a in events(6), b in events(6)) {
        // both sets use the ids e0, e1, …; a redrive that turns out to be another event has had its effect already
        let plain = |e: &Event| e.event_type() != EventType::RedriveRequested;
        let [a, b] = [a, b].map(|events| events.into_iter().filter(plain).collect::<Vec<Event>>());
        let ab: Vec<Event> = a.iter().chain(&b).cloned().collect();
        let ba: Vec<Event> = b.iter().chain(&a).cloned().collect();
        prop_assert_eq!(bytes(&project(&ab)), bytes(&project(&ba)));
    }
}

#[test]
fn what_there_is_no_room_for_does_not_depend_on_the_arrival() {
    let mut events: Vec<Event> = (0..i64::try_from(EVENTS_MAX).unwrap() + 50)
        .map(|at| event(&format!("r{at:05}"), at, None, retry("ann")))
        .collect();
    events.push(event("late", 9_999_999, None, confirmed(1)));
    let mut forward = Order::new(order_id());
    forward.merge(events.iter().map(entry));
    let mut backward = Order::new(order_id());
    for batch in events.rchunks(700) {
        backward.merge(batch.iter().rev().map(entry));
    }
    assert!(forward.is_truncated());
    assert_eq!(forward.entries().len(), EVENTS_MAX);
    assert_eq!(bytes(&forward), bytes(&backward));
    // the lifecycle is kept before commands are
    assert_eq!(forward.entries().last().unwrap().id().as_str(), "late");
    let again = Order::parse(&bytes(&forward)).unwrap();
    assert_eq!(bytes(&again), bytes(&forward));
}

#[test]
fn what_is_too_much_in_bytes_does_not_depend_on_the_arrival() {
    let events: Vec<Event> = (0..200)
        .map(|at| {
            let payload = json!("x".repeat(if at % 3 == 0 { 120_000 } else { 10 }));
            event(&format!("d{at:03}"), at, None, dead_letter("x", payload))
        })
        .collect();
    let forward = project(&events);
    let backward = project(&events.iter().rev().cloned().collect::<Vec<_>>());
    assert!(forward.is_truncated());
    assert_eq!(bytes(&forward), bytes(&backward));
}

#[test]
fn two_truncated_copies_merge_to_the_truncated_whole() {
    let events: Vec<Event> = (0..i64::try_from(EVENTS_MAX).unwrap() * 2)
        .map(|at| event(&format!("r{at:05}"), at, None, retry("ann")))
        .collect();
    let project = |events: Vec<&Event>| {
        let mut order = Order::new(order_id());
        order.merge(events.into_iter().map(entry));
        order
    };
    let (head, tail) = events.split_at(EVENTS_MAX + 10);
    let mut merged = project(tail.iter().collect());
    merged.merge_copy(project(head.iter().collect()));
    assert_eq!(bytes(&merged), bytes(&project(events.iter().collect())));
}
