//! Every state meets every event.

use sagaline_contracts::Money;
use sagaline_contracts::payload::{Authority, CommandRejected, OrderShipped, ShippingFailed};
use sagaline_saga::given::{event, given};
use serde_json::json;

use super::*;

pub(super) fn order() -> OrderId {
    OrderId::new("o").unwrap()
}

pub(super) fn paid(attempt: Option<u32>) -> Payload {
    Payload::from(PaymentAuthorized {
        order_id: order(),
        amount: Money::from_cents(100).unwrap(),
        auth_id: "auth".to_owned(),
        attempt,
    })
}

pub(super) fn cancelled(attempt: Option<u32>) -> Payload {
    Payload::from(OrderCancelled {
        order_id: order(),
        reason: "cancelled".to_owned(),
        attempt,
    })
}

fn request(action: Action, attempt: Option<u32>, by: &str) -> CompensationRequested {
    CompensationRequested {
        order_id: order(),
        action,
        requested_by: Some(by.to_owned()),
        reason: Some("the customer called".to_owned()),
        attempt,
        decided_by: None,
    }
}

pub(super) fn wish(action: Action, attempt: Option<u32>) -> Payload {
    request(action, attempt, "ops").into()
}

pub(super) fn timeout(attempt: u32) -> Payload {
    request(Action::ReleaseInventory, Some(attempt), SAGA_TIMEOUT).into()
}

fn shipped(attempt: u32, refund_ruled: bool) -> OrderShipments {
    let shipment = Shipment::Shipped {
        attempt,
        carrier: "Northline".to_owned(),
        tracking_id: "NOR-1".to_owned(),
        refund_ruled,
    };
    OrderShipments {
        attempt,
        shipment,
        ..OrderShipments::default()
    }
}

fn failed(attempt: u32, reason: &str) -> OrderShipments {
    let shipment = Shipment::Failed {
        attempt,
        reason: reason.to_owned(),
    };
    OrderShipments {
        attempt,
        shipment,
        ..OrderShipments::default()
    }
}

fn barred(attempt: u32, reason: &str) -> OrderShipments {
    OrderShipments {
        barred: attempt,
        ..failed(attempt, reason)
    }
}

fn barring(attempt: u32) -> OrderShipments {
    OrderShipments {
        barring: attempt,
        ..OrderShipments::default()
    }
}

fn ended(attempt: u32) -> OrderShipments {
    OrderShipments {
        ended: attempt,
        ..OrderShipments::default()
    }
}

/// The states, in the order of the table's columns.
fn states() -> Vec<OrderShipments> {
    vec![
        OrderShipments::default(),
        shipped(1, false),
        shipped(1, true),
        failed(1, "carrier_error"),
        barred(1, "cancelled"),
        ended(1),
        failed(2, "carrier_error"),
        shipped(2, false),
        barring(1),
    ]
}

fn kind(decision: &Decision<OrderShipments, ShippingEffect>) -> String {
    match decision {
        Decision::Effect(ShippingEffect::Book { key }) => format!("book({key})"),
        Decision::Effect(ShippingEffect::Void { key }) => format!("void({key})"),
        Decision::Intend { state, effect } => {
            assert!(matches!(effect, ShippingEffect::Void { .. }));
            format!("bar {} {}", state.barring, effect.key())
        }
        Decision::Apply(transition) if transition.emit.is_empty() => "note".to_owned(),
        Decision::Apply(transition) => told(transition).join("+"),
        Decision::Ignore(_) => "-".to_owned(),
        Decision::Early(_) => "early".to_owned(),
        Decision::Reject(_) => "reject".to_owned(),
    }
}

/// What is emitted, in short.
fn told(transition: &Transition<OrderShipments>) -> Vec<String> {
    let short = |payload: &Payload| match payload {
        Payload::CommandRejected(_) => "no".to_owned(),
        Payload::CompensationRequested(ruling) => {
            assert_eq!(ruling.decided_by, Some(Authority::Shipping));
            let action = match ruling.action {
                Action::RefundPayment => "refund",
                Action::ReleaseInventory => "release",
            };
            format!("{action}{}", ruling.attempt.unwrap_or_default())
        }
        other => format!(
            "{}{}",
            other.event_type().short_name(),
            other.attempt().unwrap_or_default()
        ),
    };
    transition.emit.iter().map(short).collect()
}

