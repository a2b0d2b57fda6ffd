//! The order's life as a pure function: see `docs/saga.md`, "order-service".
//!
//! The happy path costs this service one event, `OrderShipped`. Everything else here is about attempts that fail, and
//! about operators' commands.

mod commands;
mod identity;
mod order;
mod request;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::time::Duration;

use sagaline_contracts::payload::{Action, CompensationRequested, OrderCancelled, OrderConfirmed};
use sagaline_contracts::{Event, EventType, OrderId, Payload, Timestamp};
use sagaline_saga::{Participant, Standing, Transition};

pub use identity::{Identities, Identity, IdentityKind};
pub use order::{Facts, InventoryFact, Order, PaymentFact, Phase};
pub use request::{Fingerprint, NewOrder};

/// The service's name, and its consumer group.
pub const SERVICE: &str = "order-service";
/// The collection of the orders' documents.
pub const COLLECTION: &str = "orders";
/// The tag of orders that have taken too long.
pub const STALLED: &str = "stalled";

const TIMEOUT_REQUESTER: &str = "saga-timeout";
const TIMEOUT_REASON: &str = "timeout";
/// The wait between two timeouts of an attempt doubles up to this many times.
const DOUBLINGS_MAX: u32 = 12;

type Decision = sagaline_saga::Decision<Order, Infallible>;

/// The order service as a participant.
#[derive(Debug, Clone, Copy)]
pub struct OrderSaga {
    /// How long an attempt may take before it is cancelled through the pivot.
    pub timeout: Duration,
}

