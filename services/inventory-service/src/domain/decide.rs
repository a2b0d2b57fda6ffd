//! The decisions themselves, one event at a time: what it asks for, then what comes of it.

use sagaline_contracts::payload::{
    Action, Authority, CommandRejected, CompensationRequested, InventoryFailed, InventoryReleased,
    InventoryReserved, OrderItem, ReservedItem, Shortage,
};
use sagaline_contracts::{Money, OrderId, Payload};
use sagaline_saga::{Decision, Transition};

use crate::domain::{Effect, HeldItem, Hold, InventoryState, Reservation, ShortReason};

pub(super) type Decided = Decision<InventoryState, Effect>;

/// The beginning of an attempt.
pub(super) struct Start<'e> {
    order_id: &'e OrderId,
    attempt: u32,
    items: &'e [OrderItem],
    total: Money,
}

impl<'e> Start<'e> {
    pub(super) fn of(payload: &'e Payload) -> Option<Self> {
        match payload {
            Payload::OrderCreated(created) => Some(Self {
                order_id: &created.order_id,
                attempt: 1,
                items: &created.items,
                total: created.total,
            }),
            Payload::OrderRetried(retried) => Some(Self {
                order_id: &retried.order_id,
                attempt: retried.attempt,
                items: &retried.items,
                total: retried.total,
            }),
            _ => None,
        }
    }
}

/// Who ruled that stock is to be released; `None` for a wish, and for what concerns payment.
pub(super) fn ruling(request: &CompensationRequested) -> Option<Authority> {
    match request.action {
        Action::ReleaseInventory if sagaline_saga::planted!("wish obeyed") => {
            Some(request.decided_by.unwrap_or(Authority::Shipping))
        }
        Action::ReleaseInventory => request.decided_by,
        Action::RefundPayment => None,
    }
}

pub(super) fn begin(state: &InventoryState, start: &Start<'_>) -> Decided {
    if start.attempt <= state.attempt {
        return Decision::Ignore("this attempt has been decided");
    }
    if start.attempt <= state.barred && !sagaline_saga::planted!("barred attempt reserved") {
        return Decision::Ignore("this attempt was undone before it began");
    }
    match &state.hold {
        Hold::Reserved(held) => {
            let mut next = state.clone();
            next.attempt = start.attempt;
            next.hold = Hold::Reserved(Reservation {
                attempt: start.attempt,
                ..held.clone()
            });
            Transition::to(next)
                .emit(inventory_reserved(start, &held.items))
                .into()
        }
        Hold::Shipped(_) => Decision::Reject(format!(
            "attempt {} begins although the goods are out already",
            start.attempt
        )),
        Hold::None | Hold::Failed { .. } | Hold::Released(_) => Decision::Effect(Effect::Reserve {
            attempt: start.attempt,
            items: summed(start.items),
        }),
    }
}

pub(super) fn reserved(
    state: &InventoryState,
    start: &Start<'_>,
    items: Vec<HeldItem>,
) -> Transition<InventoryState> {
    let emit = inventory_reserved(start, &items);
    let mut next = state.clone();
    next.attempt = start.attempt;
    next.replace_hold(Hold::Reserved(Reservation {
        attempt: start.attempt,
        taken_in: start.attempt,
        items,
    }));
    Transition::to(next).emit(emit)
}

fn inventory_reserved(start: &Start<'_>, items: &[HeldItem]) -> InventoryReserved {
    InventoryReserved {
        order_id: start.order_id.clone(),
        reserved_items: items.iter().map(HeldItem::on_wire).collect(),
        total: Some(start.total),
        attempt: Some(start.attempt),
    }
}

pub(super) fn short(
    state: &InventoryState,
    start: &Start<'_>,
    reason: ShortReason,
    shortages: Vec<Shortage>,
) -> Transition<InventoryState> {
    let mut next = state.clone();
    next.attempt = start.attempt;
    next.replace_hold(Hold::Failed {
        attempt: start.attempt,
    });
    Transition::to(next).emit(InventoryFailed {
        order_id: start.order_id.clone(),
        reason: reason.as_str().to_owned(),
        shortages,
        attempt: Some(start.attempt),
    })
}

