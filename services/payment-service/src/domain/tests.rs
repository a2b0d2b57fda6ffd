//! Every state meets every event.

use sagaline_contracts::Sku;
use sagaline_contracts::payload::ReservedItem;
use sagaline_saga::given::{event, given};
use serde_json::json;

use super::*;

pub(super) fn order() -> OrderId {
    OrderId::new("o").unwrap()
}

pub(super) fn cents(cents: i64) -> Money {
    Money::from_cents(cents).unwrap()
}

pub(super) fn reserved(attempt: Option<u32>, total: Option<i64>) -> Payload {
    let item = ReservedItem {
        sku: Sku::new("SKU-1").unwrap(),
        qty: 1,
    };
    Payload::from(InventoryReserved {
        order_id: order(),
        reserved_items: vec![item],
        total: total.map(cents),
        attempt,
    })
}

pub(super) fn compensation(action: Action, attempt: Option<u32>, by: Option<Authority>) -> Payload {
    Payload::from(CompensationRequested {
        order_id: order(),
        action,
        requested_by: Some("ops".to_owned()),
        reason: None,
        attempt,
        decided_by: by,
    })
}

pub(super) fn refund(attempt: Option<u32>) -> Payload {
    compensation(Action::RefundPayment, attempt, Some(Authority::Shipping))
}

fn authorized(attempt: u32, amount: i64) -> Payment {
    let charge = Charge::Authorized {
        attempt,
        amount: cents(amount),
        auth_id: "auth".to_owned(),
    };
    Payment {
        attempt,
        charge,
        ..Payment::default()
    }
}

fn failed(attempt: u32) -> Payment {
    let charge = Charge::Failed {
        attempt,
        amount: Some(cents(100)),
        reason: "card_declined".to_owned(),
    };
    Payment {
        attempt,
        charge,
        ..Payment::default()
    }
}

fn refunded(attempt: u32) -> Payment {
    let charge = Charge::Refunded {
        attempt,
        amount: cents(100),
        auth_id: "auth".to_owned(),
        refund_id: "refund".to_owned(),
    };
    Payment {
        attempt,
        barred: attempt,
        charge,
        ..Payment::default()
    }
}

fn barred(attempt: u32) -> Payment {
    let charge = Charge::Failed {
        attempt,
        amount: None,
        reason: CANCELLED.to_owned(),
    };
    Payment {
        barred: attempt,
        charge,
        ..Payment::default()
    }
}

fn barring(attempt: u32) -> Payment {
    Payment {
        barring: attempt,
        ..Payment::default()
    }
}

/// The states, in the order of the table's columns.
fn states() -> Vec<Payment> {
    vec![
        Payment::default(),
        barred(1),
        authorized(1, 100),
        failed(1),
        refunded(1),
        authorized(2, 100),
        authorized(1, 0),
        barring(1),
    ]
}

fn kind(decision: &Decision<Payment, PaymentEffect>) -> String {
    match decision {
        Decision::Effect(PaymentEffect::Authorize { key, amount }) => {
            format!("charge({key},{amount})")
        }
        Decision::Effect(PaymentEffect::Refund { key, amount, .. }) => {
            format!("refund({key},{amount})")
        }
        Decision::Effect(PaymentEffect::Void { key }) => format!("void({key})"),
        Decision::Intend { state, effect } => {
            assert!(matches!(effect, PaymentEffect::Void { .. }));
            format!("bar {} {}", state.barring, effect.key())
        }
        Decision::Apply(transition) => emitted(transition).join("+"),
        Decision::Ignore(_) => "-".to_owned(),
        Decision::Early(_) => "early".to_owned(),
        Decision::Reject(_) => "reject".to_owned(),
    }
}

fn emitted(transition: &Transition<Payment>) -> Vec<String> {
    let short = |payload: &Payload| {
        let attempt = payload
            .attempt()
            .map_or_else(String::new, |attempt| attempt.to_string());
        format!("{}{attempt}", payload.event_type().short_name())
    };
    transition.emit.iter().map(short).collect()
}

