use sagaline_contracts::Timestamp;
use sagaline_contracts::payload::{Authority, Step};
use sagaline_saga::given::{event, given};

use super::*;

/// A decision in a word: `ignored`, `rejected`, or the next phase and what is told.
fn kind(order: &Order, payload: Payload) -> String {
    match SAGA.decide(order, &event("e-1", payload)) {
        Decision::Ignore(_) => "ignored".into(),
        Decision::Reject(_) => "rejected".into(),
        Decision::Apply(next) => {
            let mut text = format!("{:?}", next.state.phase);
            for told in next.emit {
                text.push('+');
                text.push_str(told.event_type().short_name());
            }
            text
        }
        Decision::Early(_) => "early".into(),
        Decision::Effect(effect) | Decision::Intend { effect, .. } => match effect {},
    }
}

fn facts_of(attempt: Option<u32>) -> [Payload; 6] {
    [
        shipped(attempt),
        inventory_failed(attempt),
        released("carrier_error", attempt),
        payment_failed("card_declined", attempt),
        refunded(attempt),
        shipping_failed("carrier_error", attempt),
    ]
}

const CONFIRMS: &str = "Confirmed+OrderConfirmed";
const CANCELS: &str = "Cancelled+OrderCancelled";
const REFUSED_CANCELLED: &str = "Cancelled+CommandRejected";

#[test]
fn every_fact_of_the_current_attempt_has_an_answer_in_every_state() {
    let refunded_after = Order {
        refunded: true,
        ..confirmed_order()
    };
    let failed_shipping = with_facts(Facts {
        shipping_failure: Some("carrier_error".into()),
        ..Facts::default()
    });
    let alias = Order::alias(id(), pending().fingerprint.unwrap(), Timestamp::EPOCH);
    let (p, i, r) = ("Pending", "ignored", "rejected");
    // shipped, inventory failed, released, payment failed, refunded, shipping failed
    let table: [(&str, Order, [&str; 6]); 9] = [
        ("unknown", Order::default(), [CONFIRMS, CANCELS, p, p, p, p]),
        ("an alias", alias, [r; 6]),
        ("pending", pending(), [CONFIRMS, CANCELS, p, p, p, p]),
        (
            "released",
            released_fact(),
            [CONFIRMS, i, i, CANCELS, CANCELS, p],
        ),
        (
            "refunded",
            refunded_fact(),
            [CONFIRMS, CANCELS, CANCELS, i, i, p],
        ),
        (
            "not shipped",
            failed_shipping,
            [CONFIRMS, CANCELS, p, p, p, i],
        ),
        ("confirmed", confirmed_order(), [i, i, i, i, "Confirmed", i]),
        ("refunded after", refunded_after, [i; 6]),
        ("cancelled", cancelled_order(), [r, i, i, i, i, i]),
    ];
    for (name, order, expected) in table {
        for attempt in [None, Some(1)] {
            for (payload, expected) in facts_of(attempt).into_iter().zip(expected) {
                let what = payload.event_type();
                assert_eq!(
                    kind(&order, payload),
                    expected,
                    "{what} in {name}, attempt {attempt:?}"
                );
            }
        }
    }
}

#[test]
fn facts_of_an_older_attempt_are_ignored_and_of_a_newer_one_wait_for_it_or_contradict() {
    let (e, r) = ("early", "rejected");
    // shipped, inventory failed, released, payment failed, refunded, shipping failed
    let undone_ahead = [r, r, e, e, e, e];
    for (order, newer) in [
        (pending(), undone_ahead),
        (released_fact(), undone_ahead),
        (cancelled_order(), undone_ahead),
        // there will be no further attempt
        (confirmed_order(), [r; 6]),
    ] {
        let second = Order {
            attempt: 2,
            ..order
        };
        for payload in facts_of(Some(1)) {
            assert_eq!(kind(&second, payload), "ignored");
        }
        for (payload, expected) in facts_of(Some(3)).into_iter().zip(newer) {
            assert_eq!(kind(&second, payload), expected, "{second:?}");
        }
    }
}

#[test]
fn every_command_has_an_answer_in_every_state() {
    let adopted = Order {
        items: vec![],
        total: None,
        ..cancelled_order()
    };
    let alias = Order::alias(id(), pending().fingerprint.unwrap(), Timestamp::EPOCH);
    let refused = |phase: Phase| format!("{phase:?}+CommandRejected");
    let passed_on = |phase: Phase| format!("{phase:?}+CompensationRequested");
    for (order, by_retry, by_stale_retry, by_wish) in [
        (
            Order::default(),
            refused(Phase::Unknown),
            refused(Phase::Unknown),
            refused(Phase::Unknown),
        ),
        (
            alias,
            refused(Phase::Unknown),
            refused(Phase::Unknown),
            refused(Phase::Unknown),
        ),
        (
            pending(),
            refused(Phase::Pending),
            refused(Phase::Pending),
            passed_on(Phase::Pending),
        ),
        (
            confirmed_order(),
            refused(Phase::Confirmed),
            refused(Phase::Confirmed),
            passed_on(Phase::Confirmed),
        ),
        (
            adopted,
            REFUSED_CANCELLED.into(),
            REFUSED_CANCELLED.into(),
            REFUSED_CANCELLED.into(),
        ),
        (
            cancelled_order(),
            "Pending+OrderRetried".into(),
            REFUSED_CANCELLED.into(),
            REFUSED_CANCELLED.into(),
        ),
    ] {
        let attempt = order.attempt;
        assert_eq!(kind(&order, retry(None)), by_retry, "{order:?}");
        assert_eq!(kind(&order, retry(Some(attempt))), by_retry, "{order:?}");
        assert_eq!(
            kind(&order, retry(Some(attempt + 1))),
            by_stale_retry,
            "{order:?}"
        );
        assert_eq!(kind(&order, wish(None, None)), by_wish, "{order:?}");
        assert_eq!(kind(&order, wish(Some(1), None)), "ignored");
        assert_eq!(
            kind(&order, wish(Some(1), Some(Authority::Shipping))),
            "ignored"
        );
        assert_eq!(
            kind(&order, wish(None, Some(Authority::Payment))),
            "ignored"
        );
        assert_eq!(kind(&order, reserved()), "ignored", "not one of ours");
    }
}

