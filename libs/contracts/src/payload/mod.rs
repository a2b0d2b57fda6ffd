//! What each event says.

mod inventory;
mod ops;
mod order;
mod payment;
mod shipping;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use inventory::{
    InventoryFailed, InventoryReleased, InventoryReserved, ReservedItem, Shortage,
};
pub use ops::{
    Action, Authority, CommandRejected, CompensationRequested, DeadLetter, RedriveAction,
    RedriveRequested, RetryRequested, Step,
};
pub use order::{OrderCancelled, OrderConfirmed, OrderCreated, OrderItem, OrderRetried};
pub use payment::{PaymentAuthorized, PaymentFailed, PaymentRefunded};
pub use shipping::{OrderShipped, ShippingFailed};

use crate::wire::ObjectOnly;
use crate::{EventType, OrderId};

/// The most lines an order may have.
pub const ITEMS_MAX: usize = 100;
/// The largest quantity of one line.
pub const QUANTITY_MAX: u32 = 1_000_000;

macro_rules! payloads {
    ($($name:ident,)*) => {
        /// The payload of an event, one variant per [`EventType`].
        #[derive(Debug, Clone, PartialEq)]
        pub enum Payload {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        impl Payload {
            /// The type of event that this is the payload of.
            pub const fn event_type(&self) -> EventType {
                match self { $(Self::$name(_) => EventType::$name,)* }
            }

            pub(crate) fn read<'de, D: Deserializer<'de>>(kind: EventType, deserializer: D) -> Result<Self, D::Error> {
                let object = ObjectOnly(deserializer);
                Ok(match kind { $(EventType::$name => Self::$name($name::deserialize(object)?),)* })
            }
        }

        impl Serialize for Payload {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$name(payload) => payload.serialize(serializer),)* }
            }
        }

        $(impl From<$name> for Payload {
            fn from(payload: $name) -> Self {
                Self::$name(payload)
            }
        })*

        /// The JSON Schema of a payload type.
        pub(crate) fn payload_schema(kind: EventType, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
            match kind { $(EventType::$name => generator.subschema_for::<$name>(),)* }
        }
    };
}

payloads! {
    OrderCreated, OrderRetried, OrderConfirmed, OrderCancelled,
    InventoryReserved, InventoryFailed, InventoryReleased,
    PaymentAuthorized, PaymentFailed, PaymentRefunded,
    OrderShipped, ShippingFailed,
    RetryRequested, CompensationRequested, CommandRejected, RedriveRequested, DeadLetter,
}

impl Payload {
    /// The order that the event is about; a dead letter may not know it.
    pub fn order_id(&self) -> Option<&OrderId> {
        Some(match self {
            Self::OrderCreated(p) => &p.order_id,
            Self::OrderRetried(p) => &p.order_id,
            Self::OrderConfirmed(p) => &p.order_id,
            Self::OrderCancelled(p) => &p.order_id,
            Self::InventoryReserved(p) => &p.order_id,
            Self::InventoryFailed(p) => &p.order_id,
            Self::InventoryReleased(p) => &p.order_id,
            Self::PaymentAuthorized(p) => &p.order_id,
            Self::PaymentFailed(p) => &p.order_id,
            Self::PaymentRefunded(p) => &p.order_id,
            Self::OrderShipped(p) => &p.order_id,
            Self::ShippingFailed(p) => &p.order_id,
            Self::RetryRequested(p) => &p.order_id,
            Self::CompensationRequested(p) => &p.order_id,
            Self::CommandRejected(p) => &p.order_id,
            Self::RedriveRequested(p) => &p.order_id,
            Self::DeadLetter(p) => return p.order_id.as_ref(),
        })
    }

    /// The attempt that the event belongs to, where it says so.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::OrderCreated(_) => Some(1),
            Self::OrderRetried(p) => Some(p.attempt),
            Self::OrderConfirmed(p) => p.attempt,
            Self::OrderCancelled(p) => p.attempt,
            Self::InventoryReserved(p) => p.attempt,
            Self::InventoryFailed(p) => p.attempt,
            Self::InventoryReleased(p) => p.attempt,
            Self::PaymentAuthorized(p) => p.attempt,
            Self::PaymentFailed(p) => p.attempt,
            Self::PaymentRefunded(p) => p.attempt,
            Self::OrderShipped(p) => p.attempt,
            Self::ShippingFailed(p) => p.attempt,
            Self::RetryRequested(p) => p.attempt,
            Self::CompensationRequested(p) => p.attempt,
            Self::CommandRejected(_) | Self::RedriveRequested(_) | Self::DeadLetter(_) => None,
        }
    }
}
