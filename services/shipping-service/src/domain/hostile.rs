//! Any state, also one that no history leads to, meets any event that the contract allows.

use proptest::prelude::*;
use sagaline_contracts::generate;
use sagaline_saga::laws;

use super::tests::order;
use super::*;

fn shipment() -> impl Strategy<Value = Shipment> {
    let parts = (generate::attempt(), generate::text(), any::<bool>());
    let shipped = parts.prop_map(|(attempt, carrier, refund_ruled)| Shipment::Shipped {
        attempt,
        tracking_id: carrier.clone(),
        carrier,
        refund_ruled,
    });
    let parts = (generate::attempt(), generate::text());
    let failed = parts.prop_map(|(attempt, reason)| Shipment::Failed { attempt, reason });
    prop_oneof![Just(Shipment::None), shipped, failed]
}

fn state() -> impl Strategy<Value = OrderShipments> {
    let attempts = (
        generate::attempt(),
        generate::attempt(),
        generate::attempt(),
        generate::attempt(),
    );
    (attempts, shipment()).prop_map(|((attempt, barred, barring, ended), shipment)| {
        OrderShipments {
            attempt,
            barred,
            barring,
            ended,
            shipment,
        }
    })
}

/// The answer to whatever was asked, or to something else.
fn outcome() -> impl Strategy<Value = ShippingOutcome> {
    prop_oneof![
        (generate::text(), generate::text()).prop_map(|(carrier, tracking_id)| {
            ShippingOutcome::Booked {
                carrier,
                tracking_id,
            }
        }),
        generate::text().prop_map(|reason| ShippingOutcome::Refused { reason }),
        Just(ShippingOutcome::Voided),
    ]
}

proptest! {
    #![proptest_config(generate::cases(3_000))]

    #[test]
    fn whatever_comes_in_whatever_state_the_laws_hold_and_goods_that_are_out_stay_out(
        state in state(),
        events in prop::collection::vec((generate::event(&order()), outcome()), 1..8),
    ) {
        let mut state = state;
        for (event, outcome) in events {
            let next = laws::meet(&Shipments, &state, &event, Some(outcome));
            let Some(next) = next.map_err(TestCaseError::fail)? else { continue };
            prop_assert!(next.attempt >= state.attempt);
            prop_assert!(next.ended >= state.ended);
            let is_out = |state: &OrderShipments| matches!(state.shipment, Shipment::Shipped { .. });
            prop_assert!(!is_out(&state) || is_out(&next), "{:?} became {:?}", state, next);
            state = next;
        }
    }
}
