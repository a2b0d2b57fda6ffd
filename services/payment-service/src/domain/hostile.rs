//! Any state, also one that no history leads to, meets any event that the contract allows.

use proptest::option;
use proptest::prelude::*;
use sagaline_contracts::generate;
use sagaline_saga::laws;

use super::tests::order;
use super::*;

fn charge() -> impl Strategy<Value = Charge> {
    let parts = (generate::attempt(), generate::money(), generate::text());
    let authorized = parts.prop_map(|(attempt, amount, auth_id)| Charge::Authorized {
        attempt,
        amount,
        auth_id,
    });
    let parts = (
        generate::attempt(),
        option::of(generate::money()),
        generate::text(),
    );
    let failed = parts.prop_map(|(attempt, amount, reason)| Charge::Failed {
        attempt,
        amount,
        reason,
    });
    let parts = (generate::attempt(), generate::money(), generate::text());
    let refunded = parts.prop_map(|(attempt, amount, refund_id)| Charge::Refunded {
        attempt,
        amount,
        auth_id: "auth".to_owned(),
        refund_id,
    });
    prop_oneof![Just(Charge::None), authorized, failed, refunded]
}

fn state() -> impl Strategy<Value = Payment> {
    (
        generate::attempt(),
        generate::attempt(),
        generate::attempt(),
        charge(),
        prop::collection::vec(charge(), 0..40),
    )
        .prop_map(|(attempt, barred, barring, charge, history)| Payment {
            attempt,
            barred,
            barring,
            charge,
            history,
        })
}

/// The answer to whatever was asked, or to something else.
fn outcome() -> impl Strategy<Value = PaymentOutcome> {
    prop_oneof![
        generate::text().prop_map(|auth_id| PaymentOutcome::Authorized { auth_id }),
        generate::text().prop_map(|reason| PaymentOutcome::Declined { reason }),
        generate::text().prop_map(|refund_id| PaymentOutcome::Refunded { refund_id }),
        Just(PaymentOutcome::Voided),
    ]
}

proptest! {
    #![proptest_config(generate::cases(3_000))]

    #[test]
    fn whatever_comes_in_whatever_state_the_laws_hold_and_attempts_only_rise(
        state in state(),
        events in prop::collection::vec((generate::event(&order()), outcome()), 1..8),
    ) {
        let mut state = state;
        for (event, outcome) in events {
            let next = laws::meet(&Payments, &state, &event, Some(outcome));
            let Some(next) = next.map_err(TestCaseError::fail)? else { continue };
            prop_assert!(next.attempt >= state.attempt && next.barred >= state.barred);
            prop_assert!(next.history.len() <= HISTORY_MAX.max(state.history.len()));
            state = next;
        }
    }
}
