//! Invariant 7: two clicks are one effect, and everything an operator did is recorded with its outcome.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sagaline_contracts::{EventType, Payload};
use sagaline_store::Store;
use serde_json::Value;

use super::Evidence;
use crate::world::World;

pub(super) async fn check(world: &World, evidence: &mut Evidence) -> Result<()> {
    let mut complaints = Vec::new();
    let audit = world
        .shelf
        .scan(read_model_service::collections::AUDIT, None, 1_000_000)
        .await?;
    let audit: BTreeMap<String, Value> = audit
        .into_iter()
        .filter_map(|document| Some((document.id, serde_json::from_slice(&document.body).ok()?)))
        .collect();
    let mut commands: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for accepted in world.clients.accepted() {
        let clicks = commands.entry(accepted.clicks.clone()).or_default();
        clicks.insert(accepted.command_id.clone());
        let events = accepted
            .order
            .as_ref()
            .and_then(|order| evidence.orders.get(order));
        let published = events.is_some_and(|events| events.contains_key(&accepted.command_id));
        if accepted.order.is_some() && !published {
            complaints.push(format!(
                "operators: {} was accepted ({}), and nobody heard of it",
                accepted.command_id, accepted.clicks
            ));
        }
        match audit.get(&accepted.command_id) {
            None => complaints.push(format!(
                "operators: {} was accepted ({}), and is not in the audit",
                accepted.command_id, accepted.clicks
            )),
            Some(entry) => {
                let complete = entry["requestedBy"].is_string()
                    && entry["command"].is_string()
                    && entry["at"].is_string()
                    && entry["outcome"]
                        .as_str()
                        .is_some_and(|outcome| outcome != "pending");
                if !complete {
                    complaints.push(format!(
                        "operators: the audit of {} is {entry}",
                        accepted.command_id
                    ));
                }
            }
        }
    }
    for (clicks, commands) in commands {
        if commands.len() > 1 {
            complaints.push(format!("operators: the clicks {clicks} were {commands:?}"));
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
    Ok(())
}

/// An attempt begins because somebody asked for one after the attempt before it.
pub(super) fn check_retries(evidence: &mut Evidence) {
    let mut complaints = Vec::new();
    for (order, events) in &evidence.orders {
        for event in super::orders::of_type(events, EventType::OrderRetried) {
            let asked = evidence.cause_of(event);
            let after = asked.and_then(|(asked, _)| match &asked.payload {
                Payload::RetryRequested(asked) => Some(asked.attempt),
                _ => None,
            });
            let began = event.payload.attempt();
            let is_next = match after {
                None => false,
                Some(None) => true,
                Some(Some(attempt)) => began == Some(attempt + 1),
            };
            if !is_next {
                complaints.push(format!(
                    "operators: attempt {began:?} of {order} began because of a click on attempt {after:?}"
                ));
            }
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
}