#[test]
fn only_events_that_are_subscribed_to_are_decided() {
    let subscribed = SAGA.subscriptions();
    for payload in facts_of(None)
        .into_iter()
        .chain([retry(None), wish(None, None)])
    {
        assert!(
            subscribed.contains(&payload.event_type()),
            "{}",
            payload.event_type()
        );
    }
    assert_eq!(subscribed.len(), 8);
}

#[test]
fn a_retry_starts_the_next_attempt_with_what_was_ordered() {
    let next = given(&SAGA, cancelled_order())
        .when(retry(Some(1)))
        .applied();
    let order = &next.state;
    assert_eq!(
        (order.attempt, order.phase, &order.reason),
        (2, Phase::Pending, &None)
    );
    assert_eq!(SAGA.deadline(order), Some(Timestamp::EPOCH + SAGA.timeout));
    let [Payload::OrderRetried(told)] = next.emit.as_slice() else {
        unreachable!("told: {:?}", next.emit)
    };
    assert_eq!(
        (told.attempt, told.step, told.requested_by.as_str()),
        (2, Step::Payment, "ann")
    );
    assert_eq!((&told.items, Some(told.total)), (&order.items, order.total));
}

#[test]
fn a_wish_is_passed_on_with_the_attempt_and_nothing_else_changed() {
    let second = Order {
        attempt: 2,
        ..pending()
    };
    let next = given(&SAGA, second.clone())
        .when(wish(None, None))
        .applied();
    assert_eq!(next.emit, [wish(Some(2), None)]);
    assert_eq!(next.state, second);
}

#[test]
fn a_refusal_names_who_asked_and_why() {
    let next = given(&SAGA, pending()).when(retry(None)).applied();
    let [Payload::CommandRejected(told)] = next.emit.as_slice() else {
        unreachable!("told: {:?}", next.emit)
    };
    assert_eq!(told.command, "retry payment");
    assert_eq!(told.requested_by, "ann");
    assert_eq!(told.reason, "the order is in flight");
}

#[test]
fn the_reason_of_a_cancellation_is_its_first_cause() {
    let reason = |payloads: Vec<Payload>| {
        let mut order = pending();
        for payload in payloads {
            if let Decision::Apply(next) = SAGA.decide(&order, &event("e", payload)) {
                order = next.state;
            }
        }
        assert_eq!(order.phase, Phase::Cancelled);
        order.reason.unwrap()
    };
    let one = Some(1);
    assert_eq!(reason(vec![inventory_failed(one)]), "out_of_stock");
    assert_eq!(
        reason(vec![
            payment_failed("card_declined", one),
            released("card_declined", one)
        ]),
        "card_declined"
    );
    assert_eq!(
        reason(vec![
            shipping_failed("carrier_error", one),
            refunded(one),
            released("cancelled", one)
        ]),
        "carrier_error",
        "shipping's reason wins over another's `cancelled`"
    );
    assert_eq!(
        reason(vec![
            payment_failed("cancelled", one),
            released("timeout", one)
        ]),
        "timeout"
    );
    assert_eq!(
        reason(vec![
            payment_failed("cancelled", one),
            released("cancelled", one)
        ]),
        "cancelled"
    );
}

#[test]
fn a_deadline_is_there_only_while_the_order_is_in_flight() {
    assert!(SAGA.deadline(&pending()).is_some());
    for order in [Order::default(), confirmed_order(), cancelled_order()] {
        assert_eq!(SAGA.deadline(&order), None);
    }
    let next = given(&SAGA, pending()).when(shipped(None)).applied();
    assert_eq!(next.state.deadline, None);
}

#[test]
fn a_timeout_wishes_the_stock_released_and_waits_twice_as_long_for_the_next() {
    let mut order = pending();
    let mut waits = vec![];
    for _ in 0..20 {
        let now = SAGA.deadline(&order).unwrap();
        let next = SAGA.expire(&id(), &order, now);
        let [Payload::CompensationRequested(told)] = next.emit.as_slice() else {
            unreachable!("told: {:?}", next.emit)
        };
        assert_eq!(
            (told.action, told.attempt, told.decided_by),
            (Action::ReleaseInventory, Some(1), None)
        );
        assert_eq!(told.requested_by.as_deref(), Some("saga-timeout"));
        assert_eq!(told.reason.as_deref(), Some("timeout"));
        waits.push(SAGA.deadline(&next.state).unwrap().since(now).as_secs());
        order = next.state;
    }
    assert_eq!(waits[..3], [60, 120, 240]);
    assert_eq!(waits[19], 30 * 4096, "bounded");
    assert!(order.is_stalled());
    assert_eq!(SAGA.standing(&order).tag, Some(STALLED));
}

#[test]
fn an_adopted_order_takes_what_the_event_tells() {
    let next = given(&SAGA, Order::default())
        .when(refunded(Some(3)))
        .applied();
    assert_eq!((next.state.attempt, next.state.phase), (3, Phase::Pending));
    assert!(SAGA.deadline(&next.state).is_some(), "it must end, too");
    let next = given(&SAGA, Order::default())
        .when(shipped(Some(0)))
        .applied();
    assert_eq!(next.state.attempt, 1);
}
