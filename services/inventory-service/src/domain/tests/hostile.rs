//! Any state, also one that no history leads to, meets any event that the contract allows.

use proptest::option;
use proptest::prelude::*;
use sagaline_contracts::generate;
use sagaline_saga::laws;

use super::*;

fn held() -> impl Strategy<Value = Vec<HeldItem>> {
    let item = (
        "[a-c]",
        any::<u32>(),
        any::<u64>(),
        option::of(any::<u64>()),
    );
    let item = item.prop_map(|(name, qty, taken_at, ended_at)| HeldItem {
        sku: sku(&name),
        qty,
        taken_at,
        ended_at,
    });
    prop::collection::vec(item, 0..4)
}

fn reservation() -> impl Strategy<Value = Reservation> {
    (generate::attempt(), generate::attempt(), held()).prop_map(|(attempt, taken_in, items)| {
        Reservation {
            attempt,
            taken_in,
            items,
        }
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![
        Just(Hold::None),
        generate::attempt().prop_map(|attempt| Hold::Failed { attempt }),
        reservation().prop_map(Hold::Reserved),
        reservation().prop_map(Hold::Released),
        reservation().prop_map(Hold::Shipped),
    ]
}

fn state() -> impl Strategy<Value = InventoryState> {
    let earlier = prop::collection::vec(reservation(), 0..3);
    (generate::attempt(), generate::attempt(), hold(), earlier).prop_map(
        |(attempt, barred, hold, earlier)| InventoryState {
            attempt,
            barred,
            hold,
            earlier,
        },
    )
}

/// The answer to whatever was asked, or to something else.
fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        held().prop_map(|items| Outcome::Reserved { items }),
        held().prop_map(|items| Outcome::Released { items }),
        held().prop_map(|items| Outcome::Shipped { items }),
        any::<bool>().prop_map(|unknown| Outcome::Short {
            reason: if unknown {
                ShortReason::UnknownSku
            } else {
                ShortReason::OutOfStock
            },
            shortages: Vec::new(),
        }),
    ]
}

proptest! {
    #![proptest_config(generate::cases(3_000))]

    #[test]
    fn whatever_comes_in_whatever_state_the_laws_hold_and_attempts_only_rise(
        state in state(),
        events in prop::collection::vec((generate::event(&order_id()), outcome()), 1..8),
    ) {
        let mut state = state;
        for (event, outcome) in events {
            // An effect that reserves names each SKU once, whatever the lines say.
            if let Decision::Effect(Effect::Reserve { items, .. }) = SERVICE.decide(&state, &event) {
                let mut skus: Vec<_> = items.iter().map(|item| &item.sku).collect();
                skus.sort();
                skus.dedup();
                prop_assert_eq!(skus.len(), items.len());
            }
            let next = laws::meet(&SERVICE, &state, &event, Some(outcome));
            let Some(next) = next.map_err(TestCaseError::fail)? else { continue };
            prop_assert!(next.attempt >= state.attempt && next.barred >= state.barred);
            state = next;
        }
    }
}
