//! What met what: which event came in which state of its order, while which fault was about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A state of an order at a service.
pub type State = (&'static str, String);

/// What met what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How often an event came in a state of its order.
    pub events: BTreeMap<(State, String), u64>,
    /// Which faults had struck shortly before.
    pub faults: BTreeSet<(State, String, &'static str)>,
}

impl Coverage {
    /// An event came to a service.
    pub(crate) fn note(&mut self, state: &State, topic: &str, faults: &[&'static str]) {
        let event = (state.clone(), topic.to_owned());
        *self.events.entry(event).or_default() += 1;
        for fault in faults {
            self.faults.insert((state.clone(), topic.to_owned(), fault));
        }
    }

    /// Pairs that could have met and never did: an event that came to a service, and a state that was seen there.
    pub fn never_met(&self) -> Vec<(State, String)> {
        let mut topics: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for ((service, _), topic) in self.events.keys() {
            topics.entry(service).or_default().insert(topic);
        }
        let mut never = Vec::new();
        for ((service, state), _) in self.events.keys() {
            for topic in topics.get(service).into_iter().flatten() {
                let pair = ((*service, state.clone()), (*topic).to_owned());
                if !self.events.contains_key(&pair) {
                    never.push(pair);
                }
            }
        }
        never.sort_unstable();
        never.dedup();
        never
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (event, times) in &other.events {
            *self.events.entry(event.clone()).or_default() += times;
        }
        self.faults.extend(other.faults.iter().cloned());
    }
}

/// The name of a record's state, as its document says it.
pub(crate) fn state_of(body: Option<&[u8]>) -> String {
    let Some(record) = body.and_then(|body| serde_json::from_slice::<Value>(body).ok()) else {
        return "unknown".to_owned();
    };
    let state = &record["state"];
    let told = [
        &state["phase"],
        &state["charge"]["status"],
        &state["shipment"]["status"],
        &state["hold"],
    ];
    let named = told.into_iter().find_map(|told| match told {
        Value::String(name) => Some(name.clone()),
        Value::Object(fields) => fields.keys().next().cloned(),
        _ => None,
    });
    let parked = record["parked"]
        .as_array()
        .is_some_and(|parked| !parked.is_empty());
    let mut name = named.unwrap_or_else(|| "none".to_owned()).to_lowercase();
    if parked {
        name.push_str(", parked");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_met_is_a_state_and_an_event_of_one_service() {
        let mut coverage = Coverage::default();
        let state = |service, name: &str| (service, name.to_owned());
        coverage.note(&state("a", "one"), "X", &[]);
        coverage.note(&state("a", "two"), "X", &[]);
        coverage.note(&state("a", "two"), "Y", &[]);
        coverage.note(&state("b", "one"), "Z", &[]);
        assert_eq!(coverage.never_met(), [(state("a", "one"), "Y".to_owned())]);
    }
}
