//! What each event means for an order's shipment: the pivot of the saga.
//!
//! Before the goods are out an order can be undone, after that only refunded. So whoever wants something undone asks here,
//! and whichever of payment and wish is saved first decides: it is one document, so no order is both shipped and undone.
//! `docs/saga.md` has the whole protocol.

mod state;
mod transition;

use sagaline_contracts::payload::{
    Action, CompensationRequested, OrderCancelled, PaymentAuthorized,
};
use sagaline_contracts::{Event, EventType, OrderId, Payload};
use sagaline_saga::{Decision, Participant, Standing, Transition};

pub use state::{OrderShipments, Shipment, ShippingEffect, ShippingOutcome};
use transition::rejected;

/// The service's name.
pub const SERVICE: &str = "shipping-service";

/// Who asks when an order has been in flight for too long. Nobody waits for an answer to it.
pub const SAGA_TIMEOUT: &str = "saga-timeout";

/// The shipping service as a participant of the saga.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shipments;

impl Participant for Shipments {
    type State = OrderShipments;
    type Effect = ShippingEffect;
    type Outcome = ShippingOutcome;

    fn name(&self) -> &'static str {
        SERVICE
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[
            EventType::PaymentAuthorized,
            EventType::OrderCancelled,
            EventType::CompensationRequested,
        ]
    }

    fn decide(
        &self,
        state: &OrderShipments,
        event: &Event,
    ) -> Decision<OrderShipments, ShippingEffect> {
        match &event.payload {
            Payload::PaymentAuthorized(paid) => state.on_paid(paid),
            Payload::OrderCancelled(cancelled) => state.on_cancelled(cancelled),
            Payload::CompensationRequested(request) => state.on_compensation(request),
            _ => Decision::Ignore("shipping takes no part in it"),
        }
    }

    fn settle(
        &self,
        state: &OrderShipments,
        event: &Event,
        outcome: ShippingOutcome,
    ) -> Transition<OrderShipments> {
        let asked = self.decide(state, event);
        let Decision::Effect(effect) = asked else {
            return Transition::to(state.clone());
        };
        match &event.payload {
            Payload::PaymentAuthorized(paid) => state.settle_paid(paid, &effect, outcome),
            Payload::CompensationRequested(wish) => state.settle_wish(wish, &effect, outcome),
            _ => Transition::to(state.clone()),
        }
    }

    fn standing(&self, state: &OrderShipments) -> Standing {
        Standing {
            // A refund may still be asked for much later, but need not be: it is not waited for.
            settled: state.shipment != Shipment::None || state.ended > 0,
            ..Standing::default()
        }
    }
}

impl OrderShipments {
    /// The attempt that an event belongs to; one that does not say belongs to the latest that is known.
    fn attempt_of(&self, named: Option<u32>) -> u32 {
        let begun = self.attempt.max(self.barring);
        named
            .unwrap_or(begun.max(self.barred).max(self.ended))
            .max(1)
    }

    /// Whether the order service can have begun this attempt. It cancels an attempt before it begins the next, so until that
    /// cancellation is heard a wish to undo a later one is either ahead of it, or somebody else's mistake. Obeying a mistake
    /// would undo what the attempt in flight holds, in the name of an attempt that nobody waits for.
    fn may_have_begun(&self, attempt: u32) -> bool {
        attempt <= self.attempt || attempt <= self.ended.saturating_add(1)
    }

    /// The highest attempt that is undone.
    fn undone(&self) -> u32 {
        match self.shipment {
            Shipment::Failed { attempt, .. } => self.barred.max(attempt),
            Shipment::None | Shipment::Shipped { .. } => self.barred,
        }
    }

    fn on_paid(&self, paid: &PaymentAuthorized) -> Decision<Self, ShippingEffect> {
        let attempt = self.attempt_of(paid.attempt);
        if matches!(self.shipment, Shipment::Shipped { .. }) {
            return Decision::Ignore("the goods are out");
        }
        if (attempt <= self.undone() || attempt <= self.ended)
            && !sagaline_saga::planted!("barred attempt shipped")
        {
            return Decision::Ignore("the attempt is undone or over");
        }
        if attempt < self.attempt.max(self.barring) {
            return Decision::Ignore("a later attempt was seen");
        }
        let key = key(&paid.order_id, attempt);
        if attempt == self.barring {
            // Who began it did not come to its end: the wish was discarded.
            return Decision::Effect(ShippingEffect::Void { key });
        }
        Decision::Effect(ShippingEffect::Book { key })
    }