pub(super) fn release(
    state: &InventoryState,
    request: &CompensationRequested,
    authority: Authority,
) -> Decided {
    let attempt = state.attempt_of(request.attempt);
    match &state.hold {
        Hold::Reserved(held) if held.attempt <= attempt => Decision::Effect(Effect::Release {
            attempt: held.taken_in,
            items: held.items.clone(),
        }),
        Hold::Shipped(held) if held.attempt <= attempt => {
            let rejected = CommandRejected {
                order_id: request.order_id.clone(),
                command: "releaseInventory".to_owned(),
                reason: "the goods have been shipped; a refund is what is left".to_owned(),
                requested_by: requested_by(request, authority),
            };
            Transition::to(state.clone()).emit(rejected).into()
        }
        // Nothing of this attempt is set aside. It is barred, and that is the answer, so that an order that is undone
        // before it arrives here comes to its end all the same.
        _ if attempt > state.attempt && attempt > state.barred => {
            let mut next = state.clone();
            next.barred = attempt;
            Transition::to(next)
                .emit(inventory_released(request, attempt, Vec::new()))
                .into()
        }
        _ => Decision::Ignore("nothing of this attempt is set aside, and that was answered"),
    }
}

pub(super) fn released(
    state: &InventoryState,
    request: &CompensationRequested,
    items: Vec<HeldItem>,
) -> Transition<InventoryState> {
    let Hold::Reserved(held) = &state.hold else {
        return Transition::to(state.clone());
    };
    let attempt = state.attempt_of(request.attempt);
    let given_back = items.iter().map(HeldItem::on_wire).collect();
    let mut next = state.clone();
    next.barred = next.barred.max(attempt);
    next.hold = Hold::Released(Reservation {
        attempt,
        taken_in: held.taken_in,
        items,
    });
    Transition::to(next).emit(inventory_released(request, attempt, given_back))
}

fn inventory_released(
    request: &CompensationRequested,
    attempt: u32,
    released_items: Vec<ReservedItem>,
) -> InventoryReleased {
    let reason = request.reason.as_deref().unwrap_or("cancelled");
    InventoryReleased {
        order_id: request.order_id.clone(),
        released_items,
        reason: reason.to_owned(),
        attempt: Some(attempt),
    }
}

fn requested_by(request: &CompensationRequested, authority: Authority) -> String {
    let ruled = match authority {
        Authority::Payment => "payment",
        Authority::Shipping => "shipping",
    };
    request.requested_by.as_deref().unwrap_or(ruled).to_owned()
}

pub(super) fn ship(state: &InventoryState, attempt: u32) -> Decided {
    match &state.hold {
        Hold::Shipped(_) => Decision::Ignore("booked out already"),
        Hold::Reserved(held) if attempt <= state.attempt => Decision::Effect(Effect::Ship {
            attempt: held.taken_in,
            items: held.items.clone(),
        }),
        Hold::Failed { attempt: ended } | Hold::Released(Reservation { attempt: ended, .. })
            if *ended >= attempt =>
        {
            not_set_aside(attempt)
        }
        _ if state.barred >= attempt => not_set_aside(attempt),
        _ => Decision::Early("the goods of this attempt are not set aside yet"),
    }
}

fn not_set_aside(attempt: u32) -> Decided {
    Decision::Reject(format!(
        "goods of attempt {attempt} went out that are not set aside: count the stock"
    ))
}

pub(super) fn shipped(state: &InventoryState, items: Vec<HeldItem>) -> Transition<InventoryState> {
    let Hold::Reserved(held) = &state.hold else {
        return Transition::to(state.clone());
    };
    let mut next = state.clone();
    next.hold = Hold::Shipped(Reservation {
        attempt: held.attempt,
        taken_in: held.taken_in,
        items,
    });
    Transition::to(next)
}

/// The quantities per SKU, in the order in which the SKUs first appear.
fn summed(lines: &[OrderItem]) -> Vec<ReservedItem> {
    let mut items: Vec<ReservedItem> = Vec::with_capacity(lines.len());
    for line in lines {
        match items.iter_mut().find(|item| item.sku == line.sku) {
            // 100 lines of a million each are far from the limit.
            Some(item) => item.qty = item.qty.saturating_add(line.qty),
            None => items.push(ReservedItem {
                sku: line.sku.clone(),
                qty: line.qty,
            }),
        }
    }
    items
}
