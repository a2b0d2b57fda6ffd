//! The read model shows exactly what was published.

use std::collections::BTreeSet;

use serde_json::Value;

use super::events::Events;
use super::{Broken, TOPICS, Violations};
use crate::client::Client;

/// The timeline shows the published events, each once, and no effect before its cause. Gives those that it shows besides: they
/// may have been published since the topics were read.
pub(super) async fn check(
    client: &Client,
    id: &str,
    projection: &Value,
    events: &Events,
    found: &mut Violations,
) -> Vec<String> {
    let published: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    let shown_all = |projection: &Value| {
        let shown: BTreeSet<String> = ids(projection).into_iter().collect();
        published.iter().all(|id| shown.contains(*id))
    };
    let projection = match client.until(id, "complete", shown_all).await {
        Ok(projection) => projection,
        Err(_) => projection.clone(),
    };
    let mut seen = BTreeSet::new();
    let shown = ids(&projection);
    for event in &shown {
        if !seen.insert(event.as_str()) {
            let what = format!("order {id} shows event {event} twice");
            found.push(Broken::Doubled, what);
        }
        let cause = events
            .get(event)
            .and_then(|event| event["causationId"].as_str());
        if let Some(cause) = cause.filter(|cause| published.contains(cause))
            && !seen.contains(cause)
        {
            let what = format!("order {id} shows event {event} before its cause {cause}");
            found.push(Broken::Wrong, what);
        }
    }
    let missing: Vec<&&str> = published
        .iter()
        .filter(|event| !seen.contains(**event))
        .collect();
    if !missing.is_empty() {
        let what = format!("order {id} does not show {missing:?}");
        found.push(Broken::Lost, what);
    }
    let besides = shown
        .iter()
        .filter(|event| !published.contains(event.as_str()));
    besides.cloned().collect()
}

/// Whether the order was cancelled because it took too long.
pub(super) fn was_timed_out(projection: &Value) -> bool {
    let entries = projection["timeline"].as_array();
    let mut latest_first = entries.into_iter().flatten().rev();
    let last = latest_first.find(|entry| entry["type"] == "order.OrderCancelled.v1");
    last.is_some_and(|entry| entry["details"]["reason"] == "timeout")
}

/// Event ids of the timeline, without dead letters.
fn ids(projection: &Value) -> Vec<String> {
    let entries = projection["timeline"].as_array();
    entries
        .into_iter()
        .flatten()
        .filter(|entry| {
            entry["type"]
                .as_str()
                .is_some_and(|kind| TOPICS.contains(&kind))
        })
        .filter_map(|entry| entry["eventId"].as_str().map(str::to_owned))
        .collect()
}
