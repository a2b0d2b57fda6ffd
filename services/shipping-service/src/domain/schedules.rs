//! Any arrival order, any duplication, a crash after any call: no order is both shipped and undone.

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::sample::select;
use sagaline_external_calls::{Rate, Rehearsal};
use sagaline_saga::given::event;
use sagaline_saga::race::Race;

use super::tests::{cancelled, order, paid, timeout, wish};
use super::*;
use crate::carrier::{Depot, SimulatedCarrier};
use crate::effects::call;

/// Shipping and its carrier. There is no inbox here: even an event that comes again under another id does no harm.
struct World {
    carrier: Depot<SimulatedCarrier>,
    state: OrderShipments,
    told: Vec<Payload>,
}

impl World {
    fn new(failure_rate: Rate, leaves_at_once: bool) -> Self {
        let depot = Depot::new(
            SimulatedCarrier::new(failure_rate, Rehearsal::default()),
            100,
        );
        let carrier = if leaves_at_once {
            depot.leaving_at_once()
        } else {
            depot
        };
        Self {
            carrier,
            state: OrderShipments::default(),
            told: Vec::new(),
        }
    }

    /// One delivery. A crash comes at the worst time: the carrier has done its part, and nothing is saved.
    fn deliver(&mut self, payload: &Payload, crash: bool) {
        let event = event("e", payload.clone());
        let transition = match Shipments.decide(&self.state, &event) {
            Decision::Apply(transition) => transition,
            Decision::Effect(effect) => {
                let outcome = block_on(call(&self.carrier, &order(), &effect)).unwrap();
                Shipments.settle(&self.state, &event, outcome)
            }
            Decision::Intend { state, effect } => {
                self.state = state;
                let outcome = block_on(call(&self.carrier, &order(), &effect)).unwrap();
                Shipments.settle(&self.state, &event, outcome)
            }
            Decision::Ignore(_) => return,
            Decision::Early(_) | Decision::Reject(_) => panic!("{:?} meets {event:?}", self.state),
        };
        if !crash {
            self.state = transition.state;
            self.told.extend(transition.emit);
        }
    }

    fn of(race: Race<'_, Shipments>, carrier: Depot<SimulatedCarrier>) -> Self {
        Self {
            carrier,
            state: race.state,
            told: race.told,
        }
    }

    fn is_shipped(&self) -> bool {
        matches!(self.state.shipment, Shipment::Shipped { .. })
    }

    fn count(&self, is: impl Fn(&Payload) -> bool) -> usize {
        self.told.iter().filter(|payload| is(payload)).count()
    }
}

/// Deliveries of what was `seen` so far in any order, some doubled, some lost in a crash; then each of the attempt's `own`
/// events gets through once, in any order.
fn deliveries(
    own: Vec<Payload>,
    seen: Vec<Payload>,
) -> impl Strategy<Value = Vec<(Payload, bool)>> {
    let noise = proptest::collection::vec((select(seen), any::<bool>()), 0..12);
    (noise, Just(own).prop_shuffle()).prop_map(|(mut deliveries, all)| {
        deliveries.extend(all.into_iter().map(|payload| (payload, false)));
        deliveries
    })
}

fn events(attempt: u32) -> impl Strategy<Value = Vec<Payload>> {
    let all = vec![
        paid(Some(attempt)),
        wish(Action::RefundPayment, Some(attempt)),
        wish(Action::ReleaseInventory, Some(attempt)),
        timeout(attempt),
    ];
    proptest::sample::subsequence(all, 1..=4)
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let shipped = world.count(|payload| matches!(payload, Payload::OrderShipped(_)));
    prop_assert_eq!(shipped, usize::from(world.is_shipped()));
    let out = world.carrier.shipped(&order());
    prop_assert_eq!(out.len(), shipped, "what went out is what was told");
    if let Shipment::Shipped {
        attempt,
        tracking_id,
        ..
    } = &world.state.shipment
    {
        prop_assert_eq!(&out[0].tracking_id, tracking_id);
        let undone = world.count(|payload| {
            matches!(payload, Payload::ShippingFailed(_)) && payload.attempt() == Some(*attempt)
        });
        prop_assert_eq!(undone, 0, "shipped and undone");
    }
    for attempt in [1, 2] {
        let of = |payload: &Payload| payload.attempt() == Some(attempt);
        let rulings = |action: Action| {
            world.count(|payload| {
                of(payload)
                    && matches!(payload, Payload::CompensationRequested(r) if r.action == action)
            })
        };
        let failed =
            world.count(|payload| of(payload) && matches!(payload, Payload::ShippingFailed(_)));
        prop_assert!(failed <= 1);
        prop_assert_eq!(
            rulings(Action::ReleaseInventory),
            failed,
            "stock is released exactly when the goods stay"
        );
        prop_assert!(rulings(Action::RefundPayment) <= 1, "refunded twice");
        prop_assert!(rulings(Action::RefundPayment) >= failed);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_every_schedule_the_goods_are_out_or_the_order_is_undone_and_never_both(
        (first, second) in (events(1), events(2)).prop_flat_map(|(first, second)| {
            let seen = [first.clone(), second.clone()].concat();
            (deliveries(first.clone(), first), deliveries(second, seen))
        }),
        failure_rate in select(vec!["0", "0.5", "1"]),
        leaves_at_once in any::<bool>(),
    ) {
        let mut world = World::new(failure_rate.parse().unwrap(), leaves_at_once);
        for (payload, crash) in &first {
            world.deliver(payload, *crash);
        }
        check(&world)?;
        prop_assert!(world.state.shipment != Shipment::None, "every event here decides the attempt");
        if world.is_shipped() {
            // The order is confirmed: there is no further attempt.
            return Ok(());
        }
        // The attempt is undone, so the order is cancelled before it can be tried again.
        world.deliver(&cancelled(Some(1)), false);
        for (payload, crash) in &second {
            world.deliver(payload, *crash);
        }
        check(&world)?;
    }
    #[test]
    fn two_instances_that_each_think_the_order_theirs_do_not_both_ship_and_undo_it(
        deliveries in proptest::collection::vec((events(1), 0..2_usize), 1..4),
        steps in proptest::collection::vec((0..2_usize, proptest::bool::weighted(0.1)), 0..40),
        leaves_at_once in any::<bool>(),
    ) {
        let World { carrier, .. } = World::new(Rate::NEVER, leaves_at_once);
        let carry_out = |effect: &ShippingEffect| block_on(call(&carrier, &order(), effect)).unwrap();
        let mut race = Race::new(&Shipments, 2);
        for (payloads, instance) in deliveries {
            for payload in payloads {
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
        check(&World::of(race, carrier))?;
    }
}
