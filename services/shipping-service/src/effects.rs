//! Carries out what the domain asks for: calls to the carrier, many at a time, each within a time limit.

use std::sync::Arc;

use async_trait::async_trait;
use sagaline_contracts::OrderId;
use sagaline_external_calls::{CallError, CallLimits, Caller};
use sagaline_runtime::{EffectRequest, Effects, HealthSink, Outage};
use sagaline_saga::EffectFailure;

use crate::carrier::{Booking, Carrier, Consignment, Voiding};
use crate::domain::{Shipments, ShippingEffect, ShippingOutcome};

/// Shipping's effects, on a carrier.
pub struct CarrierEffects {
    carrier: Arc<dyn Carrier>,
    caller: Caller,
}

impl CarrierEffects {
    /// Calls `carrier` within `limits`, and tells `health` when it is back after an outage.
    pub fn new(carrier: Arc<dyn Carrier>, limits: CallLimits, health: Arc<dyn HealthSink>) -> Self {
        let caller = Caller::new(carrier.name(), limits, health);
        Self { carrier, caller }
    }
}

#[async_trait]
impl Effects<Shipments> for CarrierEffects {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<ShippingEffect>],
    ) -> Result<Vec<Result<ShippingOutcome, EffectFailure>>, Outage> {
        let calls = requests.iter().map(|request| {
            let call = call(&*self.carrier, &request.order_id, &request.effect);
            (request.effect.key(), call)
        });
        self.caller.call_all(calls.collect()).await
    }
}

/// One call.
pub(crate) async fn call(
    carrier: &dyn Carrier,
    order_id: &OrderId,
    effect: &ShippingEffect,
) -> Result<ShippingOutcome, CallError> {
    Ok(match effect {
        ShippingEffect::Book { key } => match carrier.book(key, order_id).await? {
            Booking::Booked(consignment) => consignment.into(),
            Booking::Refused { reason } => ShippingOutcome::Refused { reason },
        },
        ShippingEffect::Void { key } => match carrier.void(key).await? {
            Voiding::Voided => ShippingOutcome::Voided,
            Voiding::TooLate(consignment) => consignment.into(),
        },
    })
}

impl From<Consignment> for ShippingOutcome {
    fn from(
        Consignment {
            carrier,
            tracking_id,
        }: Consignment,
    ) -> Self {
        Self::Booked {
            carrier,
            tracking_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use sagaline_contracts::EventId;
    use sagaline_external_calls::{Flaky, Rate, Rehearsal};
    use sagaline_runtime::SilentHealth;

    use super::*;
    use crate::carrier::{CARRIER_ERROR, Depot, SimulatedCarrier};

    type SharedDepot = Arc<Depot<SimulatedCarrier>>;

    fn on(failure_rate: Rate, rehearsal: Rehearsal) -> (SharedDepot, CarrierEffects) {
        let carrier = SimulatedCarrier::new(failure_rate, rehearsal);
        let depot = Arc::new(Depot::new(carrier, 1_000));
        let limits = CallLimits {
            concurrency: NonZeroUsize::new(4).unwrap(),
            time: Duration::from_secs(1),
            silence_max: NonZeroUsize::new(5).unwrap(),
        };
        let effects = CarrierEffects::new(depot.clone(), limits, Arc::new(SilentHealth));
        (depot, effects)
    }

    fn order(n: usize) -> OrderId {
        OrderId::new(format!("order-{n}")).unwrap()
    }

    fn request(n: usize, effect: ShippingEffect) -> EffectRequest<ShippingEffect> {
        let event_id = EventId::new(format!("e-{n}")).unwrap();
        EffectRequest {
            order_id: order(n),
            event_id,
            effect,
        }
    }

    fn bookings(orders: std::ops::Range<usize>) -> Vec<EffectRequest<ShippingEffect>> {
        orders
            .map(|n| {
                request(
                    n,
                    ShippingEffect::Book {
                        key: format!("order-{n}/1"),
                    },
                )
            })
            .collect()
    }

    #[tokio::test]
    async fn each_order_gets_its_own_answer_and_a_second_time_the_same_without_a_second_shipment() {
        let (depot, effects) = on("0.5".parse().unwrap(), Rehearsal::default());
        let first = effects.carry_out(&bookings(0..40)).await.unwrap();
        assert_eq!(effects.carry_out(&bookings(0..40)).await.unwrap(), first);
        let mut booked = 0;
        for (n, result) in first.iter().enumerate() {
            let shipped = depot.shipped(&order(n));
            match result.as_ref().unwrap() {
                ShippingOutcome::Booked { tracking_id, .. } => {
                    assert_eq!((shipped.len(), &shipped[0].tracking_id), (1, tracking_id));
                    booked += 1;
                }
                ShippingOutcome::Refused { reason } => {
                    assert_eq!((shipped.len(), &**reason), (0, CARRIER_ERROR));
                }
                ShippingOutcome::Voided => panic!("nobody asked for it"),
            }
        }
        assert!((5..35).contains(&booked), "{booked}");
    }

    #[tokio::test]
    async fn a_shipment_can_be_called_back() {
        let (depot, effects) = on(Rate::NEVER, Rehearsal::default());
        effects.carry_out(&bookings(1..2)).await.unwrap();
        let void = request(
            1,
            ShippingEffect::Void {
                key: "order-1/1".to_owned(),
            },
        );
        assert_eq!(
            effects.carry_out(&[void]).await.unwrap(),
            [Ok(ShippingOutcome::Voided)]
        );
        assert_eq!(depot.shipped(&order(1)), []);
    }

    #[tokio::test]
    async fn a_carrier_that_is_down_is_an_outage_and_fails_no_order() {
        let (depot, effects) = on(Rate::NEVER, Rehearsal::default());
        depot.carrier().rehearsal().set_down(true);
        let outage = effects.carry_out(&bookings(0..3)).await.unwrap_err();
        assert_eq!(outage.dependency, "simulated-carrier");

        depot.carrier().rehearsal().set_down(false);
        let results = effects.carry_out(&bookings(0..3)).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn an_order_that_the_carrier_stumbles_over_fails_alone_until_it_comes_through() {
        let flaky = Flaky {
            prefix: "order-1/".to_owned(),
            times: 2,
        };
        let (depot, effects) = on(Rate::NEVER, Rehearsal::default().with_flaky(Some(flaky)));
        for _ in 0..2 {
            let results = effects.carry_out(&bookings(0..3)).await.unwrap();
            assert!(matches!(results[1], Err(EffectFailure::Transient(_))));
            assert!(results[0].is_ok() && results[2].is_ok());
            assert_eq!(depot.shipped(&order(1)), []);
        }
        assert!(effects.carry_out(&bookings(1..2)).await.unwrap()[0].is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_carrier_slower_than_the_limit_fails_the_call_for_a_later_try() {
        let slow = Rehearsal::default().with_latency(Duration::from_secs(2));
        let (_, effects) = on(Rate::NEVER, slow);
        let results = effects.carry_out(&bookings(0..1)).await.unwrap();
        let Err(EffectFailure::Transient(why)) = &results[0] else {
            panic!("{results:?}")
        };
        assert!(why.contains("1000 ms"), "{why}");
    }
}
