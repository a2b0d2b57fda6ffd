//! Where an order stands.

use sagaline_commands::Outcome;
use sagaline_contracts::EventType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An order's status, `currentStatus` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Placed, or placed again.
    Created,
    /// All items are reserved.
    InventoryReserved,
    /// Not all items could be reserved.
    InventoryFailed,
    /// The amount is charged.
    PaymentAuthorized,
    /// Nothing was charged.
    PaymentFailed,
    /// The goods are on their way.
    Shipped,
    /// The goods will not be sent.
    ShippingFailed,
    /// What was charged is paid back.
    Refunded,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::InventoryReserved,
        Self::InventoryFailed,
        Self::PaymentAuthorized,
        Self::PaymentFailed,
        Self::Shipped,
        Self::ShippingFailed,
        Self::Refunded,
    ];

    /// The status as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::InventoryReserved => "INVENTORY_RESERVED",
            Self::InventoryFailed => "INVENTORY_FAILED",
            Self::PaymentAuthorized => "PAYMENT_AUTHORIZED",
            Self::PaymentFailed => "PAYMENT_FAILED",
            Self::Shipped => "SHIPPED",
            Self::ShippingFailed => "SHIPPING_FAILED",
            Self::Refunded => "REFUNDED",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// The status that an event of this type leads to.
    const fn after(kind: EventType) -> Option<Self> {
        match kind {
            EventType::OrderCreated | EventType::OrderRetried => Some(Self::Created),
            EventType::InventoryReserved => Some(Self::InventoryReserved),
            EventType::InventoryFailed => Some(Self::InventoryFailed),
            EventType::PaymentAuthorized => Some(Self::PaymentAuthorized),
            EventType::PaymentFailed => Some(Self::PaymentFailed),
            EventType::OrderShipped => Some(Self::Shipped),
            EventType::ShippingFailed => Some(Self::ShippingFailed),
            EventType::PaymentRefunded => Some(Self::Refunded),
            _ => None,
        }
    }
}

/// Whether an event of this type tells how an order stands: the others are commands about it and their answers.
pub(super) const fn is_lifecycle(kind: EventType) -> bool {
    Status::after(kind).is_some()
        || matches!(
            kind,
            EventType::OrderConfirmed | EventType::OrderCancelled | EventType::InventoryReleased
        )
}

/// Where an order stands after some of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// Absent while nothing but commands is known.
    pub status: Option<Status>,
    /// How the current attempt ended.
    pub outcome: Outcome,
    /// The current attempt; 0 while none is known.
    pub attempt: u32,
}

impl Lifecycle {
    /// Takes the next event of the timeline, and says to which attempt it belongs.
    ///
    /// The highest attempt decides: what an older attempt still has to tell does not change where the order stands,
    /// however the clocks of the services differ.
    pub fn apply(&mut self, kind: EventType, attempt: Option<u32>) -> u32 {
        let attempt = attempt.unwrap_or_else(|| self.attempt.max(1));
        if !is_lifecycle(kind) || attempt < self.attempt {
            return attempt;
        }
        let is_new = attempt > self.attempt;
        if is_new {
            self.attempt = attempt;
            self.outcome = Outcome::Pending;
        }
        match kind {
            EventType::OrderConfirmed => self.outcome = Outcome::Confirmed,
            EventType::OrderCancelled => self.outcome = Outcome::Cancelled,
            // An attempt begins once: what it has reached already stays.
            EventType::OrderCreated | EventType::OrderRetried if !is_new => {}
            _ => self.status = Status::after(kind).or(self.status),
        }
        if self.status.is_none() {
            self.status = Some(Status::Created);
        }
        attempt
    }
}
