//! What becomes of an order, and what the others are told of it.

use sagaline_contracts::OrderId;
use sagaline_contracts::payload::{
    Action, Authority, CommandRejected, CompensationRequested, OrderShipped, PaymentAuthorized,
    ShippingFailed,
};
use sagaline_saga::{Decision, Transition};

use super::{OrderShipments, SERVICE, Shipment, ShippingEffect, ShippingOutcome, is_timeout};

impl OrderShipments {
    pub(super) fn settle_paid(
        &self,
        paid: &PaymentAuthorized,
        effect: &ShippingEffect,
        outcome: ShippingOutcome,
    ) -> Transition<Self> {
        let order_id = &paid.order_id;
        let attempt = self.attempt_of(paid.attempt);
        match (effect, outcome) {
            (
                _,
                ShippingOutcome::Booked {
                    carrier,
                    tracking_id,
                },
            ) => self.shipped(order_id, attempt, carrier, tracking_id),
            (ShippingEffect::Book { .. }, ShippingOutcome::Refused { reason }) => {
                self.failed(order_id, attempt, &reason, SERVICE)
            }
            (ShippingEffect::Void { .. }, ShippingOutcome::Voided) => {
                self.barred(order_id, attempt, "cancelled", SERVICE)
            }
            // An answer to another question tells nothing.
            _ => Transition::to(self.clone()),
        }
    }

    pub(super) fn settle_wish(
        &self,
        wish: &CompensationRequested,
        effect: &ShippingEffect,
        outcome: ShippingOutcome,
    ) -> Transition<Self> {
        match (effect, outcome) {
            (ShippingEffect::Void { .. }, ShippingOutcome::Voided) => self.undone_by(wish),
            (
                ShippingEffect::Void { .. },
                ShippingOutcome::Booked {
                    carrier,
                    tracking_id,
                },
            ) => self.too_late(wish, carrier, tracking_id),
            _ => Transition::to(self.clone()),
        }
    }

    fn shipped(
        &self,
        order_id: &OrderId,
        attempt: u32,
        carrier: String,
        tracking_id: String,
    ) -> Transition<Self> {
        let mut next = self.clone();
        next.attempt = attempt;
        next.barring = 0;
        next.shipment = Shipment::Shipped {
            attempt,
            carrier: carrier.clone(),
            tracking_id: tracking_id.clone(),
            refund_ruled: false,
        };
        Transition::to(next).emit(OrderShipped {
            order_id: order_id.clone(),
            carrier,
            tracking_id,
            attempt: Some(attempt),
        })
    }

    /// The wish came before the goods went out: they stay.
    pub(super) fn undone_by(&self, wish: &CompensationRequested) -> Transition<Self> {
        let attempt = self.attempt_of(wish.attempt);
        let reason = if is_timeout(wish) {
            "timeout"
        } else {
            "cancelled"
        };
        let asked_by = wish.requested_by.as_deref().unwrap_or(SERVICE);
        self.barred(&wish.order_id, attempt, reason, asked_by)
    }

    /// Nothing is shipped in this attempt, and nothing will be.
    fn barred(
        &self,
        order_id: &OrderId,
        attempt: u32,
        reason: &str,
        asked_by: &str,
    ) -> Transition<Self> {
        let mut transition = self.failed(order_id, attempt, reason, asked_by);
        transition.state.barred = attempt;
        transition
    }

    /// The wish came before we knew, but the goods are out.
    fn too_late(
        &self,
        wish: &CompensationRequested,
        carrier: String,
        tracking_id: String,
    ) -> Transition<Self> {
        let mut transition = self.shipped(
            &wish.order_id,
            self.attempt_of(wish.attempt),
            carrier,
            tracking_id,
        );
        // What the wish means now is what it means to any order that is out.
        if let Decision::Apply(answer) = transition.state.on_wish_after_the_pivot(wish) {
            transition.state = answer.state;
            transition.emit.extend(answer.emit);
        }
        transition
    }

    /// Nothing is shipped in this attempt: both of the steps before are to be undone.
    fn failed(
        &self,
        order_id: &OrderId,
        attempt: u32,
        reason: &str,
        asked_by: &str,
    ) -> Transition<Self> {
        let mut next = self.clone();
        next.attempt = attempt;
        next.barring = 0;
        next.shipment = Shipment::Failed {
            attempt,
            reason: reason.to_owned(),
        };
        let rule = |action| ruling(order_id, action, attempt, asked_by, reason);
        Transition::to(next)
            .emit(ShippingFailed {
                order_id: order_id.clone(),
                reason: reason.to_owned(),
                attempt: Some(attempt),
            })
            .emit(rule(Action::RefundPayment))
            .emit(rule(Action::ReleaseInventory))
    }

    pub(super) fn refund_ruled(&self, wish: &CompensationRequested) -> Transition<Self> {
        let mut next = self.clone();
        let Shipment::Shipped {
            attempt,
            refund_ruled,
            ..
        } = &mut next.shipment
        else {
            return Transition::to(next);
        };
        *refund_ruled = true;
        let attempt = *attempt;
        let asked_by = wish.requested_by.as_deref().unwrap_or(SERVICE);
        let reason = wish.reason.as_deref().unwrap_or("requested");
        let ruling = ruling(
            &wish.order_id,
            Action::RefundPayment,
            attempt,
            asked_by,
            reason,
        );
        Transition::to(next).emit(ruling)
    }
}

fn ruling(
    order_id: &OrderId,
    action: Action,
    attempt: u32,
    asked_by: &str,
    reason: &str,
) -> CompensationRequested {
    CompensationRequested {
        order_id: order_id.clone(),
        action,
        requested_by: Some(asked_by.to_owned()),
        reason: Some(reason.to_owned()),
        attempt: Some(attempt),
        decided_by: Some(Authority::Shipping),
    }
}

pub(super) fn rejected(wish: &CompensationRequested, why: &str) -> CommandRejected {
    let command = match wish.action {
        Action::ReleaseInventory => "releaseInventory",
        Action::RefundPayment => "refundPayment",
    };
    CommandRejected {
        order_id: wish.order_id.clone(),
        command: command.to_owned(),
        reason: why.to_owned(),
        requested_by: wish
            .requested_by
            .clone()
            .unwrap_or_else(|| "unknown".to_owned()),
    }
}