#[test]
#[rustfmt::skip]
fn every_state_has_its_answer_to_every_event() {
    let release = |by| compensation(Action::ReleaseInventory, Some(1), by);
    let (a1, a2) = (Some(1), Some(2));
    let shipping = Some(Authority::Shipping);
    let payment = Some(Authority::Payment);
    // one row per event; columns: fresh, barred 1, authorized 1, failed 1, refunded 1, affirmed for 2, free 1, barring 1
    let table = [
        (reserved(a1, Some(100)),   ["charge(o/1,1.00)", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (reserved(None, Some(100)), ["charge(o/1,1.00)", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (reserved(Some(0), Some(100)), ["charge(o/1,1.00)", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (reserved(a1, Some(0)),     ["PaymentAuthorized1", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (reserved(a1, None),        ["reject", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (reserved(a2, Some(100)),   ["charge(o/2,1.00)", "charge(o/2,1.00)", "PaymentAuthorized2", "charge(o/2,1.00)", "charge(o/2,1.00)", "-", "reject", "charge(o/2,1.00)"]),
        (reserved(a2, Some(200)),   ["charge(o/2,2.00)", "charge(o/2,2.00)", "reject", "charge(o/2,2.00)", "charge(o/2,2.00)", "-", "reject", "charge(o/2,2.00)"]),
        (reserved(a2, None),        ["reject", "reject", "PaymentAuthorized2", "reject", "reject", "-", "PaymentAuthorized2", "reject"]),
        (reserved(a2, Some(0)),     ["PaymentAuthorized2", "PaymentAuthorized2", "reject", "PaymentAuthorized2", "PaymentAuthorized2", "-", "PaymentAuthorized2", "PaymentAuthorized2"]),
        (refund(a1),                ["bar 1 o/1", "-", "refund(o/1/refund,1.00)", "-", "-", "-", "PaymentRefunded1", "void(o/1)"]),
        (refund(a2),                ["bar 2 o/2", "bar 2 o/2", "refund(o/2/refund,1.00)", "bar 2 o/2", "bar 2 o/2", "refund(o/2/refund,1.00)", "PaymentRefunded2", "bar 2 o/2"]),
        (refund(None),              ["bar 1 o/1", "-", "refund(o/1/refund,1.00)", "-", "-", "refund(o/2/refund,1.00)", "PaymentRefunded1", "void(o/1)"]),
        (compensation(Action::RefundPayment, a1, payment), ["bar 1 o/1", "-", "refund(o/1/refund,1.00)", "-", "-", "-", "PaymentRefunded1", "void(o/1)"]),
        (compensation(Action::RefundPayment, a1, None), ["-"; 8]),
        (compensation(Action::RefundPayment, a2, None), ["-"; 8]),
        (release(None),             ["-"; 8]),
        (release(shipping),         ["-"; 8]),
        (release(payment),          ["-"; 8]),
    ];
    for (payload, answers) in table {
        for (state, answer) in states().into_iter().zip(answers) {
            let case = format!("{state:?} meets {payload:?}");
            assert_eq!(kind(given(&Payments, state).when(payload.clone()).decision()), answer, "{case}");
        }
    }
}

#[test]
fn events_of_every_other_type_are_ignored_in_every_state() {
    // one payload that has the fields of all types; each type takes its own and accepts the rest
    let payload = json!({
        "orderId": "o", "attempt": 2, "items": [{"sku": "SKU-1", "qty": 1}], "total": 1, "step": "payment",
        "requestedBy": "ops", "reason": "x", "releasedItems": [], "amount": 1, "authId": "a", "refundId": "r",
        "carrier": "c", "trackingId": "t", "command": "c", "deadLetterId": "d", "action": "redrive",
        "originalType": "x", "originalEventId": "x", "error": "x", "payload": null,
    });
    let others = EventType::ALL
        .iter()
        .filter(|kind| !Payments.subscriptions().contains(kind));
    for kind in others {
        let envelope = json!({
            "eventId": "e", "type": kind.as_str(), "version": 1, "timestamp": "2026-01-31T12:00:00Z",
            "correlationId": "o", "key": "o", "payload": payload,
        });
        let event = Event::from_json(*kind, envelope.to_string().as_bytes()).unwrap();
        for state in states() {
            given(&Payments, state)
                .when(event.payload.clone())
                .is_ignored();
        }
    }
}

fn outcomes() -> Vec<PaymentOutcome> {
    vec![
        PaymentOutcome::Authorized {
            auth_id: "auth-new".to_owned(),
        },
        PaymentOutcome::Declined {
            reason: "card_declined".to_owned(),
        },
        PaymentOutcome::Refunded {
            refund_id: "refund-new".to_owned(),
        },
        PaymentOutcome::Voided,
    ]
}

#[test]
fn every_effect_settles_on_its_own_outcomes_and_on_no_other() {
    for payload in [reserved(Some(2), Some(100)), refund(Some(2))] {
        for state in states() {
            let event = event("e", payload.clone());
            let (state, effect) = match Payments.decide(&state, &event) {
                Decision::Effect(effect) => (state, effect),
                Decision::Intend { state, effect } => (state, effect),
                _ => continue,
            };
            for (index, outcome) in outcomes().into_iter().enumerate() {
                let told = emitted(&Payments.settle(&state, &event, outcome.clone()));
                let expected: &[&str] = match (&effect, index) {
                    (PaymentEffect::Authorize { .. }, 0) => &["PaymentAuthorized2"],
                    (PaymentEffect::Authorize { .. }, 1) => {
                        &["PaymentFailed2", "CompensationRequested2"]
                    }
                    (PaymentEffect::Refund { .. }, 2) => &["PaymentRefunded2"],
                    (PaymentEffect::Void { .. }, 3) => &["PaymentFailed2"],
                    _ => &[],
                };
                assert_eq!(told, expected, "{state:?} {effect:?} {outcome:?}");
                if expected.is_empty() {
                    assert_eq!(Payments.settle(&state, &event, outcome).state, state);
                }
            }
        }
    }
}

#[test]
fn an_approved_charge_is_told_with_its_amount_and_the_gateway_s_id() {
    let outcome = PaymentOutcome::Authorized {
        auth_id: "auth".to_owned(),
    };
    let transition = given(&Payments, Payment::default())
        .when(reserved(Some(1), Some(100)))
        .with_outcome(outcome);
    assert_eq!(transition.state, authorized(1, 100));
    let told = PaymentAuthorized {
        order_id: order(),
        amount: cents(100),
        auth_id: "auth".to_owned(),
        attempt: Some(1),
    };
    assert_eq!(transition.emit, [told.into()]);
}

#[test]
fn a_declined_charge_fails_the_payment_and_rules_that_the_stock_is_released() {
    let outcome = PaymentOutcome::Declined {
        reason: "card_declined".to_owned(),
    };
    let transition = given(&Payments, Payment::default())
        .when(reserved(None, Some(100)))
        .with_outcome(outcome);
    assert_eq!(transition.state, failed(1));
    let reason = "card_declined".to_owned();
    let told: [Payload; 2] = [
        PaymentFailed {
            order_id: order(),
            reason: reason.clone(),
            attempt: Some(1),
        }
        .into(),
        CompensationRequested {
            order_id: order(),
            action: Action::ReleaseInventory,
            requested_by: Some(SERVICE.to_owned()),
            reason: Some(reason),
            attempt: Some(1),
            decided_by: Some(Authority::Payment),
        }
        .into(),
    ];
    assert_eq!(transition.emit, told);
}

#[test]
fn a_refund_keeps_what_was_charged_and_bars_the_attempt() {
    let outcome = PaymentOutcome::Refunded {
        refund_id: "refund".to_owned(),
    };
    let transition = given(&Payments, authorized(1, 100))
        .when(refund(Some(1)))
        .with_outcome(outcome);
    assert_eq!(transition.state, refunded(1));
    let told = PaymentRefunded {
        order_id: order(),
        amount: cents(100),
        refund_id: "refund".to_owned(),
        attempt: Some(1),
    };
    assert_eq!(transition.emit, [told.into()]);
}

#[test]
fn a_ruling_that_overtakes_the_reservation_bars_the_attempt() {
    let transition = given(&Payments, Payment::default())
        .when(refund(Some(1)))
        .with_outcome(PaymentOutcome::Voided);
    assert_eq!(transition.state, barred(1));
    given(&Payments, transition.state)
        .when(reserved(Some(1), Some(100)))
        .is_ignored();
}

#[test]
fn a_charge_that_still_stands_is_affirmed_for_the_next_attempt_without_a_call() {
    let transition = given(&Payments, authorized(1, 100))
        .when(reserved(Some(2), Some(100)))
        .applied();
    assert_eq!(transition.state, authorized(2, 100));
    let told = PaymentAuthorized {
        order_id: order(),
        amount: cents(100),
        auth_id: "auth".to_owned(),
        attempt: Some(2),
    };
    assert_eq!(transition.emit, [told.into()]);
}

#[test]
fn what_costs_nothing_is_charged_and_refunded_without_the_gateway() {
    let charged = given(&Payments, Payment::default())
        .when(reserved(Some(1), Some(0)))
        .applied();
    let paid_back = given(&Payments, charged.state)
        .when(refund(Some(1)))
        .applied();
    let Payload::PaymentRefunded(told) = &paid_back.emit[0] else {
        panic!("{:?}", paid_back.emit)
    };
    assert_eq!(
        (told.amount, told.refund_id.as_str()),
        (Money::ZERO, "free/o/1/refund")
    );
    assert!(matches!(paid_back.state.charge, Charge::Refunded { .. }));
}

#[test]
fn earlier_charges_are_kept_in_order_up_to_a_limit() {
    let mut state = Payment::default();
    for attempt in 1..=40 {
        let outcome = PaymentOutcome::Declined {
            reason: "card_declined".to_owned(),
        };
        let next = given(&Payments, state)
            .when(reserved(Some(attempt), Some(100)))
            .with_outcome(outcome);
        state = next.state;
    }
    let attempts: Vec<u32> = state
        .history
        .iter()
        .map(|charge| match charge {
            Charge::Failed { attempt, .. } => *attempt,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(attempts, (8..=39).collect::<Vec<_>>());
}

#[test]
fn the_state_survives_its_document() {
    for mut state in states() {
        state.history = vec![failed(1).charge, refunded(1).charge];
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(
            serde_json::from_str::<Payment>(&json).unwrap(),
            state,
            "{json}"
        );
    }
    assert_eq!(
        serde_json::from_str::<Payment>("{}").unwrap(),
        Payment::default()
    );
}

#[test]
fn an_order_is_settled_once_its_payment_was_tried() {
    let settled: Vec<bool> = states()
        .iter()
        .map(|state| Payments.standing(state).settled)
        .collect();
    assert_eq!(settled, [false, true, true, true, true, true, true, false]);
}
