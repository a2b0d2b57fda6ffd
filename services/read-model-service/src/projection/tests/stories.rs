//! Orders as an operator sees them.

use sagaline_commands::Outcome;
use sagaline_contracts::payload::RedriveAction;
use sagaline_contracts::{Event, EventType};
use serde_json::{Value, json};

use crate::projection::{Entry, Order, Status};
use crate::testing::given::*;

#[test]
fn a_shipped_order_is_confirmed_and_shows_every_event_once() {
    let document = document(&happy());
    assert_eq!(document["_id"], "o-1");
    assert_eq!(document["currentStatus"], "SHIPPED");
    assert_eq!(document["outcome"], "CONFIRMED");
    assert_eq!(document["total"], json!(20.5));
    assert_eq!(document["items"], json!([{ "sku": "SKU-1", "qty": 2 }]));
    assert_eq!(document["createdAt"], "1970-01-01T00:00:01.000000Z");
    assert_eq!(document["updatedAt"], "1970-01-01T00:00:05.000000Z");
    assert_eq!(document["endedAt"], "1970-01-01T00:00:05.000000Z");
    let timeline = document["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 5);
    assert_eq!(
        timeline[3],
        json!({
            "type": "shipping.OrderShipped.v1", "at": "1970-01-01T00:00:04.000000Z", "eventId": "d",
            "causationId": "c", "attempt": 1,
            "details": { "orderId": "o-1", "carrier": "DHL", "trackingId": "t", "attempt": 1 },
        })
    );
}

#[test]
fn the_state_for_the_feed_says_how_the_order_stands_and_nothing_of_its_past() {
    let order = project(&failed());
    let state: Value = serde_json::from_slice(&order.fold().state()).unwrap();
    assert_eq!(
        state,
        json!({
            "orderId": "o-1", "currentStatus": "PAYMENT_FAILED", "outcome": "CANCELLED", "attempt": 1,
            "reason": "card_declined", "total": 20.5,
            "createdAt": "1970-01-01T00:00:01.000000Z", "updatedAt": "1970-01-01T00:00:06.000000Z",
            "endedAt": "1970-01-01T00:00:06.000000Z",
        })
    );
}

#[test]
fn a_clock_that_is_a_day_behind_puts_no_effect_before_its_cause() {
    let mut events = happy();
    events[1].timestamp = sagaline_contracts::Timestamp::from_micros(-86_400_000_000);
    let document = document(&events);
    let entry = &document["timeline"][1];
    assert_eq!(entry["eventId"], "b");
    assert_eq!(entry["at"], "1970-01-01T00:00:01.000001Z");
    assert_eq!(entry["timestamp"], "1969-12-31T00:00:00.000000Z");
    assert_eq!(document["currentStatus"], "SHIPPED");
}

#[test]
fn a_stamp_that_nobody_followed_does_not_put_an_order_behind_all_that_happens_to_it() {
    let year_9999 = 253_370_764_800;
    let mut events = failed();
    // another program placed the order, and its clock is wrong; the services stamp by their own
    events[0].timestamp = sagaline_contracts::Timestamp::from_micros(year_9999 * 1_000_000);
    let second = events[1].timestamp;
    events.push(event("g", 7, None, retry("ann")));
    events.push(event("h", 8, Some("g"), retried(2)));
    let order = project(&events);
    assert_eq!(ids(&order), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(order.fold().lifecycle.outcome, Outcome::Pending);
    let document = document(&events);
    assert_eq!(
        document["timeline"][0]["timestamp"],
        "9999-01-01T00:00:00.000000Z"
    );
    assert_eq!(document["timeline"][1]["at"], second.to_string());
    assert!(document["createdAt"].as_str() < document["timeline"][1]["at"].as_str());
}

#[test]
fn one_effect_with_a_clock_far_behind_does_not_make_its_cause_unbelievable() {
    let mut events = happy();
    let cause = events[0].timestamp;
    events.push(event("old", -40 * 365 * 86_400, Some("a"), rejected()));
    let document = document(&events);
    assert_eq!(document["createdAt"], cause.to_string());
    assert_eq!(document["timeline"][0]["eventId"], "a");
}

#[test]
fn a_retry_begins_an_attempt_and_what_the_old_one_still_tells_changes_nothing() {
    let mut events = failed();
    events.push(event("g", 7, None, retry("ann")));
    // the retry's clock is far behind the cancellation's
    events.push(event("h", 2, Some("g"), retried(2)));
    events.push(event("i", 8, Some("h"), reserved(2)));
    events.push(event("late", 9, None, payment_failed(1)));
    let order = project(&events);
    let fold = order.fold();
    assert_eq!(fold.lifecycle.status, Some(Status::InventoryReserved));
    assert_eq!(fold.lifecycle.outcome, Outcome::Pending);
    let document = document(&events);
    assert_eq!(document["attempt"], 2);
    assert_eq!(document["attempts"][0]["outcome"], "CANCELLED");
    assert_eq!(document["attempts"][0]["reason"], "card_declined");
    assert_eq!(document["attempts"][1]["step"], "payment");
    assert_eq!(document["reason"], Value::Null);
}

#[test]
fn a_refund_after_the_confirmation_is_shown_and_keeps_the_outcome() {
    let mut events = happy();
    let refund = sagaline_contracts::payload::PaymentRefunded {
        order_id: order_id(),
        amount: created().total,
        refund_id: "r".to_owned(),
        attempt: Some(1),
    };
    events.push(event("r", 9, None, refund));
    let order = project(&events);
    let fold = order.fold();
    assert_eq!(fold.lifecycle.status, Some(Status::Refunded));
    assert_eq!(fold.lifecycle.outcome, Outcome::Confirmed);
    assert!(fold.command_view().refunded && fold.command_view().shipped);
}

#[test]
fn an_order_that_takes_too_long_is_stalled_until_it_has_an_outcome() {
    let mut events = vec![
        event("a", 1, None, created()),
        event("w", 60, None, wish("saga-timeout", Some(1))),
    ];
    let stalled = document(&events);
    assert_eq!(stalled["stalledSince"], "1970-01-01T00:01:00.000000Z");
    assert_eq!(stalled["cancel"]["requestedBy"], "saga-timeout");
    assert!(project(&events).fold().head().stalled);
    events.push(event("x", 61, Some("w"), shipping_failed(1)));
    events.push(event("z", 61, Some("w"), ruling(1)));
    events.push(event("y", 62, Some("x"), cancelled(1)));
    assert!(!project(&events).fold().head().stalled);
    assert_eq!(document(&events)["stalledSince"], Value::Null);
    assert_eq!(document(&events)["cancel"]["decidedBy"], "shipping");
    // what follows from a failure was asked for by nobody
    assert_eq!(document(&failed())["cancel"], Value::Null);
}

#[test]
fn an_order_of_which_only_commands_are_known_is_not_listed() {
    let events = [
        event("r", 1, None, retry("ann")),
        event("x", 2, Some("r"), rejected()),
    ];
    let order = project(&events);
    let index = order.fold().index();
    assert_eq!((index.tag, index.rank), (None, None));
    assert_eq!(
        document(&events)["commandsRejected"][0]["reason"],
        "in flight"
    );
}

#[test]
fn another_programs_events_without_attempts_and_causes_are_folded_as_they_come() {
    let mut reserved = reserved(1);
    reserved.attempt = None;
    let mut confirmed = confirmed(1);
    confirmed.attempt = None;
    // its clock was ahead when it placed the order
    let events = [
        event("b", 2, None, reserved),
        event("z", 3, None, confirmed),
        event("a", 9, None, created()),
    ];
    let order = project(&events);
    assert_eq!(
        order.fold().lifecycle.status,
        Some(Status::InventoryReserved)
    );
    assert_eq!(order.fold().lifecycle.outcome, Outcome::Confirmed);
}

#[test]
fn statuses_tell_where_the_order_stood_after_each_event() {
    let order = project(&happy());
    let statuses: Vec<Option<Status>> = order.statuses().map(|(_, status)| status).collect();
    assert_eq!(
        statuses,
        [
            Some(Status::Created),
            Some(Status::InventoryReserved),
            Some(Status::PaymentAuthorized),
            Some(Status::Shipped),
            Some(Status::Shipped)
        ]
    );
}

#[test]
fn a_document_with_an_unknown_event_is_refused() {
    let body = br#"{"orderId":"o","timeline":[{"type":"x.Y.v9","at":"2026-01-01T00:00:00Z","eventId":"e","details":{}}]}"#;
    assert!(
        Order::parse(body)
            .unwrap_err()
            .to_string()
            .contains("x.Y.v9")
    );
    assert!(Order::parse(b"{}").is_err());
}

#[test]
fn every_type_of_event_can_be_read_back() {
    let all: Vec<Event> = happy()
        .into_iter()
        .chain(failed().into_iter().map(|mut e| {
            e.id = id(&format!("f{}", e.id));
            e
        }))
        .chain([
            event("g", 1, None, retry("ann")),
            event("h", 1, None, rejected()),
            event("i", 1, None, retried(2)),
            event("j", 1, None, shipping_failed(1)),
            event("k", 1, None, dead_letter("x", json!(1))),
            event("l", 1, None, redrive(RedriveAction::Discard, &[], None)),
        ])
        .collect();
    let order = project(&all);
    let again = Order::parse(&bytes(&order)).unwrap();
    let kinds = |order: &Order| {
        order
            .entries()
            .iter()
            .map(Entry::kind)
            .collect::<Vec<EventType>>()
    };
    assert_eq!(kinds(&again), kinds(&order));
    assert_eq!(bytes(&again), bytes(&order));
}
