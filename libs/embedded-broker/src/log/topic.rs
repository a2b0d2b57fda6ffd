//! One topic: its partitions and its settings.

use super::partition::{Home, Partition};
use super::settings::{LogSettings, effective_settings};
use crate::journal::{RecoveredTopic, TopicRecord};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

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
            Self::Name => {
                "a name has 1 to 249 letters, digits, '.', '_' or '-' and is not '.' or '..'"
            }
            Self::Partitions => "the number of partitions must be positive, and can only grow",
            Self::TooMany => "the broker's limit of partitions is reached",
            Self::Config => {
                "a setting is unknown or its value is not valid; cleanup.policy can only be delete"
            }
        }
    }
}

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Its identity on disk: a topic that is deleted and created again has another.
    pub(crate) number: u32,
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    partitions: RwLock<Vec<Arc<Partition>>>,
    overrides: RwLock<BTreeMap<String, String>>,
    settings: RwLock<LogSettings>,
}

impl Topic {
    /// A topic without batches.
    pub(super) fn new(record: TopicRecord, settings: LogSettings, home: Option<&Home>) -> Self {
        let count = i32::try_from(record.partitions).unwrap_or(i32::MAX);
        let partitions =
            (0..count).map(|index| Partition::new(record.number, index, home.cloned()));
        Self::with_partitions(partitions.collect(), record, settings)
    }

    /// A topic of an earlier run.
    pub(super) fn restore(
        recovered: RecoveredTopic,
        defaults: &LogSettings,
        home: Option<&Home>,
    ) -> Self {
        let record = recovered.record;
        // Settings were checked before they were recorded; those that a newer version refuses do not apply.
        let settings = effective_settings(defaults, &record.overrides).unwrap_or(*defaults);
        let partitions = recovered.partitions.into_iter().zip(0..);
        let partitions = partitions.map(|(recovered, index)| {
            Partition::restore(record.number, index, home.cloned(), recovered)
        });
        Self::with_partitions(partitions.collect(), record, settings)
    }

    fn with_partitions(
        partitions: Vec<Arc<Partition>>,
        record: TopicRecord,
        settings: LogSettings,
    ) -> Self {
        Self {
            number: record.number,
            name: Arc::from(record.name),
            id: record.id,
            partitions: RwLock::new(partitions),
            overrides: RwLock::new(record.overrides),
            settings: RwLock::new(settings),
        }
    }

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

    /// As it is kept on disk.
    pub(crate) fn record(&self) -> TopicRecord {
        TopicRecord {
            number: self.number,
            name: self.name.to_string(),
            id: self.id,
            partitions: u32::try_from(self.partition_count()).unwrap_or(u32::MAX),
            overrides: self.overrides(),
        }
    }

    /// Adds partitions until there are `count`.
    pub(super) fn grow(&self, count: i32, home: Option<&Home>) {
        let mut partitions = self.partitions.write();
        let present = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        partitions.extend(
            (present..count).map(|index| Partition::new(self.number, index, home.cloned())),
        );
    }

    pub(super) fn configure(&self, overrides: BTreeMap<String, String>, settings: LogSettings) {
        *self.overrides.write() = overrides;
        *self.settings.write() = settings;
    }
}
