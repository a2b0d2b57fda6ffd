//! A carrier that carries nothing.

use async_trait::async_trait;
use sagaline_contracts::OrderId;
use sagaline_external_calls::{CallError, Draw, Rate, Rehearsal};

use super::{Booking, Carrier, Consignment, Voiding};

/// The reason of a simulated refusal.
pub const CARRIER_ERROR: &str = "carrier_error";

/// The simulated fleets, each with how its tracking ids begin.
const FLEETS: [(&str, &str); 3] = [
    ("Meridian", "MER"),
    ("Northline", "NOR"),
    ("Swiftway", "SWI"),
];

/// A simulated carrier: no goods move.
///
/// Its answers follow from the idempotency key alone, a hash of it: the same key gives the same answer without any
/// memory, on every instance and in every run. The key is `orderId/attempt`, so the same order ids are refused in each run,
/// and yet an order that was refused may come through when it is tried again. It can call any shipment back.
#[derive(Debug)]
pub struct SimulatedCarrier {
    failure_rate: Rate,
    rehearsal: Rehearsal,
}

impl SimulatedCarrier {
    /// A carrier that refuses this share of all shipments.
    pub fn new(failure_rate: Rate, rehearsal: Rehearsal) -> Self {
        Self {
            failure_rate,
            rehearsal,
        }
    }

    /// The faults that can be switched on.
    pub fn rehearsal(&self) -> &Rehearsal {
        &self.rehearsal
    }
}

#[async_trait]
impl Carrier for SimulatedCarrier {
    fn name(&self) -> &'static str {
        "simulated-carrier"
    }

    async fn book(&self, key: &str, _: &OrderId) -> Result<Booking, CallError> {
        self.rehearsal.before_answer(key).await?;
        let draw = Draw::new("carrier", key);
        let fleet = draw
            .choose(&FLEETS)
            .filter(|_| !draw.hits(self.failure_rate));
        Ok(match fleet {
            Some((carrier, prefix)) => Booking::Booked(Consignment {
                carrier: (*carrier).to_owned(),
                tracking_id: format!("{prefix}-{}", draw.hex().to_uppercase()),
            }),
            None => Booking::Refused {
                reason: CARRIER_ERROR.to_owned(),
            },
        })
    }

    async fn void(&self, key: &str) -> Result<Voiding, CallError> {
        self.rehearsal.before_answer(key).await?;
        Ok(Voiding::Voided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn book(carrier: &SimulatedCarrier, order: &str, attempt: u32) -> Booking {
        let order_id = OrderId::new(order).unwrap();
        carrier
            .book(&format!("{order}/{attempt}"), &order_id)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_same_key_gets_the_same_answer_from_every_instance_and_in_every_run() {
        let [a, b] =
            [0, 1].map(|_| SimulatedCarrier::new("0.5".parse().unwrap(), Rehearsal::default()));
        for n in 0..100 {
            let order = format!("order-{n}");
            assert_eq!(book(&a, &order, 1).await, book(&b, &order, 1).await);
        }
        assert_eq!(a.void("order-1/1").await.unwrap(), Voiding::Voided);
    }

    #[tokio::test]
    async fn another_attempt_is_another_shipment_and_a_refused_order_may_come_through() {
        let carrier = SimulatedCarrier::new("0.5".parse().unwrap(), Rehearsal::default());
        let mut recovered = 0;
        for n in 0..100 {
            let order = format!("order-{n}");
            match (
                book(&carrier, &order, 1).await,
                book(&carrier, &order, 2).await,
            ) {
                (Booking::Refused { reason }, Booking::Booked(_)) => {
                    assert_eq!(reason, CARRIER_ERROR);
                    recovered += 1;
                }
                (Booking::Booked(first), Booking::Booked(second)) => {
                    assert_ne!(first.tracking_id, second.tracking_id);
                }
                _ => {}
            }
        }
        assert!((10..40).contains(&recovered), "{recovered}");
    }

    #[tokio::test]
    async fn the_demo_s_rate_refuses_one_in_fifty_and_every_fleet_has_its_share() {
        let carrier = SimulatedCarrier::new("0.02".parse().unwrap(), Rehearsal::default());
        let mut refused = 0;
        let mut fleets = std::collections::HashMap::<String, usize>::new();
        for n in 0..3_000 {
            match book(&carrier, &format!("order-{n}"), 1).await {
                Booking::Booked(consignment) => {
                    *fleets.entry(consignment.carrier).or_default() += 1;
                }
                Booking::Refused { .. } => refused += 1,
            }
        }
        assert!((35..85).contains(&refused), "{refused} of 3000");
        assert!(
            fleets.len() == 3 && fleets.values().all(|goods| (850..1_100).contains(goods)),
            "{fleets:?}"
        );
    }

    #[tokio::test]
    async fn every_call_of_a_carrier_that_is_down_is_an_outage() {
        let carrier = SimulatedCarrier::new(Rate::NEVER, Rehearsal::default());
        carrier.rehearsal().set_down(true);
        let order_id = OrderId::new("order-1").unwrap();
        let outages = [
            carrier.book("order-1/1", &order_id).await.err(),
            carrier.void("order-1/1").await.err(),
        ];
        assert!(
            outages
                .iter()
                .all(|error| matches!(error, Some(CallError::Outage(_)))),
            "{outages:?}"
        );
    }
}
