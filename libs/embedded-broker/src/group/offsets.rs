//! Committed offsets of one group.

use std::collections::{BTreeMap, HashMap};

/// Where a group goes on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Offsets by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    topics: HashMap<String, BTreeMap<i32, CommittedOffset>>,
}

impl Offsets {
    pub(crate) fn commit(&mut self, topic: &str, partition: i32, offset: CommittedOffset) {
        if let Some(partitions) = self.topics.get_mut(topic) {
            partitions.insert(partition, offset);
        } else {
            self.topics
                .insert(topic.to_owned(), BTreeMap::from([(partition, offset)]));
        }
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    pub(crate) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else {
            return false;
        };
        let removed = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    pub(crate) fn remove_topic(&mut self, topic: &str) -> bool {
        self.topics.remove(topic).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// All of them, by topic.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, CommittedOffset>)> {
        self.topics
            .iter()
            .map(|(topic, partitions)| (topic.as_str(), partitions))
    }
}
