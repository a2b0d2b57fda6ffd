//! The topics by name.

use super::partition::Home;
use super::settings::{LogSettings, effective_settings};
use super::topic::{Topic, TopicError};
use crate::clock;
use crate::config::BrokerConfig;
use crate::journal::{Record, RecoveredTopic, TopicRecord};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

const MAX_NAME_LEN: usize = 249;

#[derive(Debug)]
struct Topics {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    next_number: u32,
    partitions: usize,
}

/// All topics of a broker. Changes are recorded in the journal under the lock that makes them, so that they are on
/// disk in the order in which they were made.
#[derive(Debug)]
pub(crate) struct TopicRegistry {
    topics: RwLock<Topics>,
    defaults: LogSettings,
    max_partitions: usize,
    home: Option<Home>,
}

impl TopicRegistry {
    pub(crate) fn new(config: &BrokerConfig, home: Option<Home>) -> Self {
        let is_durable = home.is_some();
        Self {
            topics: RwLock::new(Topics {
                by_name: HashMap::new(),
                next_number: 1,
                partitions: 0,
            }),
            defaults: LogSettings {
                // On disk the size of the whole log is limited instead.
                retention_bytes: if is_durable {
                    u64::MAX
                } else {
                    config.retention_bytes
                },
                retention: config.retention,
                message_max_bytes: config.message_max_bytes,
            },
            max_partitions: config.max_partitions,
            home,
        }
    }

