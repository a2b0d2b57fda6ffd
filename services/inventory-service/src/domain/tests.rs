use proptest::prelude::*;
use sagaline_contracts::payload::{
    OrderCreated, OrderRetried, OrderShipped, PaymentAuthorized, Step,
};
use sagaline_contracts::{EventId, Sku, Timestamp};

use super::*;

const SERVICE: Inventory = Inventory;

fn order_id() -> OrderId {
    OrderId::new("o-1").unwrap()
}

fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

fn event(payload: impl Into<Payload>) -> Event {
    let payload = payload.into();
    Event {
        id: EventId::new("e-1").unwrap(),
        timestamp: Timestamp::EPOCH,
        correlation_id: "o-1".to_owned(),
        causation_id: None,
        order_id: payload.order_id().cloned(),
        payload,
        headers: std::collections::BTreeMap::new(),
    }
}

fn line(sku_text: &str, qty: u32) -> OrderItem {
    OrderItem {
        sku: sku(sku_text),
        qty,
        price: None,
    }
}

fn total() -> Money {
    Money::from_cents(3_000).unwrap()
}

fn created() -> Event {
    event(OrderCreated {
        order_id: order_id(),
        items: vec![line("A", 1), line("B", 1), line("A", 2)],
        total: total(),
        currency: None,
        customer_id: None,
    })
}

fn retried(attempt: u32) -> Event {
    event(OrderRetried {
        order_id: order_id(),
        attempt,
        step: Step::Inventory,
        items: vec![line("A", 3), line("B", 1)],
        total: total(),
        requested_by: "ana".to_owned(),
    })
}

fn request(action: Action, decided_by: Option<Authority>, attempt: Option<u32>) -> Event {
    event(CompensationRequested {
        order_id: order_id(),
        action,
        requested_by: Some("ana".to_owned()),
        reason: Some("card_declined".to_owned()),
        attempt,
        decided_by,
    })
}

fn ruling_of(attempt: Option<u32>) -> Event {
    request(Action::ReleaseInventory, Some(Authority::Payment), attempt)
}

fn shipped_event(attempt: Option<u32>) -> Event {
    event(OrderShipped {
        order_id: order_id(),
        carrier: "c".to_owned(),
        tracking_id: "t".to_owned(),
        attempt,
    })
}

fn authorized() -> Event {
    event(PaymentAuthorized {
        order_id: order_id(),
        amount: total(),
        auth_id: "auth".to_owned(),
        attempt: Some(1),
    })
}

fn items(ended_at: Option<u64>) -> Vec<HeldItem> {
    let item = |text: &str, qty, taken_at| HeldItem {
        sku: sku(text),
        qty,
        taken_at,
        ended_at,
    };
    vec![item("A", 3, 7), item("B", 1, 4)]
}

fn reservation(attempt: u32, ended_at: Option<u64>) -> Reservation {
    Reservation {
        attempt,
        taken_in: 1,
        items: items(ended_at),
    }
}

fn state(attempt: u32, barred: u32, hold: Hold) -> InventoryState {
    InventoryState {
        attempt,
        barred,
        hold,
        earlier: Vec::new(),
    }
}

fn states() -> Vec<(&'static str, InventoryState)> {
    let failed = |attempt| Hold::Failed { attempt };
    vec![
        ("fresh", InventoryState::default()),
        ("barred 1", state(0, 1, Hold::None)),
        (
            "reserved",
            state(1, 0, Hold::Reserved(reservation(1, None))),
        ),
        (
            "re-affirmed",
            state(2, 0, Hold::Reserved(reservation(2, None))),
        ),
        ("failed", state(1, 0, failed(1))),
        ("failed, barred 2", state(1, 2, failed(1))),
        (
            "released",
            state(1, 1, Hold::Released(reservation(1, Some(9)))),
        ),
        (
            "released ahead",
            state(1, 2, Hold::Released(reservation(2, Some(9)))),
        ),
        (
            "shipped",
            state(1, 0, Hold::Shipped(reservation(1, Some(9)))),
        ),
        (
            "shipped in 2",
            state(2, 0, Hold::Shipped(reservation(2, Some(9)))),
        ),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("created", created()),
        ("retried 2", retried(2)),
        ("retried 3", retried(3)),
        ("ruling 1", ruling_of(Some(1))),
        ("ruling 2", ruling_of(Some(2))),
        ("ruling", ruling_of(None)),
        ("shipped 1", shipped_event(Some(1))),
        ("shipped 2", shipped_event(Some(2))),
        ("shipped", shipped_event(None)),
        ("wish", request(Action::ReleaseInventory, None, Some(1))),
        (
            "refund",
            request(Action::RefundPayment, Some(Authority::Shipping), Some(1)),
        ),
        ("authorized", authorized()),
    ]
}

