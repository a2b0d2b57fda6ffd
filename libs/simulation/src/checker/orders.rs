//! Invariants 2 and 3: money, and one outcome for every order.

use std::collections::{BTreeMap, BTreeSet};

use sagaline_contracts::payload::Authority;
use sagaline_contracts::{Event, EventType, Payload};

use super::{Evidence, Published};
use crate::bank::Charge;
use crate::depot::Parcel;

pub(super) fn check(evidence: &mut Evidence) {
    let mut complaints = Vec::new();
    for (number, placed) in &evidence.placed {
        let Some(id) = &placed.id else { continue };
        if placed.created > 1 {
            complaints.push(format!(
                "create: order {number} was answered with 201 {} times",
                placed.created
            ));
        }
        match evidence.orders.get(id) {
            Some(events) if of_type(events, EventType::OrderCreated).count() == 1 => {}
            // It may still be published.
            _ if !evidence.settled => {}
            Some(events) => complaints.push(format!(
                "create: {id} has {} OrderCreated",
                of_type(events, EventType::OrderCreated).count()
            )),
            None => complaints.push(format!("lost: {id} was answered, and nobody heard of it")),
        }
    }
    let nothing = Vec::new();
    let no_parcels = Vec::new();
    for (order, events) in &evidence.orders {
        if of_type(events, EventType::OrderCreated).next().is_none() {
            continue;
        }
        let story = Story {
            order,
            events,
            settled: evidence.settled,
            charges: evidence.charges.get(order).unwrap_or(&nothing),
            parcels: evidence.parcels.get(order).unwrap_or(&no_parcels),
        };
        story.check(&mut complaints);
    }
    for order in evidence.charges.keys().chain(evidence.parcels.keys()) {
        if evidence.settled && !evidence.orders.contains_key(order) {
            complaints.push(format!(
                "money: {order} was charged or shipped, and is no order"
            ));
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
}

pub(super) fn of_type(
    events: &BTreeMap<String, Published>,
    kind: EventType,
) -> impl Iterator<Item = &Event> {
    let events = events.values().map(|published| &published.event);
    events.filter(move |event| event.event_type() == kind)
}

/// An order and everything that happened to it.
struct Story<'a> {
    order: &'a str,
    /// Otherwise what is not there may still come.
    settled: bool,
    events: &'a BTreeMap<String, Published>,
    charges: &'a [(String, Charge)],
    parcels: &'a [(String, Parcel)],
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Confirmed,
    Cancelled,
}

impl Story<'_> {
    fn check(&self, complaints: &mut Vec<String>) {
        let outcome = self.outcome(complaints);
        self.once_per_attempt(complaints);
        self.books(outcome, complaints);
    }

    fn attempts(&self) -> u32 {
        let retried = of_type(self.events, EventType::OrderRetried);
        let latest = retried.filter_map(|event| event.payload.attempt()).max();
        latest.unwrap_or(1)
    }

    /// The outcome of the latest attempt: each attempt has exactly one, and nothing comes after a confirmation.
    fn outcome(&self, complaints: &mut Vec<String>) -> Option<Outcome> {
        let order = self.order;
        let mut outcomes: BTreeMap<u32, Vec<Outcome>> = BTreeMap::new();
        for (kind, outcome) in [
            (EventType::OrderConfirmed, Outcome::Confirmed),
            (EventType::OrderCancelled, Outcome::Cancelled),
        ] {
            for event in of_type(self.events, kind) {
                let attempt = event.payload.attempt().unwrap_or(1);
                outcomes.entry(attempt).or_default().push(outcome);
            }
        }
        let attempts = self.attempts();
        let known: BTreeSet<u32> = outcomes.keys().copied().collect();
        if self.settled && known != (1..=attempts).collect() {
            complaints.push(format!(
                "outcome: {order} had {attempts} attempts, and outcomes of {known:?}"
            ));
        }
        for (attempt, outcomes) in &outcomes {
            let is_last = *attempt == attempts;
            if outcomes.len() != 1 || (!is_last && outcomes.contains(&Outcome::Confirmed)) {
                complaints.push(format!(
                    "outcome: attempt {attempt} of {attempts} of {order} ended {outcomes:?}"
                ));
            }
        }
        outcomes.get(&attempts)?.last().copied()
    }

    /// What can happen once in an attempt happened once at most.
    fn once_per_attempt(&self, complaints: &mut Vec<String>) {
        let mut seen: BTreeMap<(&str, u32), u32> = BTreeMap::new();
        for published in self.events.values() {
            let event = &published.event;
            let what = match &event.payload {
                Payload::InventoryReserved(_) | Payload::InventoryFailed(_) => "a reservation",
                Payload::InventoryReleased(_) => "a release",
                Payload::PaymentAuthorized(_) | Payload::PaymentFailed(_) => "a charge",
                Payload::PaymentRefunded(_) => "a refund",
                Payload::OrderShipped(_) | Payload::ShippingFailed(_) => "a shipment",
                Payload::OrderRetried(_) => "a retry",
                Payload::CompensationRequested(request)
                    if request.decided_by == Some(Authority::Shipping) =>
                {
                    match request.action {
                        sagaline_contracts::payload::Action::RefundPayment => "a ruled refund",
                        sagaline_contracts::payload::Action::ReleaseInventory => "a ruled release",
                    }
                }
                _ => continue,
            };
            let attempt = event.payload.attempt().unwrap_or(1);
            *seen.entry((what, attempt)).or_default() += 1;
        }
        for ((what, attempt), times) in seen.into_iter().filter(|(_, times)| *times > 1) {
            complaints.push(format!(
                "one effect: {} had {what} {times} times in attempt {attempt}",
                self.order
            ));
        }
    }

    /// The books of gateway and carrier against the outcome.
    fn books(&self, outcome: Option<Outcome>, complaints: &mut Vec<String>) {
        let order = self.order;
        let Some(Payload::OrderCreated(created)) = of_type(self.events, EventType::OrderCreated)
            .map(|event| &event.payload)
            .next()
        else {
            return;
        };
        let total = created.total.cents();
        let attempts = self.attempts();
        let is_key = |key: &str| {
            let attempt = key
                .strip_prefix(order)
                .and_then(|rest| rest.strip_prefix('/'));
            attempt
                .and_then(|attempt| attempt.parse().ok())
                .is_some_and(|attempt: u32| (1..=attempts).contains(&attempt))
        };
        for (key, charge) in self.charges {
            if !is_key(key) {
                complaints.push(format!("money: {order} was charged under {key}"));
            }
            if charge.refund_keys.len() > 1 || charge.refunded > charge.captured {
                complaints.push(format!(
                    "money: {key} was paid back more than once: {charge:?}"
                ));
            }
            if charge.captured != 0 && charge.captured != total {
                complaints.push(format!(
                    "money: {key} was charged {} of {total}",
                    charge.captured
                ));
            }
        }
        let kept: i64 = self
            .charges
            .iter()
            .map(|(_, charge)| charge.captured - charge.refunded)
            .sum();
        let standing = self.parcels.iter().filter(|(_, parcel)| parcel.stands());
        let standing: Vec<_> = standing.collect();
        for (key, parcel) in &standing {
            if parcel.paid != total {
                complaints.push(format!(
                    "money: {key} went out with {} paid of {total}",
                    parcel.paid
                ));
            }
        }
        let refunded = of_type(self.events, EventType::PaymentRefunded)
            .next()
            .is_some();
        let shipped = of_type(self.events, EventType::OrderShipped).count();
        match outcome {
            _ if !self.settled => {}
            Some(Outcome::Confirmed) => {
                if standing.len() != 1 || shipped != 1 {
                    complaints.push(format!(
                        "goods: {order} is confirmed with {} parcels and {shipped} OrderShipped",
                        standing.len()
                    ));
                }
                if kept != total && !(refunded && kept == 0) {
                    complaints.push(format!(
                        "money: {order} is confirmed with {kept} kept of {total}"
                    ));
                }
            }
            Some(Outcome::Cancelled) => {
                if !standing.is_empty() || shipped > 0 {
                    complaints.push(format!(
                        "goods: {order} is cancelled with {} parcels and {shipped} OrderShipped",
                        standing.len()
                    ));
                }
                if kept != 0 {
                    complaints.push(format!(
                        "money: {order} is cancelled with {kept} kept of {total}"
                    ));
                }
            }
            None => {}
        }
    }
}
