//! Invariant 6: a timeline shows exactly what was published, each event once, none before its cause.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sagaline_contracts::EventType;
use serde_json::Value;

use super::Evidence;
use crate::clients::get;
use crate::plan::Service;
use crate::version::known_today;
use crate::world::World;

pub(super) async fn check(world: &World, evidence: &mut Evidence) -> Result<()> {
    let mut complaints = Vec::new();
    let watched = world.clients.watched();
    for (order, events) in &evidence.orders {
        if order.is_empty() {
            continue;
        }
        let request = get(&format!("/orders/{order}"))?;
        let answer = world
            .fronts
            .call(&world.env, Service::ReadModel, request)
            .await;
        let Some(answer) = answer.filter(|answer| answer.status == 200) else {
            let knows = super::orders::of_type(events, EventType::OrderCreated)
                .next()
                .is_some();
            if knows {
                complaints.push(format!("timeline: {order} is not shown"));
            }
            continue;
        };
        let timeline = answer.body["timeline"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let (mut shown, mut corrected) = (BTreeSet::new(), BTreeSet::new());
        for entry in &timeline {
            let id = entry["eventId"].as_str().unwrap_or_default();
            if !shown.insert(id) {
                complaints.push(format!("timeline: {order} shows {id} twice"));
            }
            let cause = entry["causationId"].as_str();
            if evidence.corrected.contains_key(id) {
                // An operator has sent it; it stands on no topic by itself.
                corrected.insert(id);
            }
            if let Some(cause) = cause.filter(|cause| events.contains_key(*cause))
                && !shown.contains(cause)
            {
                complaints.push(format!(
                    "timeline: {order} shows {id} before its cause {cause}"
                ));
            }
        }
        let published: BTreeSet<&str> = events.keys().map(String::as_str).collect();
        if shown != published {
            let missing: Vec<_> = published.difference(&shown).collect();
            let invented = shown.difference(&published);
            let invented: Vec<_> = invented.filter(|id| !corrected.contains(*id)).collect();
            if missing.is_empty() && invented.is_empty() {
                continue;
            }
            complaints.push(format!(
                "timeline: {order} does not show {missing:?}, and shows {invented:?} of nowhere"
            ));
        }
        for seen in watched.get(order).into_iter().flatten() {
            let told = count(seen, evidence);
            let wanted = count(&timeline, evidence);
            if told != wanted {
                complaints.push(format!(
                    "stream: a reader of {order} was told {told:?} instead of {wanted:?}"
                ));
            }
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
    Ok(())
}

/// How often each event was told, by what it says.
fn count(entries: &[Value], evidence: &Evidence) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        // Two copies of one event, by two versions of a service: either may be shown.
        let what = known_today(&format!("{} {}", entry["type"], details(entry, evidence)));
        *counts.entry(what).or_default() += 1;
    }
    counts
}

/// What an event says. Of a command that was repeated under one key a reader was told the copy that came first, and the timeline shows the
/// earlier one: either names one of the attempts that were published.
fn details(entry: &Value, evidence: &Evidence) -> Value {
    let mut details = entry["details"].clone();
    let attempts = entry["eventId"]
        .as_str()
        .and_then(|id| evidence.repeated.get(id));
    let attempt = details["attempt"]
        .as_u64()
        .and_then(|attempt| u32::try_from(attempt).ok());
    if let (Some(attempts), Some(fields)) = (attempts, details.as_object_mut())
        && attempts.contains(&attempt)
    {
        fields.remove("attempt");
    }
    details
}