    /// Takes over the topics of an earlier run.
    pub(crate) fn restore(
        &self,
        recovered: impl IntoIterator<Item = RecoveredTopic>,
        next_number: u32,
    ) {
        let mut topics = self.topics.write();
        topics.next_number = topics.next_number.max(next_number);
        for topic in recovered {
            let topic = Arc::new(Topic::restore(topic, &self.defaults, self.home.as_ref()));
            topics.partitions += topic.partition_count();
            topics.by_name.insert(Arc::clone(&topic.name), topic);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().by_name.get(name).cloned()
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        let mut all: Vec<_> = self.topics.read().by_name.values().cloned().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The number of the next topic.
    pub(crate) fn next_number(&self) -> u32 {
        self.topics.read().next_number
    }

    pub(crate) fn defaults(&self) -> LogSettings {
        self.defaults
    }

    /// Whether [`create`](Self::create) would succeed.
    pub(crate) fn check_new(
        &self,
        name: &str,
        partitions: i32,
        overrides: &BTreeMap<String, String>,
    ) -> Result<(), TopicError> {
        self.check(&self.topics.read(), name, partitions, overrides)
            .map(drop)
    }

    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        overrides: BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, TopicError> {
        let mut topics = self.topics.write();
        let (settings, count) = self.check(&topics, name, partitions, &overrides)?;
        let number = topics.next_number;
        topics.next_number += 1;
        let record = TopicRecord {
            number,
            name: name.to_owned(),
            id: Uuid::from_u64_pair(clock::wall_millis().cast_unsigned(), number.into()),
            partitions: count,
            overrides,
        };
        let topic = Arc::new(Topic::new(record, settings, self.home.as_ref()));
        self.record(&Record::Topic(topic.record()));
        topics.partitions += topic.partition_count();
        topics
            .by_name
            .insert(Arc::clone(&topic.name), Arc::clone(&topic));
        Ok(topic)
    }

    /// The new topic's limits and number of partitions.
    fn check(
        &self,
        topics: &Topics,
        name: &str,
        partitions: i32,
        overrides: &BTreeMap<String, String>,
    ) -> Result<(LogSettings, u32), TopicError> {
        check_name(name)?;
        let settings = effective_settings(&self.defaults, overrides)?;
        if topics.by_name.contains_key(name) {
            return Err(TopicError::Exists);
        }
        Ok((settings, self.check_room(topics, partitions)?))
    }

    fn check_room(&self, topics: &Topics, added: i32) -> Result<u32, TopicError> {
        let count = u32::try_from(added).map_err(|_| TopicError::Partitions)?;
        let size = usize::try_from(added).map_err(|_| TopicError::Partitions)?;
        if count == 0 {
            return Err(TopicError::Partitions);
        }
        if topics.partitions.saturating_add(size) > self.max_partitions {
            return Err(TopicError::TooMany);
        }
        Ok(count)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        let topic = {
            let mut topics = self.topics.write();
            let topic = topics.by_name.remove(name).ok_or(TopicError::Unknown)?;
            topics.partitions -= topic.partition_count();
            self.record(&Record::TopicDeleted {
                topic: topic.number,
            });
            topic
        };
        for partition in topic.partitions() {
            partition.wake_all();
        }
        Ok(topic)
    }

    /// Adds partitions until there are `count`; with `validate_only` it only checks.
    pub(crate) fn grow(
        &self,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let mut topics = self.topics.write();
        let topic = Arc::clone(topics.by_name.get(name).ok_or(TopicError::Unknown)?);
        let before = topic.partition_count();
        let present = i32::try_from(before).unwrap_or(i32::MAX);
        self.check_room(&topics, count.saturating_sub(present))?;
        if !validate_only {
            topic.grow(count, self.home.as_ref());
            topics.partitions += topic.partition_count() - before;
            self.record(&Record::Topic(topic.record()));
        }
        Ok(())
    }

    /// Replaces a topic's own settings; with `validate_only` it only checks.
    pub(crate) fn configure(
        &self,
        name: &str,
        overrides: BTreeMap<String, String>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let topics = self.topics.write();
        let topic = topics.by_name.get(name).ok_or(TopicError::Unknown)?;
        let settings = effective_settings(&self.defaults, &overrides)?;
        if !validate_only {
            topic.configure(overrides, settings);
            self.record(&Record::Topic(topic.record()));
        }
        Ok(())
    }

    fn record(&self, record: &Record<'_>) {
        if let Some(home) = &self.home {
            home.journal.record(record);
        }
    }
}

fn check_name(name: &str) -> Result<(), TopicError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty()
        || name.len() > MAX_NAME_LEN
        || name == "."
        || name == ".."
        || !name.chars().all(legal)
    {
        return Err(TopicError::Name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn registry() -> TopicRegistry {
        TopicRegistry::new(
            &BrokerConfig {
                max_partitions: 10,
                ..BrokerConfig::default()
            },
            None,
        )
    }

    #[test]
    fn names_follow_the_rules_of_kafka() {
        assert_eq!(
            registry().create("a/b", 1, BTreeMap::new()).err(),
            Some(TopicError::Name)
        );
        assert_eq!(
            registry().create("..", 1, BTreeMap::new()).err(),
            Some(TopicError::Name)
        );
        assert!(
            registry()
                .create("order.OrderCreated.v1", 1, BTreeMap::new())
                .is_ok()
        );
    }

    #[test]
    fn partitions_are_limited_over_all_topics_and_only_grow() {
        let topics = registry();
        topics.create("a", 6, BTreeMap::new()).unwrap();
        assert_eq!(
            topics.create("b", 5, BTreeMap::new()).err(),
            Some(TopicError::TooMany)
        );
        assert_eq!(topics.grow("a", 6, false), Err(TopicError::Partitions));
        assert_eq!(topics.grow("a", 11, false), Err(TopicError::TooMany));
        topics.grow("a", 10, false).unwrap();
        assert_eq!(topics.get("a").unwrap().partition_count(), 10);
        topics.delete("a").unwrap();
        topics.create("b", 10, BTreeMap::new()).unwrap();
    }

    #[test]
    fn settings_are_checked_and_take_effect() {
        let topics = registry();
        topics.create("a", 1, BTreeMap::new()).unwrap();
        let set = |key: &str, value: &str| {
            topics.configure(
                "a",
                BTreeMap::from([(key.to_owned(), value.to_owned())]),
                false,
            )
        };
        assert_eq!(set("cleanup.policy", "compact"), Err(TopicError::Config));
        assert_eq!(set("no.such.setting", "1"), Err(TopicError::Config));
        set("retention.ms", "1000").unwrap();
        let settings = topics.get("a").unwrap().settings();
        assert_eq!(settings.retention, Some(Duration::from_secs(1)));
        set("retention.bytes", "-1").unwrap();
        let settings = topics.get("a").unwrap().settings();
        assert_eq!(
            (settings.retention, settings.retention_bytes),
            (None, u64::MAX)
        );
    }
}
