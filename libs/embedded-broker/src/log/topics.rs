//! The topics by name, with the settings that can be changed per topic.

use super::partition::{LogSettings, Partition};
use crate::clock;
use crate::config::BrokerConfig;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const MAX_NAME_LEN: usize = 249;
/// Settings that take effect.
pub(crate) const RETENTION_BYTES: &str = "retention.bytes";
pub(crate) const RETENTION_MS: &str = "retention.ms";
pub(crate) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
/// Settings that are accepted for compatibility, stored and reported, with Kafka's defaults.
pub(crate) const REPORTED_ONLY: [(&str, &str); 9] = [
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("message.timestamp.type", "CreateTime"),
    ("min.insync.replicas", "1"),
    ("segment.bytes", "67108864"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

/// Why a topic cannot be created or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicError {
    Exists,
    Unknown,
    Name,
    Partitions,
    TooMany,
    Config,
}

impl TopicError {
    /// What is wrong, for people.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Exists => "a topic with this name exists",
            Self::Unknown => "there is no such topic",
            Self::Name => "a name has 1 to 249 letters, digits, '.', '_' or '-' and is not '.' or '..'",
            Self::Partitions => "the number of partitions must be positive, and can only grow",
            Self::TooMany => "the broker's limit of partitions is reached",
            Self::Config => "a setting is unknown or its value is not valid; cleanup.policy can only be delete",
        }
    }
}

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    partitions: RwLock<Vec<Arc<Partition>>>,
    overrides: RwLock<BTreeMap<String, String>>,
    settings: RwLock<LogSettings>,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.read().get(index).cloned()
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.read().len()
    }

    pub(crate) fn settings(&self) -> LogSettings {
        *self.settings.read()
    }

    pub(crate) fn overrides(&self) -> BTreeMap<String, String> {
        self.overrides.read().clone()
    }
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    created: u64,
    partitions: usize,
}

/// All topics of a broker.
#[derive(Debug)]
pub(crate) struct TopicRegistry {
    topics: RwLock<Topics>,
    defaults: LogSettings,
    max_partitions: usize,
}

impl TopicRegistry {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        Self {
            topics: RwLock::default(),
            defaults: LogSettings {
                retention_bytes: config.retention_bytes,
                retention: config.retention,
                message_max_bytes: config.message_max_bytes,
            },
            max_partitions: config.max_partitions,
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
        check_name(name)?;
        effective_settings(&self.defaults, overrides)?;
        let topics = self.topics.read();
        if topics.by_name.contains_key(name) {
            return Err(TopicError::Exists);
        }
        self.check_room(&topics, partitions)
    }

    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        overrides: BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, TopicError> {
        check_name(name)?;
        let settings = effective_settings(&self.defaults, &overrides)?;
        let mut topics = self.topics.write();
        if topics.by_name.contains_key(name) {
            return Err(TopicError::Exists);
        }
        self.check_room(&topics, partitions)?;
        topics.created += 1;
        let id = Uuid::from_u64_pair(clock::wall_millis().cast_unsigned(), topics.created);
        let topic = Arc::new(Topic {
            name: Arc::from(name),
            id,
            partitions: RwLock::new((0..partitions).map(Partition::new).collect()),
            overrides: RwLock::new(overrides),
            settings: RwLock::new(settings),
        });
        topics.partitions += topic.partition_count();
        topics.by_name.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        Ok(topic)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        let mut topics = self.topics.write();
        let topic = topics.by_name.remove(name).ok_or(TopicError::Unknown)?;
        topics.partitions -= topic.partition_count();
        drop(topics);
        for partition in topic.partitions() {
            partition.wake_all();
        }
        Ok(topic)
    }

