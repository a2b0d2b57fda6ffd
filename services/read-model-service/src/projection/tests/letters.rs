//! Dead letters, commands and their audit, as an operator sees them.

use sagaline_contracts::Event;
use sagaline_contracts::payload::RedriveAction;
use serde_json::{Value, json};

use crate::projection::{Audit, AuditOutcome, LetterState, PROJECTOR, PostMortem};
use crate::testing::given::*;

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
    assert_eq!(letter.undecided_deaths().len(), 1);
    assert_eq!(letter.died_at().unwrap().micros(), 3_000_000);
}

#[test]
fn a_payload_that_not_every_store_can_hold_is_kept_as_text() {
    let odd = json!({ "$where": u64::MAX });
    let order = project(&[event("d1", 1, None, dead_letter("a", odd.clone()))]);
    let details: Value = serde_json::from_slice(order.entries()[0].details()).unwrap();
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
fn a_command_that_was_published_twice_is_audited_as_of_the_first_time_whichever_comes_first() {
    let audit = |at| {
        let wish = redrive(RedriveAction::Discard, &[], None);
        let order = project(&[event("x", at, None, wish)]);
        Audit::of_order(&order).next().unwrap()
    };
    let (mut later, mut earlier) = (audit(7), audit(3));
    assert!(later.merge(audit(3)), "it is more than before");
    assert!(!earlier.merge(audit(7)));
    assert_eq!(later.document().0, earlier.document().0);
    assert_eq!(earlier, audit(3));
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
