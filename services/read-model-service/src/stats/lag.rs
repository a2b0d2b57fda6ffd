//! How far consumer groups are behind, as the broker told it last.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use sagaline_contracts::Timestamp;
use sagaline_runtime::GroupLag;
use sagaline_service_kit::telemetry;
use schemars::JsonSchema;
use serde::Serialize;

/// How far the groups that are watched are behind.
#[derive(Debug, Default)]
pub struct Lags {
    groups: Vec<String>,
    told: Mutex<Option<(Timestamp, Vec<GroupLag>)>>,
}

/// How far a consumer group is behind.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerLag {
    /// The consumer group.
    pub group: String,
    /// Messages that it has yet to read. Null when nobody knows: the broker was never asked with success, or knows no such group.
    pub messages: Option<u64>,
    /// The same by topic.
    pub topics: BTreeMap<String, u64>,
    /// How old this is, in milliseconds: in an outage of the broker it is what was told last.
    pub age_ms: Option<f64>,
}

impl Lags {
    /// Of these groups.
    pub fn of(groups: Vec<String>) -> Self {
        Self {
            groups,
            told: Mutex::default(),
        }
    }

    /// The groups that are watched.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The broker has told it.
    pub fn told(&self, now: Timestamp, lags: Vec<GroupLag>) {
        let gauge = |group: &str, topic: &str| {
            telemetry::consumer_group_lag(group.to_owned(), topic.to_owned())
        };
        for lag in &lags {
            for (topic, messages) in &lag.topics {
                gauge(&lag.group, topic).set(super::as_f64(*messages));
            }
        }
        let mut told = self.told.lock();
        for gone in told.iter().flat_map(|(_, lags)| lags) {
            let still = lags.iter().find(|lag| lag.group == gone.group);
            for topic in gone.topics.keys() {
                if still.is_none_or(|lag| !lag.topics.contains_key(topic)) {
                    // Nobody tells it any more: the last value would stand there for ever.
                    gauge(&gone.group, topic).set(f64::NAN);
                }
            }
        }
        *told = Some((now, lags));
    }

    /// As it is known now.
    pub fn report(&self, now: Timestamp) -> Vec<ConsumerLag> {
        let told = self.told.lock();
        let of_group = |group: &String| {
            let (at, lag) = told.as_ref().and_then(|(at, lags)| {
                let lag = lags.iter().find(|lag| lag.group == *group)?;
                Some((*at, lag))
            })?;
            // A group that reads nothing is none that the broker knows.
            (!lag.topics.is_empty()).then(|| ConsumerLag {
                group: group.clone(),
                messages: Some(lag.topics.values().sum()),
                topics: lag.topics.clone(),
                age_ms: Some(now.since(at).as_secs_f64() * 1_000.0),
            })
        };
        let unknown = |group: &String| ConsumerLag {
            group: group.clone(),
            messages: None,
            topics: BTreeMap::new(),
            age_ms: None,
        };
        let groups = self.groups.iter();
        groups
            .map(|group| of_group(group).unwrap_or_else(|| unknown(group)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(group: &str, topics: &[(&str, u64)]) -> GroupLag {
        let topics = topics.iter();
        GroupLag {
            group: group.to_owned(),
            topics: topics
                .map(|(name, lag)| ((*name).to_owned(), *lag))
                .collect(),
        }
    }

    #[test]
    fn what_nobody_has_told_is_unknown_and_not_nothing() {
        let lags = Lags::of(vec!["a".into(), "b".into()]);
        let unknown: Vec<_> = lags
            .report(Timestamp::EPOCH)
            .iter()
            .map(|it| it.messages)
            .collect();
        assert_eq!(unknown, [None, None]);
        lags.told(Timestamp::EPOCH, vec![lag("b", &[("t", 0)]), lag("a", &[])]);
        let known: Vec<_> = lags
            .report(Timestamp::EPOCH)
            .iter()
            .map(|it| it.messages)
            .collect();
        assert_eq!(known, [None, Some(0)], "the broker knows no group `a`");
    }

    #[test]
    fn a_group_is_behind_in_all_its_topics_together_and_what_was_told_last_gets_older() {
        let lags = Lags::of(vec!["a".into()]);
        lags.told(
            Timestamp::from_micros(1_000_000),
            vec![lag("a", &[("t", 3), ("u", 4)])],
        );
        let report = lags.report(Timestamp::from_micros(3_500_000));
        assert_eq!(report[0].messages, Some(7));
        assert_eq!(report[0].topics["u"], 4);
        assert_eq!(report[0].age_ms, Some(2_500.0));
    }
}
