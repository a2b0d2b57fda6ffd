//! No event overtakes an earlier parked one of its order, as far as that is seen from the outside: what a consumer tells because of
//! a message that stands behind one that it could not handle is later than the decision about that one.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::letters::{Deaths, key, poison};
use super::{Broken, Violations};
use crate::lag::consumers_of;
use crate::operators::Poison;
use crate::topics::TopicMessage;

/// When it was first said what becomes of a letter at a consumer: times are written in one width, so they compare as texts.
type Decided = HashMap<(String, &'static str), String>;
/// Where an event stands first; nowhere, when it has copies in several partitions, for there was no order among them.
type First<'a> = HashMap<String, Option<(&'a str, i32, i64)>>;

/// Checks everything that was told because of what stood behind a message that is no event. Gives how many events waited so.
pub(super) fn check(messages: &[TopicMessage], deaths: &Deaths, found: &mut Violations) -> usize {
    let dead = poison(messages);
    let decided = decided(messages, &dead, deaths);
    let first = first_places(messages);
    let mut waited = HashSet::new();
    for message in messages {
        let Some(teller) = teller(&message.topic) else {
            continue;
        };
        let event = message.json();
        let cause = event["causationId"]
            .as_str()
            .and_then(|cause| first.get(cause));
        let Some(cause) = cause.copied().flatten() else {
            continue;
        };
        let id = event["eventId"].as_str().unwrap_or_default();
        for dead in dead
            .iter()
            .filter(|dead| dead.order == key(message) && is_before(dead, cause))
        {
            if !consumers_of(&dead.topic).contains(&teller) || !waited.insert((id.to_owned(), dead))
            {
                continue;
            }
            let letter = deaths.letter(dead).unwrap_or_default();
            let said = decided.get(&(letter.to_owned(), teller));
            if said.is_none_or(|said| event["timestamp"].as_str() <= Some(said)) {
                let what = format!(
                    "{teller} handled {cause:?} ahead of {dead:?}, decided at {said:?}: {event}"
                );
                found.push(Broken::Wrong, what);
            }
        }
    }
    waited.len()
}

fn is_before(dead: &Poison, (topic, partition, offset): (&str, i32, i64)) -> bool {
    dead.topic == topic && dead.partition == partition && dead.offset < offset
}

/// Who tells the events of a topic; commands are anybody's.
fn teller(topic: &str) -> Option<&'static str> {
    match topic.split('.').next()? {
        "order" => Some("order-service"),
        "inventory" => Some("inventory-service"),
        "payment" => Some("payment-service"),
        "shipping" => Some("shipping-service"),
        _ => None,
    }
}

fn first_places(messages: &[TopicMessage]) -> First<'_> {
    let mut first = First::new();
    for message in messages {
        let Some(id) = message.json()["eventId"].as_str().map(str::to_owned) else {
            continue;
        };
        let here = (message.topic.as_str(), message.partition, message.offset);
        let known = first.entry(id).or_insert(Some(here));
        *known = known
            .filter(|place| (place.0, place.1) == (here.0, here.1))
            .map(|place| if place.2 < here.2 { place } else { here });
    }
    first
}

fn decided(messages: &[TopicMessage], dead: &BTreeSet<Poison>, deaths: &Deaths) -> Decided {
    let topics: HashMap<&str, &str> = dead
        .iter()
        .filter_map(|dead| Some((deaths.letter(dead)?, dead.topic.as_str())))
        .collect();
    let mut decided = Decided::new();
    for message in messages
        .iter()
        .filter(|message| message.topic == "ops.RedriveRequested.v1")
    {
        let event = message.json();
        let letter = event["payload"]["deadLetterId"]
            .as_str()
            .unwrap_or_default();
        let at = event["timestamp"].as_str().unwrap_or_default();
        let named = event["payload"]["consumers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for consumer in topics
            .get(letter)
            .map(|topic| consumers_of(topic))
            .unwrap_or_default()
        {
            if named.is_empty() || named.iter().any(|name| name == consumer) {
                let first = decided
                    .entry((letter.to_owned(), consumer))
                    .or_insert_with(|| at.to_owned());
                if at < first.as_str() {
                    at.clone_into(first);
                }
            }
        }
    }
    decided
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TOPIC: &str = "order.OrderRetried.v1";

    fn message(topic: &str, offset: i64, value: &Value) -> TopicMessage {
        TopicMessage {
            topic: topic.to_owned(),
            partition: 0,
            offset,
            key: Some(b"o-1".to_vec()),
            value: Some(value.to_string().into_bytes()),
        }
    }

    fn event(topic: &str, offset: i64, id: &str, cause: &str, at: &str) -> TopicMessage {
        let event = json!({ "eventId": id, "causationId": cause, "timestamp": at });
        message(topic, offset, &event)
    }

    fn decision(consumers: &[&str]) -> TopicMessage {
        let payload = json!({ "deadLetterId": "l-1", "consumers": consumers });
        let event = json!({ "eventId": "c-1", "timestamp": "2", "payload": payload });
        message("ops.RedriveRequested.v1", 0, &event)
    }

    /// Poison before a retry, a decision, and a reservation at some time; how many waited, and how many overtook.
    fn tried(reserved_at: &str, retried_at_offset: i64, consumers: &[&str]) -> (usize, usize) {
        let letter = json!({
            "originalTopic": TOPIC, "partition": 0, "offset": 7, "deadLetterId": "l-1", "consumer": "inventory-service",
        });
        let death = json!({ "eventId": "d-1", "payload": letter });
        let deaths = Deaths::told(&[message("order.OrderRetried.v1.dlq", 0, &death)]);
        let messages = [
            message(TOPIC, 7, &json!({ "poison": true })),
            event(TOPIC, retried_at_offset, "e-1", "c-0", "1"),
            decision(consumers),
            event(
                "inventory.InventoryReserved.v1",
                3,
                "e-2",
                "e-1",
                reserved_at,
            ),
        ];
        let mut found = Violations::default();
        let waited = check(&messages, &deaths, &mut found);
        (waited, found.count(Broken::Wrong))
    }

    #[test]
    fn what_was_told_after_the_decision_waited_and_what_was_told_before_overtook() {
        assert_eq!(tried("3", 8, &[]), (1, 0));
        assert_eq!(tried("3", 8, &["inventory-service"]), (1, 0));
        assert_eq!(tried("1", 8, &[]), (1, 1));
    }

    #[test]
    fn what_nobody_decided_for_this_consumer_lets_nothing_pass() {
        assert_eq!(tried("3", 8, &["read-model-service"]), (1, 1));
    }

    #[test]
    fn what_stood_in_front_did_not_have_to_wait() {
        assert_eq!(tried("1", 6, &[]), (0, 0));
    }
}