#[test]
#[rustfmt::skip]
fn every_state_has_its_answer_to_every_event() {
    use Action::{RefundPayment as Refund, ReleaseInventory as Release};
    let ruled = |by| Payload::from(CompensationRequested { decided_by: Some(by), ..request(Release, Some(2), "ops") });
    let (a1, a2) = (Some(1), Some(2));
    // one row per event; columns: fresh, shipped 1, refund ruled 1, refused 1, barred 1, ended 1, refused 2, shipped 2, barring 1
    let table = [
        (paid(a1),               ["book(o/1)", "-", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (paid(None),             ["book(o/1)", "-", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (paid(Some(0)),          ["book(o/1)", "-", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (paid(a2),               ["book(o/2)", "-", "-", "book(o/2)", "book(o/2)", "book(o/2)", "-", "-", "book(o/2)"]),
        (paid(Some(3)),          ["book(o/3)", "-", "-", "book(o/3)", "book(o/3)", "book(o/3)", "book(o/3)", "-", "book(o/3)"]),
        (cancelled(a1),          ["note", "reject", "reject", "note", "note", "-", "note", "note", "note"]),
        (cancelled(None),        ["note", "reject", "reject", "note", "note", "-", "note", "reject", "note"]),
        (cancelled(a2),          ["note", "reject", "reject", "note", "note", "note", "note", "reject", "note"]),
        (wish(Release, a1),      ["bar 1 o/1", "no", "no", "no", "no", "no", "no", "no", "void(o/1)"]),
        (wish(Refund, a1),       ["bar 1 o/1", "refund1", "no", "no", "no", "no", "no", "refund2", "void(o/1)"]),
        (wish(Release, a2),      ["early", "no", "no", "early", "early", "bar 2 o/2", "no", "no", "early"]),
        (wish(Refund, a2),       ["early", "no", "no", "early", "early", "bar 2 o/2", "no", "refund2", "early"]),
        (wish(Release, Some(3)), ["early", "no", "no", "early", "early", "early", "early", "no", "early"]),
        (wish(Refund, Some(3)),  ["early", "no", "no", "early", "early", "early", "early", "no", "early"]),
        (timeout(1),             ["bar 1 o/1", "-", "-", "-", "-", "-", "-", "-", "void(o/1)"]),
        (timeout(2),             ["bar 2 o/2", "-", "-", "bar 2 o/2", "bar 2 o/2", "bar 2 o/2", "-", "-", "bar 2 o/2"]),
        (wish(Release, None),    ["-"; 9]),
        (wish(Refund, None),     ["-"; 9]),
        (ruled(Authority::Payment),  ["-"; 9]),
        (ruled(Authority::Shipping), ["-"; 9]),
    ];
    for (payload, answers) in table {
        for (state, answer) in states().into_iter().zip(answers) {
            let case = format!("{state:?} meets {payload:?}");
            assert_eq!(kind(given(&Shipments, state).when(payload.clone()).decision()), answer, "{case}");
        }
    }
}

#[test]
fn events_of_every_other_type_are_ignored_in_every_state() {
    // one payload that has the fields of all types; each type takes its own and accepts the rest
    let payload = json!({
        "orderId": "o", "attempt": 2, "items": [{"sku": "SKU-1", "qty": 1}], "total": 1, "step": "payment",
        "requestedBy": "ops", "reason": "x", "reservedItems": [], "releasedItems": [], "amount": 1, "refundId": "r",
        "carrier": "c", "trackingId": "t", "command": "c", "deadLetterId": "d", "action": "redrive",
        "originalType": "x", "originalEventId": "x", "error": "x", "payload": null,
    });
    let others = EventType::ALL
        .iter()
        .filter(|kind| !Shipments.subscriptions().contains(kind));
    for kind in others {
        let envelope = json!({
            "eventId": "e", "type": kind.as_str(), "version": 1, "timestamp": "2026-01-31T12:00:00Z",
            "correlationId": "o", "key": "o", "payload": payload,
        });
        let event = Event::from_json(*kind, envelope.to_string().as_bytes()).unwrap();
        for state in states() {
            given(&Shipments, state)
                .when(event.payload.clone())
                .is_ignored();
        }
    }
}

fn booked() -> ShippingOutcome {
    ShippingOutcome::Booked {
        carrier: "Northline".to_owned(),
        tracking_id: "NOR-1".to_owned(),
    }
}

fn refused() -> ShippingOutcome {
    ShippingOutcome::Refused {
        reason: "carrier_error".to_owned(),
    }
}

#[test]
fn every_effect_settles_on_its_own_outcomes_and_on_no_other() {
    let undone = ["ShippingFailed2", "refund2", "release2"];
    let cases: [(Payload, [&[&str]; 3]); 5] = [
        // booked (or too late), refused, voided
        (paid(Some(2)), [&["OrderShipped2"], &undone, &[]]),
        (
            wish(Action::RefundPayment, Some(2)),
            [&["OrderShipped2", "refund2"], &[], &undone],
        ),
        (
            wish(Action::ReleaseInventory, Some(2)),
            [&["OrderShipped2", "no"], &[], &undone],
        ),
        (timeout(2), [&["OrderShipped2"], &[], &undone]),
        (cancelled(Some(2)), [&[], &[], &[]]),
    ];
    for (payload, answers) in cases {
        for state in states() {
            let event = event("e", payload.clone());
            let (state, asked) = match Shipments.decide(&state, &event) {
                Decision::Effect(_) => (state, true),
                Decision::Intend { state, .. } => (state, true),
                _ => (state, false),
            };
            for (outcome, answer) in [booked(), refused(), ShippingOutcome::Voided]
                .into_iter()
                .zip(answers)
            {
                let settled = Shipments.settle(&state, &event, outcome.clone());
                let expected = if asked { answer } else { &[] };
                assert_eq!(
                    told(&settled),
                    expected,
                    "{state:?} {payload:?} {outcome:?}"
                );
                if expected.is_empty() {
                    assert_eq!(settled.state, state);
                }
            }
        }
    }
}

#[test]
fn a_paid_order_is_shipped() {
    let transition = given(&Shipments, OrderShipments::default())
        .when(paid(Some(1)))
        .with_outcome(booked());
    assert_eq!(transition.state, shipped(1, false));
    let told = OrderShipped {
        order_id: order(),
        carrier: "Northline".to_owned(),
        tracking_id: "NOR-1".to_owned(),
        attempt: Some(1),
    };
    assert_eq!(transition.emit, [told.into()]);
}

fn undone(reason: &str, asked_by: &str) -> [Payload; 3] {
    let reason = reason.to_owned();
    let rule = |action| CompensationRequested {
        order_id: order(),
        action,
        requested_by: Some(asked_by.to_owned()),
        reason: Some(reason.clone()),
        attempt: Some(1),
        decided_by: Some(Authority::Shipping),
    };
    [
        ShippingFailed {
            order_id: order(),
            reason: reason.clone(),
            attempt: Some(1),
        }
        .into(),
        rule(Action::RefundPayment).into(),
        rule(Action::ReleaseInventory).into(),
    ]
}

#[test]
fn what_the_carrier_refuses_is_undone_in_the_service_s_own_name() {
    let transition = given(&Shipments, OrderShipments::default())
        .when(paid(None))
        .with_outcome(refused());
    assert_eq!(transition.state, failed(1, "carrier_error"));
    assert_eq!(transition.emit, undone("carrier_error", SERVICE));
}

#[test]
fn a_wish_before_the_goods_are_out_is_ruled_in_the_name_of_who_asked() {
    for (wish, reason, asked_by) in [
        (wish(Action::RefundPayment, Some(1)), "cancelled", "ops"),
        (wish(Action::ReleaseInventory, Some(1)), "cancelled", "ops"),
        (timeout(1), "timeout", SAGA_TIMEOUT),
    ] {
        let voided = ShippingOutcome::Voided;
        let transition = given(&Shipments, OrderShipments::default())
            .when(wish)
            .with_outcome(voided);
        assert_eq!(transition.state, barred(1, reason));
        assert_eq!(transition.emit, undone(reason, asked_by));
        given(&Shipments, transition.state)
            .when(paid(Some(1)))
            .is_ignored();
    }
}

#[test]
fn a_wish_of_nobody_is_ruled_in_the_service_s_own_name() {
    let wish = CompensationRequested {
        requested_by: None,
        ..request(Action::RefundPayment, Some(1), "")
    };
    let voided = ShippingOutcome::Voided;
    let transition = given(&Shipments, OrderShipments::default())
        .when(wish.clone())
        .with_outcome(voided);
    assert_eq!(transition.emit, undone("cancelled", SERVICE));
    let refused = given(&Shipments, transition.state).when(wish).applied();
    let Payload::CommandRejected(refused) = &refused.emit[0] else {
        panic!("{refused:?}")
    };
    assert_eq!(refused.requested_by, "unknown");
}

#[test]
fn after_the_goods_are_out_a_refund_is_ruled_once_for_the_attempt_that_was_shipped() {
    let wish = wish(Action::RefundPayment, Some(1));
    let first = given(&Shipments, shipped(1, false))
        .when(wish.clone())
        .applied();
    assert_eq!(first.state, shipped(1, true));
    let ruling = CompensationRequested {
        decided_by: Some(Authority::Shipping),
        ..request(Action::RefundPayment, Some(1), "ops")
    };
    assert_eq!(first.emit, [ruling.into()]);

    let again = given(&Shipments, first.state.clone()).when(wish).applied();
    assert_eq!(again.state, first.state);
    let no = CommandRejected {
        order_id: order(),
        command: "refundPayment".to_owned(),
        reason: "the refund is ruled already".to_owned(),
        requested_by: "ops".to_owned(),
    };
    assert_eq!(again.emit, [no.into()]);
}

#[test]
fn goods_that_are_found_to_be_out_when_they_are_called_back_are_shipped() {
    let wish = wish(Action::RefundPayment, Some(1));
    let transition = given(&Shipments, OrderShipments::default())
        .when(wish)
        .with_outcome(booked());
    assert_eq!(transition.state, shipped(1, true));
    assert_eq!(told(&transition), ["OrderShipped1", "refund1"]);
}

#[test]
fn a_wish_about_an_attempt_that_cannot_have_begun_undoes_nothing_of_the_one_in_flight() {
    let ahead = wish(Action::ReleaseInventory, Some(2));
    let early = given(&Shipments, OrderShipments::default()).when(ahead.clone());
    assert_eq!(kind(early.decision()), "early");
    // the attempt in flight is shipped as if nothing had been asked, and then there is no later one
    let out = given(&Shipments, OrderShipments::default())
        .when(paid(Some(1)))
        .with_outcome(booked());
    let answer = given(&Shipments, out.state.clone()).when(ahead).applied();
    assert_eq!(told(&answer), ["no"]);
    assert_eq!(answer.state, out.state);
}

#[test]
fn a_wish_that_is_ahead_of_the_cancellation_before_it_is_ruled_on_when_that_comes() {
    let ahead = wish(Action::ReleaseInventory, Some(2));
    let state = barred(1, "cancelled");
    assert_eq!(
        kind(
            given(&Shipments, state.clone())
                .when(ahead.clone())
                .decision()
        ),
        "early"
    );
    let over = given(&Shipments, state).when(cancelled(Some(1))).applied();
    let ruled = given(&Shipments, over.state)
        .when(ahead)
        .with_outcome(ShippingOutcome::Voided);
    assert_eq!(told(&ruled), ["ShippingFailed2", "refund2", "release2"]);
    given(&Shipments, ruled.state)
        .when(paid(Some(2)))
        .is_ignored();
}

#[test]
fn an_attempt_that_is_over_is_not_shipped_when_its_payment_comes_late() {
    let over = given(&Shipments, OrderShipments::default())
        .when(cancelled(Some(1)))
        .applied();
    assert_eq!(over.state, ended(1));
    given(&Shipments, over.state)
        .when(paid(Some(1)))
        .is_ignored();
}

#[test]
fn the_state_survives_its_document() {
    for mut state in states() {
        state.ended = 3;
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(
            serde_json::from_str::<OrderShipments>(&json).unwrap(),
            state,
            "{json}"
        );
    }
    assert_eq!(
        serde_json::from_str::<OrderShipments>("{}").unwrap(),
        OrderShipments::default()
    );
}

#[test]
fn an_order_is_settled_once_it_is_shipped_failed_or_over() {
    let settled: Vec<bool> = states()
        .iter()
        .map(|state| Shipments.standing(state).settled)
        .collect();
    assert_eq!(
        settled,
        [false, true, true, true, true, true, true, true, false]
    );
}
