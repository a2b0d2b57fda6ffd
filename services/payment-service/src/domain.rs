//! What each event means for an order's payment.
//!
//! An order is charged at most once per attempt, and what was charged is paid back when shipping rules that the attempt
//! is undone. Events of an order come in any order: the ruling may come before the reservation that it undoes, and then
//! bars the attempt. `docs/saga.md` has the whole protocol.

mod state;

use sagaline_contracts::payload::{
    Action, Authority, CompensationRequested, InventoryReserved, PaymentAuthorized, PaymentFailed,
    PaymentRefunded,
};
use sagaline_contracts::{Event, EventType, Money, OrderId, Payload};
use sagaline_saga::{Decision, Participant, Standing, Transition};

pub use state::{Charge, Payment, PaymentEffect, PaymentOutcome};

/// The service's name.
pub const SERVICE: &str = "payment-service";

/// The reason of a payment that was undone before anything was charged.
pub const CANCELLED: &str = "cancelled";

/// So many earlier charges are kept, the latest ones.
const HISTORY_MAX: usize = 32;

/// The payment service as a participant of the saga.
#[derive(Debug, Clone, Copy, Default)]
pub struct Payments;

impl Participant for Payments {
    type State = Payment;
    type Effect = PaymentEffect;
    type Outcome = PaymentOutcome;

    fn name(&self) -> &'static str {
        SERVICE
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[
            EventType::InventoryReserved,
            EventType::CompensationRequested,
        ]
    }

    fn decide(&self, state: &Payment, event: &Event) -> Decision<Payment, PaymentEffect> {
        match &event.payload {
            Payload::InventoryReserved(reserved) => state.on_reserved(reserved),
            Payload::CompensationRequested(request) => state.on_compensation(request),
            _ => Decision::Ignore("payment takes no part in it"),
        }
    }

    fn settle(
        &self,
        state: &Payment,
        event: &Event,
        outcome: PaymentOutcome,
    ) -> Transition<Payment> {
        let asked = self.decide(state, event);
        let (Decision::Effect(effect), Some(order_id)) = (asked, event.payload.order_id()) else {
            return Transition::to(state.clone());
        };
        let attempt = state.attempt_of(event.payload.attempt());
        match (effect, outcome) {
            (PaymentEffect::Authorize { amount, .. }, PaymentOutcome::Authorized { auth_id }) => {
                state.authorized(order_id, attempt, amount, auth_id)
            }
            (PaymentEffect::Authorize { amount, .. }, PaymentOutcome::Declined { reason }) => {
                state.declined(order_id, attempt, amount, reason)
            }
            (PaymentEffect::Refund { .. }, PaymentOutcome::Refunded { refund_id }) => {
                state.refunded(order_id, attempt, refund_id)
            }
            (PaymentEffect::Void { .. }, PaymentOutcome::Voided) => state.barred(order_id, attempt),
            // An answer to another question tells nothing.
            _ => Transition::to(state.clone()),
        }
    }

    fn standing(&self, state: &Payment) -> Standing {
        Standing {
            // A charge may be refunded much later, but need not be: it is not waited for.
            settled: state.charge != Charge::None,
            ..Standing::default()
        }
    }
}

impl Payment {
    /// The attempt that an event belongs to; one that does not say belongs to the latest that is known.
    fn attempt_of(&self, named: Option<u32>) -> u32 {
        named
            .unwrap_or(self.attempt.max(self.barred).max(self.barring))
            .max(1)
    }

    fn on_reserved(&self, reserved: &InventoryReserved) -> Decision<Self, PaymentEffect> {
        let order_id = &reserved.order_id;
        let attempt = self.attempt_of(reserved.attempt);
        if attempt <= self.attempt {
            return Decision::Ignore(
                "a reservation for this attempt, or a later one, was seen before",
            );
        }
        if attempt <= self.barred && !sagaline_saga::planted!("barred attempt charged") {
            return Decision::Ignore("the attempt was undone before its reservation came");
        }
        if attempt < self.barring {
            return Decision::Ignore("a later attempt is being undone");
        }
        if attempt == self.barring {
            // Who began it did not come to its end: the ruling was discarded.
            return Decision::Effect(PaymentEffect::Void {
                key: charge_key(order_id, attempt),
            });
        }
        match (&self.charge, reserved.total) {
            (Charge::Authorized { amount, .. }, Some(total)) if *amount != total => {
                Decision::Reject(format!(
                    "{amount} is charged, but attempt {attempt} asks for {total}; refund the charge first"
                ))
            }
            (Charge::Authorized { amount, auth_id, .. }, _) => self
                .authorized(order_id, attempt, *amount, auth_id.clone())
                .into(),
            (_, None) => Decision::Reject(
                "payload.total is missing, so the amount to charge is not known; redrive the event with it".to_owned(),
            ),
            (_, Some(Money::ZERO)) => {
                let auth_id = format!("free/{}", charge_key(order_id, attempt));
                self.authorized(order_id, attempt, Money::ZERO, auth_id).into()
            }
            (_, Some(amount)) => Decision::Effect(PaymentEffect::Authorize {
                key: charge_key(order_id, attempt),
                amount,
            }),
        }
    }

