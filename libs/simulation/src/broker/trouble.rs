//! What happens to topics besides messages: some are withheld from a group, they get more partitions, old messages are dropped; and what
//! is watched while messages are written.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;
use sagaline_contracts::EventType;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{Cluster, State, is_service};
use crate::plan::Service;

/// Topics that some group does not get for a while.
#[derive(Debug, Default)]
pub(super) struct Withheld(Vec<(String, usize, Instant)>);

impl Withheld {
    /// How long a group has to wait for a topic, if it has to.
    pub(super) fn left(&self, group: &str, topic: usize) -> Option<Duration> {
        let of_group = self.0.iter();
        let ends = of_group.filter(|(name, of, _)| *of == topic && name == group);
        let until = ends.map(|(.., until)| *until).max()?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

/// Ids of what was published: no effect is published before its cause.
#[derive(Debug, Default)]
pub(super) struct Causes(HashSet<u64, FixedState>);

/// What is read of an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    causation_id: Option<Cow<'a, str>>,
}

impl Causes {
    /// Takes a message in; complains when its cause is not there yet.
    pub(super) fn publish(&mut self, topic: &str, value: &[u8]) -> Option<String> {
        let told: Told<'_> = serde_json::from_slice(value).ok()?;
        let number = |id: &str| FixedState::with_seed(11).hash_one(id);
        self.0.insert(number(&told.event_id));
        if topic == EventType::RedriveRequested.as_str()
            && let Ok(redrive) = serde_json::from_slice::<Value>(value)
            && let Some(id) = redrive["payload"]["event"]["eventId"].as_str()
        {
            // What it carries is handled as if it had been published.
            self.0.insert(number(id));
        }
        let cause = told.causation_id?;
        let is_known = self.0.contains(&number(&cause));
        (!is_known).then(|| {
            format!(
                "causes: {topic} {} is published before its cause {cause}",
                told.event_id
            )
        })
    }
}

impl Cluster {
    /// A group does not get a topic's messages for a while.
    pub(crate) fn withhold(&self, topic: &str, group: &str, millis: u64) {
        self.env.fault("topic withheld");
        let mut state = self.state.lock();
        if let Some(topic) = state.topics.topic(topic) {
            let until = Instant::now() + Duration::from_millis(millis);
            state.withheld.0.push((group.to_owned(), topic, until));
        }
    }

    /// All topics get more partitions. Who consumes has not heard of it yet.
    pub(crate) fn grow(&self, partitions: usize) {
        self.env.fault("more partitions");
        self.state.lock().topics.grow(partitions);
        self.env
            .trace
            .note((18_u8, partitions), || format!("{partitions} partitions"));
    }

    /// A service's group hears of the partitions that there are.
    pub(crate) fn learn(&self, service: Service) {
        let mut state = self.state.lock();
        let State { topics, groups, .. } = &mut *state;
        if let Some(group) = groups.get_mut(service.name()) {
            group.learn(topics);
            group.rebalance(&self.env, topics.partitions());
        }
    }

    /// Drops the messages that every service which reads them has committed.
    pub(crate) fn trim(&self) {
        let mut state = self.state.lock();
        let State { topics, groups, .. } = &mut *state;
        let services: Vec<_> = groups
            .iter()
            .filter(|(name, _)| is_service(name))
            .map(|(_, group)| group)
            .collect();
        if services.len() < Service::ALL.len() {
            // Somebody has not started yet, and has read nothing.
            return;
        }
        let mut dropped = false;
        for slot in 0..topics.slots() {
            let topic = topics.topic_of(slot);
            let readers = services.iter().filter(|group| group.reads(topic));
            if let Some(start) = readers.map(|group| group.committed(slot)).min() {
                dropped |= topics.trim(slot, start);
            }
        }
        if dropped {
            self.env.fault("old messages dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_before_its_cause_is_complained_of_and_one_after_it_is_not() {
        let mut causes = Causes::default();
        let effect = br#"{"eventId":"e-2","causationId":"e-1"}"#;
        let complaint = causes.publish("a.Topic.v1", effect);
        assert!(complaint.is_some_and(|complaint| complaint.starts_with("causes:")));
        assert_eq!(causes.publish("a.Topic.v1", br#"{"eventId":"e-1"}"#), None);
        assert_eq!(causes.publish("a.Topic.v1", effect), None);
        assert_eq!(causes.publish("a.Topic.v1", b"no event"), None);
    }
}