/// One word per decision: what is done, or what is told.
fn kind(decision: &Decided) -> &'static str {
    match decision {
        Decision::Ignore(_) => "-",
        Decision::Early(_) => "early",
        Decision::Reject(_) => "reject",
        Decision::Effect(Effect::Reserve { .. }) => "RESERVE",
        Decision::Effect(Effect::Release { .. }) => "RELEASE",
        Decision::Effect(Effect::Ship { .. }) => "SHIP",
        Decision::Apply(transition) => match transition.emit.as_slice() {
            [Payload::InventoryReserved(_)] => "affirm",
            [Payload::InventoryReleased(_)] => "bar",
            [Payload::CommandRejected(_)] => "refuse",
            _ => "?",
        },
    }
}

#[test]
fn every_state_has_its_answer_to_every_event() {
    // created, retried 2, 3 | ruling 1, 2, unstated | shipped 1, 2, unstated | wish, refund, authorized
    let table = [
        "RESERVE RESERVE RESERVE  bar bar bar             early early early     - - -", // fresh
        "- RESERVE RESERVE        - bar -                 reject early reject   - - -", // barred 1
        "- affirm affirm          RELEASE RELEASE RELEASE SHIP early SHIP       - - -", // reserved
        "- - affirm               - RELEASE RELEASE       SHIP SHIP SHIP        - - -", // re-affirmed
        "- RESERVE RESERVE        - bar -                 reject early reject   - - -", // failed
        "- - RESERVE              - - -                   reject reject reject  - - -", // failed, barred 2
        "- RESERVE RESERVE        - bar -                 reject early reject   - - -", // released
        "- - RESERVE              - - -                   reject reject reject  - - -", // released ahead
        "- reject reject          refuse refuse refuse    - - -                 - - -", // shipped
        "- - reject               - refuse refuse         - - -                 - - -", // shipped in 2
    ];
    assert_eq!(table.len(), states().len());
    for (row, (name, state)) in table.iter().zip(states()) {
        let expected: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(expected.len(), events().len());
        for (expected, (what, event)) in expected.iter().zip(events()) {
            let decision = SERVICE.decide(&state, &event);
            assert_eq!(
                kind(&decision),
                *expected,
                "{what} when {name}: {decision:?}"
            );
        }
    }
}

#[test]
fn a_sku_on_two_lines_is_reserved_once_with_the_sum() {
    let decision = SERVICE.decide(&InventoryState::default(), &created());
    let wanted = vec![
        ReservedItem {
            sku: sku("A"),
            qty: 3,
        },
        ReservedItem {
            sku: sku("B"),
            qty: 1,
        },
    ];
    let effect = Effect::Reserve {
        attempt: 1,
        items: wanted,
    };
    assert_eq!(decision, Decision::Effect(effect));
}

#[test]
fn a_reservation_is_told_with_its_items_the_total_and_the_attempt() {
    let outcome = Outcome::Reserved { items: items(None) };
    let next = SERVICE.settle(&InventoryState::default(), &created(), outcome);
    assert_eq!(
        next.state,
        state(1, 0, Hold::Reserved(reservation(1, None)))
    );
    let [Payload::InventoryReserved(told)] = next.emit.as_slice() else {
        panic!("{:?}", next.emit)
    };
    assert_eq!((told.total, told.attempt), (Some(total()), Some(1)));
    let told: Vec<_> = told
        .reserved_items
        .iter()
        .map(|i| (i.sku.as_str(), i.qty))
        .collect();
    assert_eq!(told, [("A", 3), ("B", 1)]);
}

#[test]
fn a_shortage_is_told_with_its_reason() {
    let shortages = vec![Shortage {
        sku: sku("A"),
        requested: 3,
        available: Some(2),
    }];
    for (reason, told) in [
        (ShortReason::OutOfStock, "out_of_stock"),
        (ShortReason::UnknownSku, "unknown_sku"),
    ] {
        let outcome = Outcome::Short {
            reason,
            shortages: shortages.clone(),
        };
        let next = SERVICE.settle(&InventoryState::default(), &created(), outcome);
        assert_eq!(next.state, state(1, 0, Hold::Failed { attempt: 1 }));
        let expected = InventoryFailed {
            order_id: order_id(),
            reason: told.to_owned(),
            shortages: shortages.clone(),
            attempt: Some(1),
        };
        assert_eq!(next.emit, [Payload::from(expected)]);
    }
}

