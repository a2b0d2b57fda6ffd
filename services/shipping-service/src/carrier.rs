//! The carrier, as this service sees it.

mod depot;
mod simulated;

use async_trait::async_trait;
use sagaline_contracts::OrderId;
use sagaline_external_calls::CallError;

pub use depot::Depot;
pub use simulated::{CARRIER_ERROR, SimulatedCarrier};

/// Who brings the goods to the customer.
///
/// Every call carries an idempotency key: the same key is the same shipment, however often it is asked for and by
/// whomever, and gets the same answer. A call that was given up for taking too long may have had its effect; it is repeated.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// The dependency's name, as `/healthz` shows it.
    fn name(&self) -> &'static str;

    /// Books a shipment of the order.
    async fn book(&self, key: &str, order_id: &OrderId) -> Result<Booking, CallError>;

    /// Sees to it that nothing is shipped under the key of a [`book`](Self::book): a shipment that was booked is called
    /// back, one that is booked later is refused. A key that was never seen is voided just the same.
    async fn void(&self, key: &str) -> Result<Voiding, CallError>;
}

/// What comes of asking for a shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booking {
    /// It is on its way.
    Booked(Consignment),
    /// The carrier does not take it.
    Refused {
        /// Why, as `ShippingFailed` tells it: `carrier_error`, …
        reason: String,
    },
}

/// What comes of calling a shipment back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voiding {
    /// Nothing is shipped under the key, and nothing will be.
    Voided,
    /// The goods are gone already.
    TooLate(Consignment),
}

/// Goods on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consignment {
    /// Who carries them.
    pub carrier: String,
    /// The carrier's name for the shipment.
    pub tracking_id: String,
}