/// What another service tells about an attempt.
enum Fact<'e> {
    InventoryFailed(&'e str),
    InventoryReleased(&'e str),
    PaymentFailed(&'e str),
    PaymentRefunded,
    Shipped,
    ShippingFailed(&'e str),
}

impl<'e> Fact<'e> {
    fn of(payload: &'e Payload) -> Option<Self> {
        Some(match payload {
            Payload::InventoryFailed(p) => Self::InventoryFailed(&p.reason),
            Payload::InventoryReleased(p) => Self::InventoryReleased(&p.reason),
            Payload::PaymentFailed(p) => Self::PaymentFailed(&p.reason),
            Payload::PaymentRefunded(_) => Self::PaymentRefunded,
            Payload::OrderShipped(_) => Self::Shipped,
            Payload::ShippingFailed(p) => Self::ShippingFailed(&p.reason),
            _ => return None,
        })
    }

    /// Whether it may be told of an attempt that has not begun: shipping rules on a wish as soon as the attempt before is over,
    /// and each service that it bars from the attempt answers at once, and only once.
    const fn may_come_before_its_attempt(&self) -> bool {
        match self {
            Self::InventoryReleased(_)
            | Self::PaymentFailed(_)
            | Self::PaymentRefunded
            | Self::ShippingFailed(_) => true,
            Self::InventoryFailed(_) | Self::Shipped => false,
        }
    }
}

impl Participant for OrderSaga {
    type State = Order;
    type Effect = Infallible;
    type Outcome = Infallible;

    fn name(&self) -> &'static str {
        SERVICE
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[
            EventType::InventoryFailed,
            EventType::InventoryReleased,
            EventType::PaymentFailed,
            EventType::PaymentRefunded,
            EventType::OrderShipped,
            EventType::ShippingFailed,
            EventType::RetryRequested,
            EventType::CompensationRequested,
        ]
    }

    fn decide(&self, order: &Order, event: &Event) -> Decision {
        match &event.payload {
            Payload::RetryRequested(wish) => self.retry(order, event.timestamp, wish),
            Payload::CompensationRequested(wish) => commands::address(order, wish),
            payload => match (Fact::of(payload), payload.order_id()) {
                (Some(fact), Some(order_id)) => self.learn(order, order_id, event, &fact),
                _ => Decision::Ignore("not for the order service"),
            },
        }
    }

    fn settle(&self, _: &Order, _: &Event, outcome: Infallible) -> Transition<Order> {
        match outcome {}
    }

    fn deadline(&self, order: &Order) -> Option<Timestamp> {
        match order.phase {
            Phase::Pending => order.deadline,
            Phase::Unknown | Phase::Confirmed | Phase::Cancelled => None,
        }
    }

    /// Wishes to release the stock rather than to refund: shipping refuses that once the goods are out, so a timeout
    /// can never take the money of an order back that was shipped after all.
    fn expire(&self, order_id: &OrderId, order: &Order, now: Timestamp) -> Transition<Order> {
        if sagaline_saga::planted!("timeout decides alone")
            && let Decision::Apply(ended) =
                cancelled(order.clone(), order_id, TIMEOUT_REASON.to_owned())
        {
            return ended;
        }
        let doublings = order.timeouts.saturating_add(1);
        let wait = self.timeout * 2_u32.pow(doublings.min(DOUBLINGS_MAX));
        let next = Order {
            timeouts: doublings,
            deadline: Some(now + wait),
            updated_at: now.max(order.updated_at),
            ..order.clone()
        };
        Transition::to(next).emit(CompensationRequested {
            order_id: order_id.clone(),
            action: Action::ReleaseInventory,
            requested_by: Some(TIMEOUT_REQUESTER.to_owned()),
            reason: Some(TIMEOUT_REASON.to_owned()),
            attempt: Some(order.attempt),
            decided_by: None,
        })
    }

    fn standing(&self, order: &Order) -> Standing {
        let stalled = order.is_stalled();
        Standing {
            tag: stalled.then_some(STALLED),
            rank: stalled.then_some(order.created_at.micros()),
            settled: order.phase != Phase::Pending,
        }
    }
}

impl OrderSaga {
    fn learn(&self, order: &Order, order_id: &OrderId, event: &Event, fact: &Fact<'_>) -> Decision {
        if let Some(target) = &order.redirect {
            return Decision::Reject(format!(
                "{order_id} is no order but an alias of {target}; send the event for {target}"
            ));
        }
        let told = event.payload.attempt();
        let attempt = told.unwrap_or(order.attempt).max(1);
        match order.phase {
            Phase::Unknown => {
                let adopted = Order {
                    phase: Phase::Pending,
                    attempt,
                    deadline: Some(event.timestamp + self.timeout),
                    created_at: event.timestamp,
                    ..Order::default()
                };
                progress(adopted, order_id, event.timestamp, fact)
            }
            _ if attempt < order.attempt && !sagaline_saga::planted!("old attempts count") => {
                Decision::Ignore("of an older attempt")
            }
            Phase::Pending | Phase::Cancelled
                if attempt > order.attempt && fact.may_come_before_its_attempt() =>
            {
                Decision::Early("the attempt was undone before it began")
            }
            _ if attempt > order.attempt => Decision::Reject(format!(
                "it is of attempt {attempt}, but attempt {} is the latest that was started",
                order.attempt
            )),
            Phase::Pending => progress(order.clone(), order_id, event.timestamp, fact),
            Phase::Confirmed => after_confirmed(order, event.timestamp, fact),
            Phase::Cancelled => match fact {
                Fact::Shipped => Decision::Reject(format!(
                    "{order_id} was shipped in attempt {attempt}, which is cancelled: stock or money are gone"
                )),
                _ => Decision::Ignore("after the outcome"),
            },
        }
    }
}

/// A fact about an attempt in flight, which may be what its outcome was waiting for.
fn progress(mut order: Order, order_id: &OrderId, at: Timestamp, fact: &Fact<'_>) -> Decision {
    let facts = &mut order.facts;
    match fact {
        Fact::Shipped => return confirmed(order, order_id, at),
        Fact::InventoryFailed(reason) if facts.inventory.is_none() => {
            facts.inventory = Some(InventoryFact::Failed((*reason).to_owned()));
        }
        Fact::InventoryReleased(reason) if facts.inventory.is_none() => {
            facts.inventory = Some(InventoryFact::Released((*reason).to_owned()));
        }
        Fact::PaymentFailed(reason) if facts.payment.is_none() => {
            facts.payment = Some(PaymentFact::Failed((*reason).to_owned()));
        }
        Fact::PaymentRefunded if facts.payment.is_none() => {
            facts.payment = Some(PaymentFact::Refunded);
        }
        Fact::ShippingFailed(reason) if facts.shipping_failure.is_none() => {
            facts.shipping_failure = Some((*reason).to_owned());
        }
        _ => return Decision::Ignore("known already"),
    }
    order.updated_at = order.updated_at.max(at);
    let one_side =
        || sagaline_saga::planted!("cancelled when one side is").then(|| "cancelled".to_owned());
    match order.facts.settled_because().or_else(one_side) {
        Some(reason) => cancelled(order, order_id, reason),
        None => Transition::to(order).into(),
    }
}

fn confirmed(order: Order, order_id: &OrderId, at: Timestamp) -> Decision {
    let attempt = Some(order.attempt);
    let next = Order {
        phase: Phase::Confirmed,
        // a refund may overtake the shipment that it followed
        refunded: order.facts.payment == Some(PaymentFact::Refunded),
        facts: Facts::default(),
        deadline: None,
        updated_at: order.updated_at.max(at),
        ..order
    };
    Transition::to(next)
        .emit(OrderConfirmed {
            order_id: order_id.clone(),
            attempt,
        })
        .into()
}

fn cancelled(order: Order, order_id: &OrderId, reason: String) -> Decision {
    let attempt = Some(order.attempt);
    let next = Order {
        phase: Phase::Cancelled,
        reason: Some(reason.clone()),
        facts: Facts::default(),
        deadline: None,
        ..order
    };
    Transition::to(next)
        .emit(OrderCancelled {
            order_id: order_id.clone(),
            reason,
            attempt,
        })
        .into()
}

fn after_confirmed(order: &Order, at: Timestamp, fact: &Fact<'_>) -> Decision {
    match fact {
        Fact::PaymentRefunded if !order.refunded => Transition::to(Order {
            refunded: true,
            updated_at: order.updated_at.max(at),
            ..order.clone()
        })
        .into(),
        _ => Decision::Ignore("after the outcome"),
    }
}
