use super::*;

fn event(name: &str, id: &str, cause: &str, attempt: u32) -> Entry {
    let details = json!({ "reason": "card_declined", "command": "retry payment", "amount": 10, "refundId": "r" });
    serde_json::from_value(json!({
        "type": format!("x.{name}.v1"), "at": "2026-01-31T12:00:00Z", "eventId": id, "causationId": cause,
        "attempt": attempt, "details": details,
    }))
    .unwrap()
}

fn before(attempt: u32, timeline: Vec<Entry>) -> Projection {
    Projection {
        order_id: "o-1".to_owned(),
        attempt: Some(attempt),
        timeline,
        ..Projection::default()
    }
}

/// What is decided after which event.
fn verdict(mut judge: Judge, events: &[Entry]) -> Option<(usize, Verdict)> {
    let decided = |(at, entry)| judge.hear(entry).map(|verdict| (at, verdict));
    events.iter().enumerate().find_map(decided)
}

fn cancelled_first_attempt() -> Vec<Entry> {
    vec![
        event("OrderCreated", "e-1", "", 1),
        event("OrderCancelled", "e-2", "e-1", 1),
    ]
}

#[test]
fn a_retry_is_over_when_its_own_attempt_is_whatever_comes_first() {
    let retried = event("OrderRetried", "e-3", "cmd", 2);
    let confirmed = event("OrderConfirmed", "e-9", "e-8", 2);
    let mut events = cancelled_first_attempt();
    events.extend([retried, confirmed]);
    for swapped in [false, true] {
        if swapped {
            events.swap(2, 3);
        }
        let judge = Judge::new(Asked::Retry, "cmd", before(1, cancelled_first_attempt()));
        let done = Verdict::Done("CONFIRMED".to_owned());
        assert_eq!(verdict(judge, &events), Some((3, done)));
    }
}

#[test]
fn the_outcome_of_an_earlier_attempt_says_nothing_of_a_retry() {
    let judge = Judge::new(Asked::Retry, "cmd", before(1, Vec::new()));
    let mut events = cancelled_first_attempt();
    events.push(event("OrderRetried", "e-3", "cmd", 2));
    assert_eq!(verdict(judge, &events), None);
}

#[test]
fn a_retry_that_is_cancelled_again_or_refused_has_failed() {
    let judge = || Judge::new(Asked::Retry, "cmd", before(1, cancelled_first_attempt()));
    let again = [
        event("OrderRetried", "e-3", "cmd", 2),
        event("OrderCancelled", "e-4", "e-3", 2),
    ];
    let failed = Verdict::Failed("CANCELLED: card_declined".to_owned());
    assert_eq!(verdict(judge(), &again), Some((1, failed)));
    let refused = [
        event("CommandRejected", "e-3", "somebody else's", 1),
        event("CommandRejected", "e-4", "cmd", 1),
    ];
    assert!(matches!(
        verdict(judge(), &refused),
        Some((1, Verdict::Failed(_)))
    ));
}

#[test]
fn a_release_is_done_when_the_order_is_cancelled_and_too_late_when_it_is_confirmed() {
    let judge = || Judge::new(Asked::Release, "cmd", before(1, Vec::new()));
    let cancelled = [event("OrderCancelled", "e-2", "e-1", 1)];
    assert!(matches!(
        verdict(judge(), &cancelled),
        Some((0, Verdict::Done(_)))
    ));
    let confirmed = [event("OrderConfirmed", "e-2", "e-1", 1)];
    assert!(matches!(
        verdict(judge(), &confirmed),
        Some((0, Verdict::Failed(_)))
    ));
}

#[test]
fn a_refund_of_a_shipped_order_is_done_when_it_is_paid_back() {
    let shipped = vec![event("OrderShipped", "e-1", "", 1)];
    let judge = Judge::new(Asked::Refund, "cmd", before(1, shipped));
    let events = [
        event("OrderConfirmed", "e-2", "e-1", 1),
        event("PaymentRefunded", "e-3", "cmd", 1),
    ];
    assert!(matches!(
        verdict(judge, &events),
        Some((1, Verdict::Done(_)))
    ));
}

#[test]
fn a_refund_of_an_order_in_flight_is_done_when_it_is_cancelled() {
    let judge = Judge::new(Asked::Refund, "cmd", before(1, Vec::new()));
    let events = [
        event("PaymentRefunded", "e-3", "cmd", 1),
        event("OrderCancelled", "e-4", "e-3", 1),
    ];
    assert!(matches!(
        verdict(judge, &events),
        Some((1, Verdict::Done(_)))
    ));
}

#[test]
fn a_command_that_was_given_before_is_told_by_what_became_of_it_then() {
    let mut timeline = cancelled_first_attempt();
    timeline.push(event("RetryRequested", "cmd", "", 1));
    timeline.push(event("OrderRetried", "e-3", "cmd", 2));
    timeline.push(event("OrderConfirmed", "e-4", "e-3", 2));
    let judge = Judge::new(Asked::Retry, "cmd", before(2, timeline.clone()));
    assert!(matches!(
        verdict(judge, &timeline),
        Some((4, Verdict::Done(_)))
    ));
}
