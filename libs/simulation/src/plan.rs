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
                    What::Pause { ms, .. }
                    | What::Second { ms, .. }
                    | What::Outage { ms, .. }
                    | What::Withhold { ms, .. }
                    | What::Insist { ms, .. } => *ms,
                    What::Upgrade { overlap_ms, .. } => *overlap_ms,
                    What::Grow { known_ms, .. } => *known_ms,
                    _ => 0,
                }
        });
        ends.max().unwrap_or(0) + CALM_AFTER_MS
    }

    /// How many partitions each topic has in the end.
    pub(crate) fn partitions_max(&self) -> usize {
        let grown = self.steps.iter().filter_map(|step| match &step.what {
            What::Grow { partitions, .. } => Some(*partitions),
            _ => None,
        });
        grown.max().unwrap_or(0).max(self.climate.partitions)
    }

    /// Whether there are several instances of the read model at a time: then each follows the others.
    pub(crate) fn has_several_read_models(&self) -> bool {
        self.steps.iter().any(|step| {
            matches!(
                step.what,
                What::Second {
                    service: Service::ReadModel,
                    ..
                } | What::Upgrade {
                    service: Service::ReadModel,
                    ..
                }
            )
        })
    }

    /// Whether the read model is rebuilt while there are several instances of it.
    pub(crate) fn rebuilds_elsewhere(&self) -> bool {
        self.has_several_read_models() && self.steps.iter().any(|step| step.what == What::Rebuild)
    }

    /// Whether it is seen at the end that a rebuilt read model is the same, byte by byte: where something was rebuilt, or is shown by a
    /// rebuild alone, and now and then. What was dropped cannot be read again.
    pub(crate) fn compares_a_rebuild(&self) -> bool {
        let has = |what: &dyn Fn(&What) -> bool| self.steps.iter().any(|step| what(&step.what));
        let is_telling = has(&|what| {
            matches!(
                what,
                What::Rebuild
                    | What::Poison(Poison {
                        order: None,
                        nonsense: Nonsense::Garbage | Nonsense::NoEvent | Nonsense::Empty,
                        ..
                    })
            )
        });
        !has(&|what| *what == What::Trim) && (is_telling || self.seed.is_multiple_of(8))
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
        /// Sends a corrected message in the place of one that was to be a command.
        #[serde(default)]
        edit: bool,
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
        /// It strikes a second instance, if there is one.
        #[serde(default)]
        second: bool,
    },
    /// A process stands still.
    Pause {
        /// Which service.
        service: Service,
        /// How long.
        ms: u64,
        /// It strikes a second instance, if there is one.
        #[serde(default)]
        second: bool,
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
    /// One consumer group does not get the messages of one topic for a while; all else flows.
    Withhold {
        /// Which topic's.
        topic: String,
        /// Which service's group.
        service: Service,
        /// How long.
        ms: u64,
    },
    /// An operator who does not let go of an order: it is retried as soon as it is cancelled, and undone as soon as it is retried.
    #[serde(rename_all = "camelCase")]
    Insist {
        /// The order's number.
        order: u32,
        /// How long.
        ms: u64,
        /// Whether attempts are undone, too.
        undo: bool,
    },
    /// Another version of a service takes its place: both run for a while, in one group.
    #[serde(rename_all = "camelCase")]
    Upgrade {
        /// Which service.
        service: Service,
        /// How long both run.
        overlap_ms: u64,
        /// What it is afterwards.
        to: Version,
    },
    /// All topics get more partitions.
    #[serde(rename_all = "camelCase")]
    Grow {
        /// How many each has from now on.
        partitions: usize,
        /// How long it takes at most until consumers have heard of it.
        known_ms: u64,
    },
    /// Messages that every service has committed are dropped.
    Trim,
}

/// A version of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Version {
    /// What is in this repository.
    #[default]
    Today,
    /// The one after it: it writes optional fields into events and documents that nobody knows today.
    Next,
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
    /// What a unit costs.
    #[serde(default = "ten")]
    pub price: u32,
    /// It is a checkout, which waits for the outcome.
    #[serde(default)]
    pub checkout: bool,
    /// Once it is answered, something else is ordered under the same identity.
    #[serde(default)]
    pub contradicts: bool,
}

const fn ten() -> u32 {
    10
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
    /// Any message of the topic once more, however old: this is no poison either.
    Old,
}
