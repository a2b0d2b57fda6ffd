//! What operators' commands mean for an order.

use sagaline_commands::{Command, action_name};
use sagaline_contracts::payload::{
    CommandRejected, CompensationRequested, OrderRetried, RetryRequested,
};
use sagaline_contracts::{Money, OrderId, Timestamp};
use sagaline_saga::Transition;

use super::{Decision, Facts, Order, OrderSaga, Phase};

const NOBODY: &str = "unknown";

impl OrderSaga {
    /// Starts the order's next attempt, or says why not.
    pub(super) fn retry(&self, order: &Order, at: Timestamp, wish: &RetryRequested) -> Decision {
        let stale = wish.attempt.is_some_and(|attempt| attempt != order.attempt)
            && !sagaline_saga::planted!("retry without compare-and-set");
        let refusal = match (order.phase, order.total) {
            (Phase::Unknown, _) => "the order is unknown",
            (Phase::Pending, _) => "the order is in flight",
            (Phase::Confirmed, _) => "the order is confirmed",
            (Phase::Cancelled, _) if stale => "the order is not in that attempt any more",
            (Phase::Cancelled, None) => {
                "another program placed the order: its items are not known here"
            }
            (Phase::Cancelled, Some(_)) if order.attempt == u32::MAX => {
                "the order has had too many attempts"
            }
            (Phase::Cancelled, Some(total)) => return self.next_attempt(order, at, wish, total),
        };
        let command = Command::Retry(wish.step).name();
        refuse(
            order,
            &wish.order_id,
            command,
            wish.requested_by.as_deref(),
            refusal,
        )
    }

    fn next_attempt(
        &self,
        order: &Order,
        at: Timestamp,
        wish: &RetryRequested,
        total: Money,
    ) -> Decision {
        let attempt = order.attempt.saturating_add(1);
        let next = Order {
            phase: Phase::Pending,
            reason: None,
            attempt,
            facts: Facts::default(),
            deadline: Some(at + self.timeout),
            timeouts: 0,
            retried_at: Some(at),
            updated_at: at.max(order.updated_at),
            ..order.clone()
        };
        let told = OrderRetried {
            order_id: wish.order_id.clone(),
            attempt,
            step: wish.step,
            items: order.items.clone(),
            total,
            requested_by: requester(wish.requested_by.as_deref()),
        };
        Transition::to(next).emit(told).into()
    }
}

/// Sends a wish on to the attempt that it is about: only this service knows whether there is one.
pub(super) fn address(order: &Order, wish: &CompensationRequested) -> Decision {
    if wish.decided_by.is_some() {
        return Decision::Ignore("a ruling: those who hold stock or money obey it");
    }
    if wish.attempt.is_some() {
        return Decision::Ignore("shipping rules on it");
    }
    let refusal = match order.phase {
        Phase::Unknown => "the order is unknown",
        Phase::Cancelled => "the order is cancelled already",
        Phase::Pending | Phase::Confirmed => {
            let addressed = CompensationRequested {
                attempt: Some(order.attempt),
                ..wish.clone()
            };
            return Transition::to(order.clone()).emit(addressed).into();
        }
    };
    let command = action_name(wish.action).to_owned();
    refuse(
        order,
        &wish.order_id,
        command,
        wish.requested_by.as_deref(),
        refusal,
    )
}

fn refuse(
    order: &Order,
    order_id: &OrderId,
    command: String,
    by: Option<&str>,
    reason: &str,
) -> Decision {
    Transition::to(order.clone())
        .emit(CommandRejected {
            order_id: order_id.clone(),
            command,
            reason: reason.to_owned(),
            requested_by: requester(by),
        })
        .into()
}

fn requester(by: Option<&str>) -> String {
    by.unwrap_or(NOBODY).to_owned()
}
