//! Any arrival order, any duplication, a crash after any call: the money is right.

use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::sample::select;
use sagaline_external_calls::{Rate, Rehearsal};
use sagaline_saga::given::event;
use sagaline_saga::race::Race;

use super::tests::{cents, order, refund, reserved};
use super::*;
use crate::effects::call;
use crate::gateway::{Ledger, SimulatedGateway};

/// Payment and its gateway. There is no inbox here: even an event that comes again under another id does no harm.
struct World {
    gateway: Arc<Ledger<SimulatedGateway>>,
    state: Payment,
    told: Vec<Payload>,
}

impl World {
    fn new(decline_rate: Rate) -> Self {
        let gateway = SimulatedGateway::new(decline_rate, Rehearsal::default());
        Self {
            gateway: Arc::new(Ledger::new(gateway, 100)),
            state: Payment::default(),
            told: Vec::new(),
        }
    }

    /// One delivery. A crash comes at the worst time: the gateway has done its part, and nothing is saved.
    fn deliver(&mut self, payload: &Payload, crash: bool) {
        let event = event("e", payload.clone());
        let transition = match Payments.decide(&self.state, &event) {
            Decision::Apply(transition) => transition,
            Decision::Effect(effect) => {
                let outcome = block_on(call(&*self.gateway, &order(), &effect)).unwrap();
                Payments.settle(&self.state, &event, outcome)
            }
            Decision::Intend { state, effect } => {
                self.state = state;
                let outcome = block_on(call(&*self.gateway, &order(), &effect)).unwrap();
                Payments.settle(&self.state, &event, outcome)
            }
            Decision::Ignore(_) => return,
            Decision::Early(_) | Decision::Reject(_) => panic!("{:?} meets {event:?}", self.state),
        };
        if !crash {
            self.state = transition.state;
            self.told.extend(transition.emit);
        }
    }

    fn answers(&self, attempt: u32) -> Vec<EventType> {
        let of_attempt = self
            .told
            .iter()
            .filter(|payload| payload.attempt() == Some(attempt));
        let kinds = of_attempt.map(Payload::event_type);
        kinds
            .filter(|kind| *kind != EventType::CompensationRequested)
            .collect()
    }
}

/// What happens in one attempt.
#[derive(Debug, Clone)]
struct Attempt {
    /// Deliveries in any order, some doubled, some lost in a crash.
    noise: Vec<(Payload, bool)>,
    /// Then each event gets through once, in any order.
    all: Vec<Payload>,
}

fn attempt(number: u32, earlier: Vec<Payload>) -> impl Strategy<Value = Attempt> {
    let (go, undo) = (reserved(Some(number), Some(1_999)), refund(Some(number)));
    let sets = vec![vec![go.clone()], vec![undo.clone()], vec![go, undo]];
    select(sets).prop_flat_map(move |own| {
        let seen: Vec<Payload> = own.iter().chain(&earlier).cloned().collect();
        let noise = proptest::collection::vec((select(seen), any::<bool>()), 0..10);
        (noise, Just(own).prop_shuffle()).prop_map(|(noise, all)| Attempt { noise, all })
    })
}

/// An attempt begins after the one before has ended; events of the one before may come again at any time.
fn two_attempts() -> impl Strategy<Value = [Attempt; 2]> {
    attempt(1, Vec::new()).prop_flat_map(|first| {
        let second = attempt(2, first.all.clone());
        (Just(first), second).prop_map(|(first, second)| [first, second])
    })
}

fn undone(attempt: &Attempt) -> bool {
    attempt
        .all
        .iter()
        .any(|payload| matches!(payload, Payload::CompensationRequested(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_every_schedule_the_gateway_and_the_service_agree_on_the_money(
        attempts in two_attempts(),
        decline_rate in select(vec!["0", "0.5", "1"]),
    ) {
        let mut world = World::new(decline_rate.parse().unwrap());
        for (number, attempt) in (1..).zip(&attempts) {
            let clean = attempt.all.iter().map(|payload| (payload, false));
            let noisy = attempt.noise.iter().map(|(payload, crash)| (payload, *crash));
            for (payload, crash) in noisy.chain(clean) {
                world.deliver(payload, crash);
            }
            let account = world.gateway.account(&order());
            let held = account.captured_cents - account.refunded_cents;
            let believed = match &world.state.charge {
                Charge::Authorized { amount, .. } => amount.cents(),
                _ => 0,
            };
            prop_assert_eq!(held, believed, "{:?}", &world.state);
            prop_assert!(held == 0 || held == cents(1_999).cents());
            prop_assert!(account.charges <= number);
            if undone(attempt) {
                prop_assert_eq!(held, 0, "the attempt was undone");
            }
        }
        for (number, attempt) in (1..).zip(&attempts) {
            check_answers(&world.answers(number), undone(attempt))?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn two_instances_that_each_think_the_order_theirs_agree_with_the_gateway_on_the_money(
        deliveries in proptest::collection::vec((attempt(1, Vec::new()), 0..2_usize), 1..3),
        steps in proptest::collection::vec((0..2_usize, proptest::bool::weighted(0.1)), 0..40),
    ) {
        let World { gateway, .. } = World::new(Rate::NEVER);
        // A refund of what is voided is an error at this gateway.
        let carry_out = |effect: &PaymentEffect| block_on(call(&*gateway, &order(), effect)).unwrap();
        let mut race = Race::new(&Payments, 2);
        let mut is_undone = false;
        for (attempt, instance) in deliveries {
            is_undone |= undone(&attempt);
            for payload in attempt.all {
                race.deliver(instance, event("e", payload));
            }
        }
        for (instance, crashes) in steps {
            race.step(instance, carry_out);
            if crashes {
                race.crash(instance);
            }
        }
        race.finish(carry_out);
        let account = gateway.account(&order());
        let held = account.captured_cents - account.refunded_cents;
        prop_assert_eq!(held > 0, matches!(race.state.charge, Charge::Authorized { .. }));
        prop_assert_eq!(held > 0, !is_undone, "{:?}", race.state);
        prop_assert!(account.refunded_cents <= account.captured_cents);
        let world = World { gateway, state: race.state, told: race.told };
        check_answers(&world.answers(1), is_undone)?;
    }
}

/// An attempt is answered once, or charged and then paid back; nothing comes after its end.
fn check_answers(answers: &[EventType], undone: bool) -> Result<(), TestCaseError> {
    let allowed: &[&[EventType]] = if undone {
        &[
            &[EventType::PaymentFailed],
            &[EventType::PaymentAuthorized, EventType::PaymentRefunded],
            // a charge of the attempt before, paid back in this one
            &[EventType::PaymentRefunded],
        ]
    } else {
        &[&[EventType::PaymentFailed], &[EventType::PaymentAuthorized]]
    };
    prop_assert!(allowed.contains(&answers), "{answers:?}");
    Ok(())
}
