//! What is going to happen, as a list: made from a seed, and cut down step by step when it shows a bug.

mod make;

use serde::{Deserialize, Serialize};

use crate::weather::{Climate, Dependency};

pub use make::Scale;

/// A run before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How rough the world is until the last step's fault is over.
    pub climate: Climate,
    /// What clients, operators and faults do, in order of time.
    pub steps: Vec<Step>,
}

impl Plan {
    /// When the last fault is over.
    pub fn storm_end_ms(&self) -> u64 {
        let ends = self.steps.iter().map(|step| {
            step.at_ms
                + match &step.what {
                    What::Crash { down_ms, .. } => *down_ms,
                    What::Pause { ms, .. } | What::Second { ms, .. } | What::Outage { ms, .. } => {
                        *ms
                    }
                    _ => 0,
                }
        });
        ends.max().unwrap_or(0) + CALM_AFTER_MS
    }
}

/// For so long after the last step it stays rough.
const CALM_AFTER_MS: u64 = 500;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum What {
    /// Somebody orders something.
    Order(Placing),
    /// An operator asks for something.
    Command(Asking),
    /// A message that is none gets onto a topic.
    Poison(Poison),
    /// An operator decides about the dead letters that wait.
    Decide {
        /// Drops them; otherwise they are handled again.
        discard: bool,
        /// How often the operator clicks.
        clicks: u32,
    },
    /// An operator adds units.
    Restock {
        /// Of what.
        sku: String,
        /// How many.
        qty: u32,
        /// How often the operator clicks.
        clicks: u32,
    },
    /// Somebody reads an order's live stream, and comes back after each break.
    #[serde(rename_all = "camelCase")]
    Watch {
        /// The order's number.
        order: u32,
        /// How many messages are read before the connection breaks, each time.
        break_after: u32,
    },
    /// A process dies at a later call of one of its ports.
    #[serde(rename_all = "camelCase")]
    Crash {
        /// Which service.
        service: Service,
        /// After so many calls.
        calls: u32,
        /// The last call has its effect; only its answer is lost.
        after: bool,
        /// How long it stays away.
        down_ms: u64,
    },
    /// A process stands still.
    Pause {
        /// Which service.
        service: Service,
        /// How long.
        ms: u64,
    },
    /// A second instance runs for a while.
    Second {
        /// Which service.
        service: Service,
        /// How long.
        ms: u64,
    },
    /// A consumer group rebalances.
    Rebalance {
        /// Which service's.
        service: Service,
    },
    /// Something is down.
    Outage {
        /// What.
        what: Dependency,
        /// How long.
        ms: u64,
    },
    /// A clock jumps.
    #[serde(rename_all = "camelCase")]
    Clock {
        /// Which service's.
        service: Service,
        /// How wrong it is from now on.
        skew_ms: i64,
    },
    /// The read model is made anew from the topics.
    Rebuild,
}

/// The five services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Service {
    /// Takes orders.
    Order,
    /// Sets stock aside.
    Inventory,
    /// Charges.
    Payment,
    /// Ships.
    Shipping,
    /// Shows.
    ReadModel,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Order,
        Self::Inventory,
        Self::Payment,
        Self::Shipping,
        Self::ReadModel,
    ];

    /// Its name, and its consumer group's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order-service",
            Self::Inventory => "inventory-service",
            Self::Payment => "payment-service",
            Self::Shipping => "shipping-service",
            Self::ReadModel => "read-model-service",
        }
    }
}

/// An order that somebody places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placing {
    /// Its number in this run.
    pub number: u32,
    /// What and how many.
    pub lines: Vec<(String, u32)>,
    /// What the request is known by.
    pub identity: Identity,
    /// How many make the same request, side by side.
    pub clicks: u32,
    /// How long each waits after the one before.
    pub gap_ms: u64,
}

/// What a request is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Identity {
    /// The caller's id for the order.
    OrderId,
    /// The header `Idempotency-Key`.
    Key,
    /// The caller's id of the request.
    Request,
    /// Header and id of the request.
    KeyAndRequest,
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asking {
    /// The order's number.
    pub order: u32,
    /// Retry, or compensate.
    pub command: Command,
    /// On the read model; otherwise on the order service.
    pub at_read_model: bool,
    /// How often the operator clicks.
    pub clicks: u32,
}

/// What an operator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// The next attempt.
    Retry,
    /// Give the goods back.
    Release,
    /// Pay back.
    Refund,
}

/// A message that is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Poison {
    /// Where.
    pub topic: String,
    /// The order's number whose key it has; nobody's without one.
    pub order: Option<u32>,
    /// What it says instead of an event.
    pub nonsense: Nonsense,
}

/// What a message can say instead of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Nonsense {
    /// No JSON.
    Garbage,
    /// JSON that is no event.
    NoEvent,
    /// Nothing at all.
    Empty,
    /// The latest message of the topic once more: this is no poison.
    Double,
}
