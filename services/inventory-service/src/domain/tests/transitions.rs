use sagaline_contracts::payload::InventoryFailed;

use super::*;

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
