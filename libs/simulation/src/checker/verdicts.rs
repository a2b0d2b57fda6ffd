//! Invariants 2 and 3: what is decided about an attempt rests on what was told of that attempt, and what is undone was ruled by somebody
//! who may.

use std::collections::BTreeMap;

use anyhow::Result;
use sagaline_contracts::payload::{Action, Authority, OrderCancelled};
use sagaline_contracts::{Event, EventType, Payload};
use sagaline_store::Store;

use super::inbox::Record;
use super::orders::of_type;
use super::{Evidence, Published};
use crate::world::World;

/// What is said when nobody has given a reason.
const NO_REASON: &str = "cancelled";

type Events = BTreeMap<String, Published>;

pub(super) async fn check(world: &World, evidence: &mut Evidence) -> Result<()> {
    let mut complaints = Vec::new();
    let collection = order_service::domain::COLLECTION;
    let mut handled = BTreeMap::new();
    for document in world.shelf.scan(collection, None, 1_000_000).await? {
        let record: Record = serde_json::from_slice(&document.body)?;
        handled.insert(record.order_id, record.applied);
    }
    for (order, events) in &evidence.orders {
        rulings(order, events, &mut complaints);
        let Some(applied) = handled.get(order) else {
            continue;
        };
        let turns: BTreeMap<&str, usize> = applied
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.id.as_str(), at))
            .collect();
        for event in of_type(events, EventType::OrderCancelled) {
            let Payload::OrderCancelled(cancelled) = &event.payload else {
                continue;
            };
            if let Some(why) = unfounded(event, cancelled, events, &turns) {
                let attempt = cancelled.attempt.unwrap_or(1);
                complaints.push(format!(
                    "outcome: attempt {attempt} of {order} was cancelled ({}) {why}",
                    cancelled.reason
                ));
            }
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
    Ok(())
}

/// What is wrong with a cancellation, going by what the order service had handled by then.
fn unfounded(
    event: &Event,
    cancelled: &OrderCancelled,
    events: &Events,
    turns: &BTreeMap<&str, usize>,
) -> Option<String> {
    let cause = event.causation_id.as_ref()?;
    let Some(turn) = turns.get(cause.as_str()) else {
        return Some(format!("because of {cause}, which was not handled"));
    };
    let attempt = cancelled.attempt.unwrap_or(1);
    let of_attempt =
        |published: &&Published| published.event.payload.attempt().unwrap_or(1) == attempt;
    let heard = |kind: EventType| {
        of_type(events, kind).any(|event| {
            event.payload.attempt().unwrap_or(1) == attempt
                && turns.get(event.id.as_str()).is_some_and(|at| at <= turn)
        })
    };
    let is_settled = heard(EventType::InventoryFailed)
        || (heard(EventType::InventoryReleased)
            && (heard(EventType::PaymentFailed) || heard(EventType::PaymentRefunded)));
    if !is_settled {
        return Some("before stock and money of it were settled".to_owned());
    }
    let reasons = events.values().filter(of_attempt);
    let mut reasons = reasons.filter_map(|published| reason(&published.event.payload));
    let is_told = cancelled.reason == NO_REASON || reasons.any(|told| told == cancelled.reason);
    (!is_told).then(|| "for a reason that nobody told of it".to_owned())
}

fn reason(payload: &Payload) -> Option<&str> {
    match payload {
        Payload::InventoryFailed(p) => Some(&p.reason),
        Payload::InventoryReleased(p) => Some(&p.reason),
        Payload::PaymentFailed(p) => Some(&p.reason),
        Payload::ShippingFailed(p) => Some(&p.reason),
        Payload::CompensationRequested(p) => p.reason.as_deref(),
        _ => None,
    }
}

/// What is undone was ruled, and what the gateway declined is ruled on by payment, at once.
fn rulings(order: &str, events: &Events, complaints: &mut Vec<String>) {
    let ruled = |wanted: Action, attempt: u32, by: Option<Authority>| {
        of_type(events, EventType::CompensationRequested).any(|event| match &event.payload {
            Payload::CompensationRequested(p) => {
                p.action == wanted
                    && p.attempt.unwrap_or(1) == attempt
                    && p.decided_by.is_some()
                    && (by.is_none() || p.decided_by == by)
            }
            _ => false,
        })
    };
    for published in events.values() {
        let attempt = published.event.payload.attempt().unwrap_or(1);
        let missing = match &published.event.payload {
            Payload::InventoryReleased(_) if !ruled(Action::ReleaseInventory, attempt, None) => {
                "stock: the goods were released"
            }
            Payload::PaymentRefunded(_) if !ruled(Action::RefundPayment, attempt, None) => {
                "money: the payment was refunded"
            }
            Payload::PaymentFailed(p)
                if p.reason == payment_service::gateway::CARD_DECLINED
                    && !ruled(Action::ReleaseInventory, attempt, Some(Authority::Payment)) =>
            {
                "stock: the card was declined"
            }
            _ => continue,
        };
        complaints.push(format!(
            "{missing} in attempt {attempt} of {order}, and nobody ruled on it"
        ));
    }
}
