//! A carrier's depot: what really went out.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use sagaline_external_calls::CallError;

use super::{Booking, Carrier, Consignment, Voiding};

/// The reason of a shipment under a key that was voided before.
const VOIDED: &str = "voided";

/// Stands in front of another carrier and remembers, as a real one would: each key is one shipment, a voided one none.
/// Rehearsals look into it to see that the service's view of the goods is the carrier's.
#[derive(Debug)]
pub struct Depot<C> {
    carrier: C,
    /// Whether goods leave the depot as soon as they are booked, so that they cannot be called back.
    leaves_at_once: bool,
    shipments: Mutex<Shipments>,
    shipments_max: usize,
}

#[derive(Debug, Default)]
struct Shipments {
    by_key: HashMap<String, Shipment>,
    /// The keys, oldest first, to forget them in that order.
    order: VecDeque<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shipment {
    Booked(Consignment),
    Voided,
}

impl Shipments {
    fn put(&mut self, key: &str, shipment: Shipment, max: usize) {
        if self.by_key.insert(key.to_owned(), shipment).is_none() {
            self.order.push_back(key.to_owned());
        }
        if self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

impl<C> Depot<C> {
    /// A depot of `carrier` that remembers the latest `shipments_max` keys, and calls back what it is asked to.
    pub fn new(carrier: C, shipments_max: usize) -> Self {
        let shipments_max = shipments_max.max(1);
        Self {
            carrier,
            leaves_at_once: false,
            shipments: Mutex::default(),
            shipments_max,
        }
    }

    /// Goods leave as soon as they are booked: it is too late to call them back.
    #[must_use]
    pub fn leaving_at_once(mut self) -> Self {
        self.leaves_at_once = true;
        self
    }

    /// The carrier behind the depot.
    pub fn carrier(&self) -> &C {
        &self.carrier
    }

    /// What went out for an order.
    pub fn shipped(&self, order_id: &OrderId) -> Vec<Consignment> {
        let shipments = self.shipments.lock();
        let of_order = |key: &str| {
            key.strip_prefix(order_id.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let booked = shipments.by_key.iter().filter(|(key, _)| of_order(key));
        booked
            .filter_map(|(_, shipment)| match shipment {
                Shipment::Booked(consignment) => Some(consignment.clone()),
                Shipment::Voided => None,
            })
            .collect()
    }
}

#[async_trait]
impl<C: Carrier> Carrier for Depot<C> {
    fn name(&self) -> &'static str {
        self.carrier.name()
    }

    async fn book(&self, key: &str, order_id: &OrderId) -> Result<Booking, CallError> {
        let booking = self.carrier.book(key, order_id).await?;
        let mut shipments = self.shipments.lock();
        if shipments.by_key.get(key) == Some(&Shipment::Voided) {
            return Ok(Booking::Refused {
                reason: VOIDED.to_owned(),
            });
        }
        if let Booking::Booked(consignment) = &booking {
            shipments.put(
                key,
                Shipment::Booked(consignment.clone()),
                self.shipments_max,
            );
        }
        Ok(booking)
    }

    async fn void(&self, key: &str) -> Result<Voiding, CallError> {
        let voiding = self.carrier.void(key).await?;
        let mut shipments = self.shipments.lock();
        match shipments.by_key.get(key) {
            Some(Shipment::Booked(consignment)) if self.leaves_at_once => {
                return Ok(Voiding::TooLate(consignment.clone()));
            }
            _ => shipments.put(key, Shipment::Voided, self.shipments_max),
        }
        Ok(voiding)
    }
}

#[cfg(test)]
mod tests {
    use sagaline_external_calls::{Rate, Rehearsal};

    use super::super::SimulatedCarrier;
    use super::*;

    fn order() -> OrderId {
        OrderId::new("order-1").unwrap()
    }

    fn depot(shipments_max: usize) -> Depot<SimulatedCarrier> {
        Depot::new(
            SimulatedCarrier::new(Rate::NEVER, Rehearsal::default()),
            shipments_max,
        )
    }

    async fn booked(depot: &Depot<SimulatedCarrier>, key: &str) -> Consignment {
        match depot.book(key, &order()).await.unwrap() {
            Booking::Booked(consignment) => consignment,
            Booking::Refused { reason } => panic!("refused: {reason}"),
        }
    }

    #[tokio::test]
    async fn a_repeated_booking_is_one_shipment() {
        let depot = depot(10);
        let consignment = booked(&depot, "order-1/1").await;
        assert_eq!(booked(&depot, "order-1/1").await, consignment);
        assert_eq!(depot.shipped(&order()), [consignment]);
        assert_eq!(depot.shipped(&OrderId::new("order").unwrap()), []);
    }

    #[tokio::test]
    async fn a_void_calls_the_goods_back_and_bars_a_later_booking() {
        let depot = depot(10);
        booked(&depot, "order-1/1").await;
        for key in ["order-1/1", "order-1/2"] {
            assert_eq!(depot.void(key).await.unwrap(), Voiding::Voided);
            let late = depot.book(key, &order()).await.unwrap();
            assert_eq!(
                late,
                Booking::Refused {
                    reason: VOIDED.to_owned()
                }
            );
        }
        assert_eq!(depot.shipped(&order()), []);
    }

    #[tokio::test]
    async fn goods_that_left_at_once_cannot_be_called_back() {
        let depot = depot(10).leaving_at_once();
        let consignment = booked(&depot, "order-1/1").await;
        assert_eq!(
            depot.void("order-1/1").await.unwrap(),
            Voiding::TooLate(consignment.clone())
        );
        assert_eq!(depot.void("order-1/2").await.unwrap(), Voiding::Voided);
        assert_eq!(depot.shipped(&order()), [consignment]);
    }

    #[tokio::test]
    async fn the_depot_is_bounded_and_forgets_the_oldest() {
        let depot = depot(2);
        for key in ["order-1/1", "order-1/2", "order-1/3"] {
            booked(&depot, key).await;
        }
        assert_eq!(depot.shipped(&order()).len(), 2);
    }
}