    /// Adds partitions until there are `count`; with `validate_only` it only checks.
    pub(crate) fn grow(&self, name: &str, count: i32, validate_only: bool) -> Result<(), TopicError> {
        let mut topics = self.topics.write();
        let topic = Arc::clone(topics.by_name.get(name).ok_or(TopicError::Unknown)?);
        let mut partitions = topic.partitions.write();
        let present = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let added = count.checked_sub(present).ok_or(TopicError::Partitions)?;
        self.check_room(&topics, added)?;
        if !validate_only {
            partitions.extend((present..count).map(Partition::new));
            topics.partitions += usize::try_from(added).unwrap_or(0);
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
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        let settings = effective_settings(&self.defaults, &overrides)?;
        if !validate_only {
            *topic.overrides.write() = overrides;
            *topic.settings.write() = settings;
        }
        Ok(())
    }

    fn check_room(&self, topics: &Topics, added: i32) -> Result<(), TopicError> {
        match usize::try_from(added) {
            Ok(added) if added > 0 => {
                if topics.partitions.saturating_add(added) > self.max_partitions {
                    return Err(TopicError::TooMany);
                }
                Ok(())
            }
            _ => Err(TopicError::Partitions),
        }
    }
}

fn check_name(name: &str) -> Result<(), TopicError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME_LEN || name == "." || name == ".." || !name.chars().all(legal) {
        return Err(TopicError::Name);
    }
    Ok(())
}

/// The limits that follow from a topic's own settings.
fn effective_settings(
    defaults: &LogSettings,
    overrides: &BTreeMap<String, String>,
) -> Result<LogSettings, TopicError> {
    let mut settings = *defaults;
    for (key, value) in overrides {
        match key.as_str() {
            RETENTION_BYTES => settings.retention_bytes = unlimited(value)?.unwrap_or(u64::MAX),
            RETENTION_MS => settings.retention = unlimited(value)?.map(Duration::from_millis),
            MAX_MESSAGE_BYTES => {
                settings.message_max_bytes = value.parse().map_err(|_| TopicError::Config)?;
            }
            "cleanup.policy" if value == "delete" => {}
            "cleanup.policy" => return Err(TopicError::Config),
            other if REPORTED_ONLY.iter().any(|(name, _)| *name == other) => {}
            _ => return Err(TopicError::Config),
        }
    }
    Ok(settings)
}

/// A limit in which -1 means none.
fn unlimited(value: &str) -> Result<Option<u64>, TopicError> {
    match value.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(limit) => u64::try_from(limit).map(Some).map_err(|_| TopicError::Config),
        Err(_) => Err(TopicError::Config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> TopicRegistry {
        TopicRegistry::new(&BrokerConfig {
            max_partitions: 10,
            ..BrokerConfig::default()
        })
    }

    #[test]
    fn names_follow_the_rules_of_kafka() {
        assert_eq!(registry().create("a/b", 1, BTreeMap::new()).err(), Some(TopicError::Name));
        assert_eq!(registry().create("..", 1, BTreeMap::new()).err(), Some(TopicError::Name));
        assert!(registry().create("order.OrderCreated.v1", 1, BTreeMap::new()).is_ok());
    }

    #[test]
    fn partitions_are_limited_over_all_topics_and_only_grow() {
        let topics = registry();
        topics.create("a", 6, BTreeMap::new()).unwrap();
        assert_eq!(topics.create("b", 5, BTreeMap::new()).err(), Some(TopicError::TooMany));
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
            topics.configure("a", BTreeMap::from([(key.to_owned(), value.to_owned())]), false)
        };
        assert_eq!(set("cleanup.policy", "compact"), Err(TopicError::Config));
        assert_eq!(set("no.such.setting", "1"), Err(TopicError::Config));
        set("retention.ms", "1000").unwrap();
        let settings = topics.get("a").unwrap().settings();
        assert_eq!(settings.retention, Some(Duration::from_secs(1)));
        set("retention.bytes", "-1").unwrap();
        let settings = topics.get("a").unwrap().settings();
        assert_eq!((settings.retention, settings.retention_bytes), (None, u64::MAX));
    }
}
