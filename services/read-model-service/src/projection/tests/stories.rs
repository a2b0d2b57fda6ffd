//! Orders as an operator sees them.

use sagaline_commands::Outcome;
use sagaline_contracts::payload::RedriveAction;
use sagaline_contracts::{Event, EventType};
use serde_json::{Value, json};

use crate::projection::{
    Audit, AuditOutcome, Entry, LetterState, Order, PROJECTOR, PostMortem, Status,
};
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
    events.push(event("y", 62, Some("x"), cancelled(1)));
    assert!(!project(&events).fold().head().stalled);
    assert_eq!(document(&events)["stalledSince"], Value::Null);
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
fn a_redriven_message_takes_its_place_in_the_timeline() {
    let good = event("c", 3, Some("b"), authorized(1));
    let mut events = happy();
    events.remove(2);
    events.push(event(
        "dead",
        4,
        None,
        dead_letter(PROJECTOR, json!({ "amount": "x" })),
    ));
    let before = document(&events);
    assert_eq!(before["deadLetters"][0]["status"], "dead");
    events.push(event(
        "again",
        9,
        Some("dead"),
        redrive(RedriveAction::Redrive, &[PROJECTOR], Some(&good)),
    ));
    let order = project(&events);
    assert_eq!(ids(&order), ["a", "b", "c", "dead", "d", "e", "again"]);
    let after = document(&events);
    assert_eq!(after["deadLetters"][0]["status"], "redriven");
    let dead = after["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["eventId"] == "dead");
    assert_eq!(dead.unwrap()["status"], "redriven");
}

#[test]
fn a_message_that_is_redriven_to_others_only_is_not_ours_to_apply() {
    let good = event("c", 3, Some("b"), authorized(1));
    let to_others = redrive(RedriveAction::Redrive, &["shipping-service"], Some(&good));
    let events = [
        event("dead", 4, None, dead_letter("shipping-service", json!({}))),
        event("x", 5, None, to_others),
    ];
    assert_eq!(ids(&project(&events)), ["dead", "x"]);
    // to everyone who holds it, which the read model does not
    let to_all = redrive(RedriveAction::Redrive, &[], Some(&good));
    let events = [
        event("dead", 4, None, dead_letter("shipping-service", json!({}))),
        event("x", 5, None, to_all),
    ];
    assert_eq!(ids(&project(&events)), ["dead", "x"]);
}

#[test]
fn a_redriven_event_of_another_order_is_not_applied() {
    let mut other = event("c", 3, None, authorized(1));
    let sagaline_contracts::Payload::PaymentAuthorized(payload) = &mut other.payload else {
        unreachable!("an authorization")
    };
    payload.order_id = sagaline_contracts::OrderId::new("o-2").unwrap();
    other.order_id = Some(payload.order_id.clone());
    let redriven = redrive(RedriveAction::Redrive, &[PROJECTOR], Some(&other));
    assert_eq!(ids(&project(&[event("x", 5, None, redriven)])), ["x"]);
}

#[test]
fn a_letter_waits_again_when_it_dies_again() {
    let events = [
        event("d1", 1, None, dead_letter("payment-service", json!({}))),
        event(
            "r1",
            2,
            Some("d1"),
            redrive(RedriveAction::Redrive, &[], None),
        ),
        event("d2", 3, None, dead_letter("payment-service", json!({}))),
    ];
    let document = document(&events);
    let states: Vec<&Value> = document["deadLetters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| &l["status"])
        .collect();
    assert_eq!(states, ["redriven", "dead"]);
    let mut letter = PostMortem::new("letter-1");
    for event in &events {
        letter.merge(PostMortem::of(event).unwrap());
    }
    assert_eq!(letter.state(), LetterState::Waiting);
    letter.merge(
        PostMortem::of(&event(
            "x",
            4,
            None,
            redrive(RedriveAction::Discard, &[], None),
        ))
        .unwrap(),
    );
    assert_eq!(letter.state(), LetterState::Discarded);
}

#[test]
fn one_message_that_two_services_cannot_handle_is_one_letter_with_two_copies() {
    let mut letter = PostMortem::of(&event("d1", 1, None, dead_letter("a", json!({})))).unwrap();
    letter.merge(PostMortem::of(&event("d2", 2, None, dead_letter("b", json!({})))).unwrap());
    letter.merge(
        PostMortem::of(&event(
            "r",
            3,
            None,
            redrive(RedriveAction::Discard, &["a"], None),
        ))
        .unwrap(),
    );
    let copies = letter.copies();
    let states: Vec<(&str, LetterState)> = copies.iter().map(|c| (c.consumer, c.state)).collect();
    assert_eq!(
        states,
        [("a", LetterState::Discarded), ("b", LetterState::Waiting)]
    );
    assert_eq!(letter.state(), LetterState::Waiting);
    let (body, index) = letter.document();
    assert_eq!(index.tag.as_deref(), Some("waiting"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["topic"], "payment.PaymentAuthorized.v1");
    assert_eq!(body["consumers"][1]["state"], "waiting");
}

#[test]
fn the_same_letter_published_again_with_another_time_is_one_death() {
    let mut letter = PostMortem::of(&event("d1", 5, None, dead_letter("a", json!({})))).unwrap();
    assert!(
        letter.merge(PostMortem::of(&event("d1", 3, None, dead_letter("a", json!({})))).unwrap())
    );
    assert!(
        !letter.merge(PostMortem::of(&event("d1", 5, None, dead_letter("a", json!({})))).unwrap())
    );
    assert_eq!(letter.latest_deaths().len(), 1);
    assert_eq!(letter.died_at().unwrap().micros(), 3_000_000);
}

#[test]
fn a_payload_that_not_every_store_can_hold_is_kept_as_text() {
    let odd = json!({ "$where": u64::MAX });
    let order = project(&[event("d1", 1, None, dead_letter("a", odd.clone()))]);
    let details: Value = serde_json::from_str(order.entries()[0].details().get()).unwrap();
    assert_eq!(details["payload"], json!(odd.to_string()));
    let letter = PostMortem::of(&event("d1", 1, None, dead_letter("a", odd.clone()))).unwrap();
    assert_eq!(
        letter.first_death().unwrap().payload,
        json!(odd.to_string())
    );
}

fn outcome(events: &[Event], command: &str) -> Option<AuditOutcome> {
    let order = project(events);
    Audit::of_order(&order)
        .find(|audit| audit.id().as_str() == command)
        .map(|audit| audit.outcome())
}

#[test]
fn a_command_is_pending_until_it_is_answered() {
    let mut events = vec![event("r", 1, None, retry("ann"))];
    assert_eq!(outcome(&events, "r"), Some(AuditOutcome::Pending));
    events.push(event("x", 2, Some("r"), rejected()));
    assert_eq!(outcome(&events, "r"), Some(AuditOutcome::Rejected));
    events[1] = event("x", 2, Some("r"), retried(2));
    assert_eq!(outcome(&events, "r"), Some(AuditOutcome::Accepted));
}

#[test]
fn a_wish_that_was_sent_on_is_one_command_with_the_answer_to_the_second() {
    let events = [
        event("w", 1, None, wish("ann", None)),
        event("w2", 2, Some("w"), wish("ann", Some(1))),
        event("f", 3, Some("w2"), shipping_failed(1)),
    ];
    assert_eq!(outcome(&events[..2], "w"), Some(AuditOutcome::Pending));
    assert_eq!(outcome(&events, "w"), Some(AuditOutcome::Accepted));
    assert_eq!(outcome(&events, "w2"), None);
}

#[test]
fn a_ruling_is_nobodys_command() {
    assert_eq!(outcome(&failed(), "d"), None);
}

#[test]
fn a_decision_about_a_dead_letter_is_audited_with_who_and_what() {
    let order = project(&[event(
        "x",
        1,
        None,
        redrive(RedriveAction::Discard, &[], None),
    )]);
    let audit = Audit::of_order(&order).next().unwrap();
    let (body, index) = audit.document();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["command"], "discard");
    assert_eq!(body["requestedBy"], "ann");
    assert_eq!(body["outcome"], "accepted");
    assert_eq!(body["deadLetterId"], "letter-1");
    assert_eq!(index.tag.as_deref(), Some("ann"));
    assert_eq!(Audit::parse(&audit.document().0).unwrap(), audit);
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