#[test]
fn a_release_is_told_with_what_came_back_and_bars_the_attempt() {
    let before = state(1, 0, Hold::Reserved(reservation(1, None)));
    let outcome = Outcome::Released {
        items: items(Some(9)),
    };
    let next = SERVICE.settle(&before, &ruling_of(Some(2)), outcome);
    assert_eq!(
        next.state,
        state(1, 2, Hold::Released(reservation(2, Some(9))))
    );
    let [Payload::InventoryReleased(told)] = next.emit.as_slice() else {
        panic!("{:?}", next.emit)
    };
    assert_eq!((told.attempt, told.released_items.len()), (Some(2), 2));
    assert_eq!(told.reason, "card_declined");
}

#[test]
fn a_shipment_is_booked_out_silently() {
    let before = state(1, 0, Hold::Reserved(reservation(1, None)));
    let outcome = Outcome::Shipped {
        items: items(Some(9)),
    };
    let next = SERVICE.settle(&before, &shipped_event(Some(1)), outcome);
    let after = state(1, 0, Hold::Shipped(reservation(1, Some(9))));
    assert_eq!(next, Transition::to(after));
}

#[test]
fn a_retry_of_what_is_still_set_aside_costs_no_stock() {
    let before = state(1, 0, Hold::Reserved(reservation(1, None)));
    let Decision::Apply(next) = SERVICE.decide(&before, &retried(2)) else {
        panic!("it is applied")
    };
    assert_eq!(
        next.state,
        state(2, 0, Hold::Reserved(reservation(2, None)))
    );
    // the effect later names the attempt that took the goods
    let decision = SERVICE.decide(&next.state, &ruling_of(Some(2)));
    let effect = Effect::Release {
        attempt: 1,
        items: items(None),
    };
    assert_eq!(decision, Decision::Effect(effect));
}

#[test]
fn a_refused_release_names_who_asked() {
    let (_, shipped) = states().swap_remove(8);
    let Decision::Apply(next) = SERVICE.decide(&shipped, &ruling_of(Some(1))) else {
        panic!("it is applied")
    };
    assert_eq!(next.state, shipped);
    let [Payload::CommandRejected(told)] = next.emit.as_slice() else {
        panic!("{:?}", next.emit)
    };
    assert_eq!(
        (told.command.as_str(), told.requested_by.as_str()),
        ("releaseInventory", "ana")
    );
}

#[test]
fn the_state_survives_its_own_json() {
    for (name, state) in states() {
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(
            serde_json::from_str::<InventoryState>(&json).unwrap(),
            state,
            "{name}: {json}"
        );
    }
}

#[test]
fn only_an_order_of_which_nothing_is_expected_is_settled() {
    let settled: Vec<&str> = states()
        .iter()
        .filter(|(_, state)| SERVICE.standing(state).settled)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(settled, ["failed", "released", "shipped", "shipped in 2"]);
}

fn operation(attempt: u32, op: StockOp, qty: u32) -> Operation {
    Operation {
        order_id: order_id(),
        attempt,
        op,
        qty,
    }
}

#[test]
fn an_application_counts_only_in_the_version_that_the_order_names() {
    use StockOp::{Release, Reserve, Ship};
    use Verdict::{Counts, Open, Void};
    let states = states();
    let verdict = |name: &str, operation: &Operation, at| {
        let (_, state) = states.iter().find(|(known, _)| *known == name).unwrap();
        state.verdict(operation, &sku("A"), at)
    };
    for (name, op, at, expected) in [
        ("fresh", Reserve, 7, Open),
        ("barred 1", Reserve, 7, Void),
        ("barred 1", Release, 7, Void),
        ("failed", Reserve, 7, Void),
        ("reserved", Reserve, 7, Counts),
        ("reserved", Reserve, 8, Void),
        ("reserved", Release, 9, Open),
        ("reserved", Ship, 9, Open),
        ("re-affirmed", Reserve, 7, Counts),
        ("released", Reserve, 7, Counts),
        ("released", Release, 9, Counts),
        ("released", Release, 10, Void),
        ("released", Ship, 9, Void),
        ("shipped", Reserve, 7, Counts),
        ("shipped", Ship, 9, Counts),
        ("shipped", Ship, 10, Void),
        ("shipped", Release, 9, Void),
    ] {
        let operation = operation(1, op, 3);
        assert_eq!(
            verdict(name, &operation, at),
            expected,
            "{op:?}@{at} when {name}"
        );
    }
    assert_eq!(
        verdict("reserved", &operation(1, Reserve, 4), 7),
        Void,
        "another quantity"
    );
    assert_eq!(
        verdict("reserved", &operation(2, Reserve, 3), 7),
        Open,
        "the next attempt"
    );
    assert_eq!(
        verdict("re-affirmed", &operation(2, Reserve, 3), 7),
        Void,
        "it reserved nothing"
    );
}