    fn on_cancelled(&self, cancelled: &OrderCancelled) -> Decision<Self, ShippingEffect> {
        let attempt = self.attempt_of(cancelled.attempt);
        if attempt <= self.ended {
            return Decision::Ignore("known to be over");
        }
        match &self.shipment {
            Shipment::Shipped {
                attempt: shipped,
                tracking_id,
                ..
            } if *shipped <= attempt => Decision::Reject(format!(
                "attempt {attempt} is said to be cancelled, but the goods went out in attempt {shipped} as {tracking_id}"
            )),
            _ => Transition::to(Self {
                ended: attempt,
                ..self.clone()
            })
            .into(),
        }
    }

    fn on_compensation(&self, request: &CompensationRequested) -> Decision<Self, ShippingEffect> {
        if request.decided_by.is_some() {
            return Decision::Ignore("a ruling, not a wish");
        }
        let Some(attempt) = request.attempt else {
            return Decision::Ignore("the order service says first which attempt it is about");
        };
        let attempt = attempt.max(1);
        if let Shipment::Shipped {
            attempt: shipped, ..
        } = self.shipment
            && !sagaline_saga::planted!("undone after the pivot")
        {
            // A confirmed order is never tried again.
            if attempt > shipped {
                return self.refuse(
                    request,
                    "there is no such attempt: the goods went out before",
                );
            }
            return self.on_wish_after_the_pivot(request);
        }
        if !is_timeout(request) && !self.may_have_begun(attempt) {
            return Decision::Early("the attempt before it is not known to be over");
        }
        let refusal = if attempt <= self.ended {
            "the attempt is over"
        } else if attempt <= self.undone() {
            "the attempt is being undone already"
        } else if attempt < self.attempt.max(self.barring) {
            "a later attempt has begun"
        } else if sagaline_saga::planted!("unseen parcel not voided") {
            return self.undone_by(request).into();
        } else {
            return self.bar(&request.order_id, attempt);
        };
        self.refuse(request, refusal)
    }

    /// Bars an attempt of which nothing is known. Another instance may be handing its parcel over at this moment: whose record is
    /// saved first decides, so what the carrier has is called back only afterwards.
    fn bar(&self, order_id: &OrderId, attempt: u32) -> Decision<Self, ShippingEffect> {
        let effect = ShippingEffect::Void {
            key: key(order_id, attempt),
        };
        if attempt == self.barring {
            return Decision::Effect(effect);
        }
        let state = Self {
            barring: attempt,
            ..self.clone()
        };
        Decision::Intend { state, effect }
    }

    fn on_wish_after_the_pivot(
        &self,
        wish: &CompensationRequested,
    ) -> Decision<Self, ShippingEffect> {
        match (wish.action, &self.shipment) {
            (
                Action::RefundPayment,
                Shipment::Shipped {
                    refund_ruled: false,
                    ..
                },
            ) => self.refund_ruled(wish).into(),
            (Action::RefundPayment, _) if sagaline_saga::planted!("refund ruled twice") => {
                self.refund_ruled(wish).into()
            }
            (Action::RefundPayment, _) => self.refuse(wish, "the refund is ruled already"),
            (Action::ReleaseInventory, _) => {
                self.refuse(wish, "the goods are out; a refund is what is left")
            }
        }
    }

    /// Refuses a wish, unless nobody is waiting for the answer.
    fn refuse(
        &self,
        wish: &CompensationRequested,
        why: &'static str,
    ) -> Decision<Self, ShippingEffect> {
        if is_timeout(wish) {
            return Decision::Ignore(why);
        }
        Transition::to(self.clone())
            .emit(rejected(wish, why))
            .into()
    }
}

fn is_timeout(wish: &CompensationRequested) -> bool {
    wish.requested_by.as_deref() == Some(SAGA_TIMEOUT)
}

/// The idempotency key of an attempt's shipment. No order id holds a slash, so it begins with the order's id and no other's.
fn key(order_id: &OrderId, attempt: u32) -> String {
    format!("{order_id}/{attempt}")
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
