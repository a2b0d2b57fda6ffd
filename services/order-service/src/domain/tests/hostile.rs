//! Any state, also one that no history leads to, meets any event that the contract allows.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sagaline_contracts::generate;
use sagaline_saga::laws;

use super::*;

fn facts() -> impl Strategy<Value = Facts> {
    let inventory = (any::<bool>(), generate::text()).prop_map(|(failed, reason)| {
        if failed {
            InventoryFact::Failed(reason)
        } else {
            InventoryFact::Released(reason)
        }
    });
    let payment = option::of(generate::text())
        .prop_map(|reason| reason.map_or(PaymentFact::Refunded, PaymentFact::Failed));
    (
        option::of(inventory),
        option::of(payment),
        option::of(generate::text()),
    )
        .prop_map(|(inventory, payment, shipping_failure)| Facts {
            inventory,
            payment,
            shipping_failure,
        })
}

fn state() -> impl Strategy<Value = Order> {
    let phase = select(vec![
        Phase::Unknown,
        Phase::Pending,
        Phase::Confirmed,
        Phase::Cancelled,
    ]);
    let moments = (option::of(any::<i64>()), any::<i64>(), any::<i64>());
    let rest = (
        option::of(generate::money()),
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    (
        phase,
        generate::attempt(),
        facts(),
        moments,
        any::<u32>(),
        rest,
    )
        .prop_map(
            |(phase, attempt, facts, (deadline, created, updated), timeouts, rest)| {
                let (total, refunded, is_alias) = rest;
                // Nobody has begun an attempt of what nobody has placed.
                let attempt = if phase == Phase::Unknown { 0 } else { attempt };
                Order {
                    phase,
                    attempt,
                    facts,
                    refunded,
                    deadline: deadline.map(Timestamp::from_micros),
                    timeouts,
                    total,
                    items: pending().items,
                    redirect: is_alias.then(|| OrderId::new("o-2").unwrap()),
                    created_at: Timestamp::from_micros(created),
                    updated_at: Timestamp::from_micros(updated),
                    ..Order::default()
                }
            },
        )
}

proptest! {
    #![proptest_config(generate::cases(3_000))]

    #[test]
    fn whatever_comes_in_whatever_state_the_laws_hold_and_attempts_only_rise(
        state in state(),
        events in prop::collection::vec(generate::event(&id()), 1..8),
    ) {
        let mut state = state;
        for event in &events {
            let next = laws::meet(&SAGA, &state, event, None).map_err(TestCaseError::fail)?;
            let Some(next) = next else { continue };
            prop_assert!(next.attempt >= state.attempt);
            let ended = |order: &Order| matches!(order.phase, Phase::Confirmed);
            prop_assert!(!ended(&state) || ended(&next), "a confirmed order stays confirmed");
            state = next;
        }
    }
}
