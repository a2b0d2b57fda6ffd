//! The settings of topics: three that take effect, and some that are only kept for those who ask.

use super::topic::TopicError;
use std::collections::BTreeMap;
use std::time::Duration;

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

/// The limits that apply to a topic's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) retention_bytes: u64,
    pub(crate) retention: Option<Duration>,
    pub(crate) message_max_bytes: usize,
}

/// The limits that follow from a topic's own settings.
pub(super) fn effective_settings(
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
        Ok(limit) => u64::try_from(limit)
            .map(Some)
            .map_err(|_| TopicError::Config),
        Err(_) => Err(TopicError::Config),
    }
}
