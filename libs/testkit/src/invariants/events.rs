//! What was published, by order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{Broken, Violations};
use crate::topics::TopicMessage;

/// An order's events by their ids.
pub(super) type Events = BTreeMap<String, Value>;

/// The valid events by order and event id. The same id must mean the same event, on every redelivery.
pub(super) fn by_order(
    messages: &[TopicMessage],
    foreign: &BTreeSet<String>,
    found: &mut Violations,
) -> HashMap<String, Events> {
    let mut orders: HashMap<String, Events> = HashMap::new();
    for message in messages {
        let event = message.json();
        let (Some(id), Some(order), Some(kind)) = (
            event["eventId"].as_str(),
            event["payload"]["orderId"].as_str(),
            event["type"].as_str(),
        ) else {
            continue;
        };
        if kind != message.topic || message.key.as_deref() != Some(order.as_bytes()) {
            if !foreign.contains(id) {
                let topic = &message.topic;
                let what = format!("an event of ours breaks the contract on {topic}: {event}");
                found.push(Broken::Wrong, what);
            }
            continue;
        }
        let known = orders.entry(order.to_owned()).or_default();
        match known.get(id) {
            Some(first) if !same(first, &event) && !foreign.contains(id) => {
                let what = format!(
                    "event {id} was published twice with different contents: {first} / {event}"
                );
                found.push(Broken::Wrong, what);
            }
            Some(_) => {}
            None => {
                known.insert(id.to_owned(), event);
            }
        }
    }
    orders
}

/// Whether two messages are the same event. Two clicks on a button are one command, but each has its own time and names the attempt that
/// its reader knew of; the first one on the topic counts.
fn same(first: &Value, second: &Value) -> bool {
    let command = [
        "ops.RetryRequested.v1",
        "ops.CompensationRequested.v1",
        "ops.RedriveRequested.v1",
    ]
    .iter()
    .any(|kind| first["type"] == *kind);
    // A decision about a dead letter names the death that it answers to.
    let is_click = first["causationId"].is_null() || first["type"] == "ops.RedriveRequested.v1";
    if !command || !is_click {
        return first == second;
    }
    let timeless = |event: &Value| {
        let mut event = event.clone();
        event["timestamp"] = Value::Null;
        if event["payload"].is_object() {
            event["payload"]["attempt"] = Value::Null;
        }
        event
    };
    timeless(first) == timeless(second)
}

/// The events of a type, by its short name.
pub(super) fn of_type<'a>(events: &'a Events, name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.values().filter(move |event| {
        event["type"]
            .as_str()
            .is_some_and(|kind| kind.split('.').nth(1) == Some(name))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_clicks_are_the_same_event_at_two_times_and_two_effects_are_not() {
        let event = |kind: &str, cause: Value, at: &str| json!({ "type": kind, "causationId": cause, "timestamp": at, "payload": {} });
        let pair =
            |kind, cause: Value| same(&event(kind, cause.clone(), "1"), &event(kind, cause, "2"));
        assert!(pair("ops.RetryRequested.v1", Value::Null));
        assert!(pair("ops.RedriveRequested.v1", json!("a death")));
        assert!(!pair("ops.CompensationRequested.v1", json!("an event")));
        assert!(!pair("order.OrderRetried.v1", json!("a command")));
    }
}