    fn on_compensation(&self, request: &CompensationRequested) -> Decision<Self, PaymentEffect> {
        if request.action != Action::RefundPayment {
            return Decision::Ignore("inventory releases, not payment");
        }
        if request.decided_by.is_none() && !sagaline_saga::planted!("refund without check") {
            return Decision::Ignore("a wish: shipping rules on it");
        }
        let order_id = &request.order_id;
        let attempt = self.attempt_of(request.attempt);
        let key = charge_key(order_id, attempt);
        match &self.charge {
            Charge::Authorized {
                attempt: charged,
                amount: Money::ZERO,
                ..
            } if *charged <= attempt => self
                .refunded(order_id, attempt, format!("free/{key}/refund"))
                .into(),
            Charge::Authorized {
                attempt: charged,
                amount,
                auth_id,
            } if *charged <= attempt => Decision::Effect(PaymentEffect::Refund {
                key: format!("{key}/refund"),
                auth_id: auth_id.clone(),
                amount: *amount,
            }),
            _ if attempt > self.attempt
                && attempt > self.barred
                && sagaline_saga::planted!("unseen charge not voided") =>
            {
                self.barred(order_id, attempt).into()
            }
            _ if attempt > self.attempt && attempt > self.barred && attempt >= self.barring => {
                self.bar(attempt, PaymentEffect::Void { key })
            }
            _ => Decision::Ignore("nothing is charged for this attempt, or not any more"),
        }
    }

    /// Bars an attempt of which nothing is known. Another instance may be charging for it at this moment: whose record is saved
    /// first decides, so what the gateway has is reversed only afterwards.
    fn bar(&self, attempt: u32, void: PaymentEffect) -> Decision<Self, PaymentEffect> {
        if attempt == self.barring {
            return Decision::Effect(void);
        }
        let state = Self {
            barring: attempt,
            ..self.clone()
        };
        Decision::Intend {
            state,
            effect: void,
        }
    }

    fn authorized(
        &self,
        order_id: &OrderId,
        attempt: u32,
        amount: Money,
        auth_id: String,
    ) -> Transition<Self> {
        let charge = Charge::Authorized {
            attempt,
            amount,
            auth_id: auth_id.clone(),
        };
        let mut next = self.with(charge);
        next.attempt = attempt;
        Transition::to(next).emit(PaymentAuthorized {
            order_id: order_id.clone(),
            amount,
            auth_id,
            attempt: Some(attempt),
        })
    }

    fn declined(
        &self,
        order_id: &OrderId,
        attempt: u32,
        amount: Money,
        reason: String,
    ) -> Transition<Self> {
        let charge = Charge::Failed {
            attempt,
            amount: Some(amount),
            reason: reason.clone(),
        };
        let mut next = self.with(charge);
        next.attempt = attempt;
        if sagaline_saga::planted!("declined without a ruling") {
            return Transition::to(next).emit(failed(order_id, attempt, reason));
        }
        // Without a payment shipping can never be reached in this attempt, so nobody else needs to rule on it.
        Transition::to(next)
            .emit(failed(order_id, attempt, reason.clone()))
            .emit(CompensationRequested {
                order_id: order_id.clone(),
                action: Action::ReleaseInventory,
                requested_by: Some(SERVICE.to_owned()),
                reason: Some(reason),
                attempt: Some(attempt),
                decided_by: Some(Authority::Payment),
            })
    }

    fn refunded(&self, order_id: &OrderId, attempt: u32, refund_id: String) -> Transition<Self> {
        let Charge::Authorized {
            amount, auth_id, ..
        } = &self.charge
        else {
            return Transition::to(self.clone());
        };
        let mut next = self.clone();
        next.barred = self.barred.max(attempt);
        next.charge = Charge::Refunded {
            attempt,
            amount: *amount,
            auth_id: auth_id.clone(),
            refund_id: refund_id.clone(),
        };
        Transition::to(next).emit(PaymentRefunded {
            order_id: order_id.clone(),
            amount: *amount,
            refund_id,
            attempt: Some(attempt),
        })
    }

    fn barred(&self, order_id: &OrderId, attempt: u32) -> Transition<Self> {
        let reason = CANCELLED.to_owned();
        let mut next = self.with(Charge::Failed {
            attempt,
            amount: None,
            reason: reason.clone(),
        });
        next.barred = attempt;
        Transition::to(next).emit(failed(order_id, attempt, reason))
    }

    /// The next attempt's charge. An earlier one goes to the history, unless it is the same, affirmed again.
    fn with(&self, charge: Charge) -> Self {
        let mut next = self.clone();
        next.barring = 0;
        let before = std::mem::replace(&mut next.charge, charge);
        if matches!(before, Charge::Failed { .. } | Charge::Refunded { .. }) {
            if next.history.len() >= HISTORY_MAX {
                next.history.remove(0);
            }
            next.history.push(before);
        }
        next
    }
}

fn failed(order_id: &OrderId, attempt: u32, reason: String) -> PaymentFailed {
    PaymentFailed {
        order_id: order_id.clone(),
        reason,
        attempt: Some(attempt),
    }
}

/// The idempotency key of an attempt's charge. No order id holds a slash, so it begins with the order's id and no other's.
fn charge_key(order_id: &OrderId, attempt: u32) -> String {
    sagaline_saga::planted!("another key at each call" => {
        let call = sagaline_saga::planted::draw();
        return format!("{order_id}/{attempt}-{call}");
    });
    format!("{order_id}/{attempt}")
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
