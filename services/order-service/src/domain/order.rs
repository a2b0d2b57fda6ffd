//! What the order service remembers of an order.

use std::time::Duration;

use sagaline_commands::{OrderView, Outcome};
use sagaline_contracts::payload::{OrderCreated, OrderItem};
use sagaline_contracts::{Money, OrderId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::{Fingerprint, NewOrder};

/// Where an order stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Nobody has placed it: a document may be there for the sake of a refused command, or as an alias of an order.
    #[default]
    Unknown,
    /// The current attempt is in flight.
    Pending,
    /// Shipped.
    Confirmed,
    /// Undone: nothing is reserved, nothing is charged.
    Cancelled,
}

impl Phase {
    /// The outcome that readers are told, for an order that exists.
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Unknown => None,
            Self::Pending => Some(Outcome::Pending),
            Self::Confirmed => Some(Outcome::Confirmed),
            Self::Cancelled => Some(Outcome::Cancelled),
        }
    }
}

/// What inventory said last about the current attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InventoryFact {
    /// Nothing was ever reserved, for this reason.
    Failed(String),
    /// What was reserved is available again, for this reason.
    Released(String),
}

/// What payment said last about the current attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaymentFact {
    /// Nothing was charged, for this reason.
    Failed(String),
    /// What was charged is paid back.
    Refunded,
}

/// What is known of the current attempt while it has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Inventory is settled: it holds nothing for this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryFact>,
    /// Payment is settled: it holds no money for this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentFact>,
    /// Why shipping will not send the goods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_failure: Option<String>,
}

/// The reason that says no more than that an attempt was undone.
const CANCELLED: &str = "cancelled";

impl Facts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why the attempt failed, once nothing is held for it any more. The facts come in any order, so the answer must
    /// not depend on it: it rests on what inventory and payment said, who both have to be heard, and a compensation
    /// carries its cause's reason along.
    pub(super) fn settled_because(&self) -> Option<String> {
        let inventory = self.inventory.as_ref()?;
        let (payment, released) = match (inventory, &self.payment) {
            // payment acts only on a reservation: there is nothing to wait for
            (InventoryFact::Failed(reason), _) => return Some(reason.clone()),
            (InventoryFact::Released(_), None) => return None,
            (InventoryFact::Released(released), Some(PaymentFact::Refunded)) => (None, released),
            (InventoryFact::Released(released), Some(PaymentFact::Failed(reason))) => {
                (Some(reason), released)
            }
        };
        let first_cause = [payment, self.shipping_failure.as_ref(), Some(released)]
            .into_iter()
            .flatten()
            .find(|reason| *reason != CANCELLED);
        Some(first_cause.map_or_else(|| CANCELLED.to_owned(), Clone::clone))
    }
}

/// What the order service remembers of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Where it stands.
    pub phase: Phase,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The current attempt, 1 for the first.
    #[serde(default)]
    pub attempt: u32,
    /// What is known of the current attempt; empty once it has an outcome.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// The money went back although the goods are out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refunded: bool,
    /// When the current attempt has taken too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How often the current attempt's deadline has passed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeouts: u32,
    /// When the current attempt began, when it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Timestamp>,
    /// What is ordered; empty when another program placed the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<OrderItem>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// The currency of all amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Who ordered: an opaque id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The caller's own id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// What the request said, in short: the same again is the same order, another one is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// This is no order but an alias: a further identity of the request that placed this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<OrderId>,
    /// When it was placed.
    #[serde(default)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: Timestamp,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Order {
    /// A new order in its first attempt.
    pub fn placed(
        request: NewOrder,
        fingerprint: Fingerprint,
        now: Timestamp,
        timeout: Duration,
    ) -> Self {
        Self {
            phase: Phase::Pending,
            attempt: 1,
            deadline: Some(now + timeout),
            items: request.items,
            total: Some(request.total),
            currency: request.currency,
            customer_id: request.customer_id,
            client_request_id: request.client_request_id,
            fingerprint: Some(fingerprint),
            created_at: now,
            updated_at: now,
            ..Self::default()
        }
    }

    /// An alias of an order.
    pub fn alias(target: OrderId, fingerprint: Fingerprint, now: Timestamp) -> Self {
        Self {
            redirect: Some(target),
            fingerprint: Some(fingerprint),
            created_at: now,
            updated_at: now,
            ..Self::default()
        }
    }

    /// The event that tells the others about a new order.
    pub fn created(&self, order_id: &OrderId) -> OrderCreated {
        OrderCreated {
            order_id: order_id.clone(),
            items: self.items.clone(),
            total: self.total.unwrap_or_default(),
            currency: self.currency.clone(),
            customer_id: self.customer_id.clone(),
        }
    }

    /// The current attempt has taken too long, and has no outcome yet.
    pub fn is_stalled(&self) -> bool {
        self.phase == Phase::Pending && self.timeouts > 0
    }

    /// When the current attempt began.
    pub fn attempt_started_at(&self) -> Timestamp {
        self.retried_at.unwrap_or(self.created_at)
    }

    /// What operators' commands have to know of it, when it exists.
    pub fn view(&self, order_id: &OrderId) -> Option<OrderView> {
        Some(OrderView {
            order_id: order_id.clone(),
            attempt: self.attempt,
            outcome: self.phase.outcome()?,
            shipped: self.phase == Phase::Confirmed,
            refunded: self.refunded,
            updated_at: self.updated_at,
        })
    }
}
