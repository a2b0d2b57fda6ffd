//! The carrier: which parcels really went out, and what can go wrong in telling so.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use sagaline_external_calls::{CallError, Draw};
use shipping_service::carrier::{Booking, CARRIER_ERROR, Carrier, Consignment, Voiding};

use crate::bank::{Bank, call, hits};
use crate::env::Env;
use crate::life::Life;
use crate::weather::Dependency;

/// What stands under one idempotency key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parcel {
    pub(crate) order: String,
    pub(crate) booked: bool,
    /// It was called back before it went out.
    pub(crate) voided: bool,
    /// What the order had paid, in hundredths, when it was booked.
    pub(crate) paid: i64,
}

impl Parcel {
    /// Whether goods are on their way.
    pub(crate) fn stands(&self) -> bool {
        self.booked && !self.voided
    }
}

/// The carrier's books.
#[derive(Debug, Default)]
pub(crate) struct Depot {
    parcels: Mutex<BTreeMap<String, Parcel>>,
}

fn consignment(key: &str) -> Consignment {
    Consignment {
        carrier: "sim".to_owned(),
        tracking_id: format!("track-{key}"),
    }
}

impl Depot {
    /// Every parcel by its key.
    pub(crate) fn parcels(&self) -> Vec<(String, Parcel)> {
        let parcels = self.parcels.lock();
        parcels
            .iter()
            .map(|(key, parcel)| (key.clone(), parcel.clone()))
            .collect()
    }

    fn book(&self, env: &Env, bank: &Bank, key: &str, order: &OrderId) -> Booking {
        let mut parcels = self.parcels.lock();
        let parcel = parcels.entry(key.to_owned()).or_default();
        order.as_str().clone_into(&mut parcel.order);
        let refused = env.weather.read(|now| now.refused);
        if parcel.voided || (!parcel.booked && hits(&Draw::new("depot", key), refused)) {
            return Booking::Refused {
                reason: CARRIER_ERROR.to_owned(),
            };
        }
        if !parcel.booked {
            parcel.booked = true;
            parcel.paid = bank.kept(order.as_str());
            env.trace
                .note((10_u8, key), || format!("depot: {key} is on its way"));
        }
        Booking::Booked(consignment(key))
    }

    fn void(&self, env: &Env, key: &str) -> Voiding {
        let mut parcels = self.parcels.lock();
        let parcel = parcels.entry(key.to_owned()).or_default();
        if parcel.order.is_empty() {
            key.rsplit_once('/')
                .map_or(key, |(order, _)| order)
                .clone_into(&mut parcel.order);
        }
        let picked_up = env.weather.read(|now| now.picked_up);
        if parcel.stands() && hits(&Draw::new("pick-up", key), picked_up) {
            return Voiding::TooLate(consignment(key));
        }
        parcel.voided = true;
        env.trace
            .note((11_u8, key), || format!("depot: {key} is called back"));
        Voiding::Voided
    }
}

/// What one process sees of the carrier.
pub(crate) struct SimCarrier {
    pub(crate) depot: Arc<Depot>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) env: Arc<Env>,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Carrier for SimCarrier {
    fn name(&self) -> &'static str {
        "carrier"
    }

    async fn book(&self, key: &str, order_id: &OrderId) -> Result<Booking, CallError> {
        let effect = || Ok(self.depot.book(&self.env, &self.bank, key, order_id));
        call(&self.env, &self.life, Dependency::Carrier, effect).await
    }

    async fn void(&self, key: &str) -> Result<Voiding, CallError> {
        let effect = || Ok(self.depot.void(&self.env, key));
        call(&self.env, &self.life, Dependency::Carrier, effect).await
    }
}