#[test]
fn a_reservation_of_an_earlier_attempt_is_still_known_after_a_retry() {
    let (_, released) = states().swap_remove(6);
    let taken_again = HeldItem {
        sku: sku("A"),
        qty: 3,
        taken_at: 20,
        ended_at: None,
    };
    let outcome = Outcome::Reserved {
        items: vec![taken_again],
    };
    let next = SERVICE.settle(&released, &retried(2), outcome).state;
    let verdict = |attempt, op, at| next.verdict(&operation(attempt, op, 3), &sku("A"), at);
    assert_eq!(verdict(1, StockOp::Reserve, 7), Verdict::Counts);
    assert_eq!(verdict(1, StockOp::Release, 9), Verdict::Counts);
    assert_eq!(verdict(1, StockOp::Release, 10), Verdict::Void);
    assert_eq!(verdict(2, StockOp::Reserve, 20), Verdict::Counts);
    assert_eq!(verdict(2, StockOp::Reserve, 7), Verdict::Void);
}

/// Stands in for stock: says yes.
fn granted(effect: Effect) -> Outcome {
    let ended = |items: Vec<HeldItem>| {
        items.into_iter().map(|i| HeldItem {
            ended_at: Some(9),
            ..i
        })
    };
    match effect {
        Effect::Reserve { items, .. } => Outcome::Reserved {
            items: items
                .into_iter()
                .map(|i| HeldItem {
                    sku: i.sku,
                    qty: i.qty,
                    taken_at: 7,
                    ended_at: None,
                })
                .collect(),
        },
        Effect::Release { items, .. } => Outcome::Released {
            items: ended(items).collect(),
        },
        Effect::Ship { items, .. } => Outcome::Shipped {
            items: ended(items).collect(),
        },
    }
}

/// Works events off as the runtime does: what is early is decided again after every further event.
fn run(arrivals: &[Event]) -> (InventoryState, Vec<Payload>) {
    let mut state = InventoryState::default();
    let mut told = Vec::new();
    let mut early: Vec<Event> = Vec::new();
    for arrival in arrivals {
        let mut open = vec![arrival.clone()];
        open.append(&mut early);
        for event in open {
            let next = match SERVICE.decide(&state, &event) {
                Decision::Apply(next) => next,
                Decision::Effect(effect) => SERVICE.settle(&state, &event, granted(effect)),
                Decision::Ignore(_) => continue,
                Decision::Early(_) => {
                    early.push(event);
                    continue;
                }
                Decision::Reject(why) => panic!("{why}"),
            };
            state = next.state;
            told.extend(next.emit);
        }
    }
    assert!(early.is_empty(), "{early:?}");
    (state, told)
}

fn arrivals(events: Vec<Event>) -> impl Strategy<Value = Vec<Event>> {
    let repeats = proptest::collection::vec(1..3_usize, events.len());
    (Just(events), repeats)
        .prop_map(|(events, repeats)| {
            let all = events.into_iter().zip(repeats);
            all.flat_map(|(event, n)| std::iter::repeat_n(event, n))
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

proptest! {
    #[test]
    fn an_attempt_that_ships_ends_shipped_in_any_order(
        arrivals in arrivals(vec![created(), shipped_event(Some(1))])
    ) {
        let (state, told) = run(&arrivals);
        prop_assert!(matches!(state.hold, Hold::Shipped(_)), "{:?}", state);
        prop_assert!(matches!(told.as_slice(), [Payload::InventoryReserved(_)]), "{:?}", told);
    }

    #[test]
    fn an_attempt_that_is_undone_holds_nothing_and_is_answered_once_in_any_order(
        arrivals in arrivals(vec![created(), ruling_of(Some(1)), ruling_of(Some(1))])
    ) {
        let (state, told) = run(&arrivals);
        prop_assert!(!matches!(state.hold, Hold::Reserved(_)), "{:?}", state);
        prop_assert_eq!(state.barred, 1);
        let answers = told.iter().filter(|p| matches!(p, Payload::InventoryReleased(_)));
        prop_assert_eq!(answers.count(), 1, "{:?}", told);
    }

    #[test]
    fn an_attempt_that_is_barred_ahead_by_its_ruling_never_begins(
        arrivals in arrivals(vec![retried(2), ruling_of(Some(2))])
    ) {
        let mut all = vec![created()];
        all.extend(arrivals);
        let (state, told) = run(&all);
        prop_assert!(!matches!(state.hold, Hold::Reserved(_)), "{:?}", state);
        let answers = told.iter().filter(|p| matches!(p, Payload::InventoryReleased(_)));
        prop_assert_eq!(answers.count(), 1, "{:?}", told);
    }
}
