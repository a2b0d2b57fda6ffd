//! Topics and the event types that they carry.

use std::fmt;

/// What is added to a topic's name for its dead letters.
pub const DEAD_LETTER_SUFFIX: &str = ".dlq";

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $topic:literal,)*) => {
        /// The type of an event, which is also the name of its topic.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType {
            $($(#[$doc])* $name,)*
        }

        impl EventType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire, `<context>.<Name>.v<major>`. It is the topic's name, except for
            /// [`EventType::DeadLetter`], which stands in the `<topic>.dlq` of the event that it is about.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $topic,)* }
            }

            /// The topic for this type's dead letters.
            pub const fn dead_letter_topic(self) -> &'static str {
                match self { $(Self::$name => concat!($topic, ".dlq"),)* }
            }

            /// The type of this name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($topic => Some(Self::$name),)* _ => None }
            }
        }
    };
}

event_types! {
    /// An order was placed: the first attempt begins.
    OrderCreated = "order.OrderCreated.v1",
    /// An order's next attempt begins.
    OrderRetried = "order.OrderRetried.v1",
    /// The order is done: paid and on its way.
    OrderConfirmed = "order.OrderConfirmed.v1",
    /// The order is over: nothing is reserved, nothing is charged.
    OrderCancelled = "order.OrderCancelled.v1",
    /// All items are reserved.
    InventoryReserved = "inventory.InventoryReserved.v1",
    /// Not all items could be reserved, so none is.
    InventoryFailed = "inventory.InventoryFailed.v1",
    /// What was reserved is available again.
    InventoryReleased = "inventory.InventoryReleased.v1",
    /// The amount is charged.
    PaymentAuthorized = "payment.PaymentAuthorized.v1",
    /// Nothing was charged.
    PaymentFailed = "payment.PaymentFailed.v1",
    /// What was charged is paid back.
    PaymentRefunded = "payment.PaymentRefunded.v1",
    /// The goods are on their way: the pivot, from here an order can only be refunded.
    OrderShipped = "shipping.OrderShipped.v1",
    /// The goods will not be sent in this attempt.
    ShippingFailed = "shipping.ShippingFailed.v1",
    /// An operator asks for the order's next attempt.
    RetryRequested = "ops.RetryRequested.v1",
    /// Something that was done is to be undone.
    CompensationRequested = "ops.CompensationRequested.v1",
    /// A command was refused.
    CommandRejected = "ops.CommandRejected.v1",
    /// An operator wants a dead letter handled again, or dropped.
    RedriveRequested = "ops.RedriveRequested.v1",
    /// A message could not be handled.
    DeadLetter = "ops.DeadLetter.v1",
}

impl EventType {
    /// Every topic of the pipeline: one per type, and one for each type's dead letters.
    pub fn topics() -> impl Iterator<Item = &'static str> {
        Self::ALL
            .iter()
            .filter(|kind| **kind != Self::DeadLetter)
            .flat_map(|kind| [kind.as_str(), kind.dead_letter_topic()])
    }

    /// The name without context and version, for instance `OrderCreated`.
    pub fn short_name(self) -> &'static str {
        self.as_str().split('.').nth(1).unwrap_or_default()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
