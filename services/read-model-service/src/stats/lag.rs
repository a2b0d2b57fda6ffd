//! How far consumer groups are behind, as the broker told it last.

use std::collections::{BTreeMap, HashMap};

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
    /// By group.
    told: Mutex<HashMap<String, Told>>,
}

/// When it was told, and messages by topic.
type Told = (Timestamp, BTreeMap<String, u64>);

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

    /// The broker has told it. Of a group of which it has not, what it told before stands, and gets older.
    pub fn told(&self, now: Timestamp, lags: Vec<GroupLag>) {
        let mut told = self.told.lock();
        for GroupLag { group, topics } in lags {
            let gauge =
                |topic: &String| telemetry::consumer_group_lag(group.clone(), topic.clone());
            for (topic, messages) in &topics {
                gauge(topic).set(super::as_f64(*messages));
            }
            let before = told
                .get(&group)
                .into_iter()
                .flat_map(|(_, before)| before.keys());
            for gone in before.filter(|topic| !topics.contains_key(*topic)) {
                // Nobody tells it any more: the last value would stand there for ever.
                gauge(gone).set(f64::NAN);
            }
            told.insert(group, (now, topics));
        }
    }

    /// As it is known now.
    pub fn report(&self, now: Timestamp) -> Vec<ConsumerLag> {
        let told = self.told.lock();
        let report = self.groups.iter().map(|group| {
            // A group that reads nothing is none that the broker knows.
            let known = told.get(group).filter(|(_, topics)| !topics.is_empty());
            ConsumerLag {
                group: group.clone(),
                messages: known.map(|(_, topics)| topics.values().sum()),
                topics: known.map(|(_, topics)| topics.clone()).unwrap_or_default(),
                age_ms: known.map(|(at, _)| now.since(*at).as_secs_f64() * 1_000.0),
            }
        });
        report.collect()
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

    #[test]
    fn of_a_group_that_is_not_told_this_time_what_was_told_before_stands_and_gets_older() {
        let lags = Lags::of(vec!["a".into(), "b".into()]);
        let both = vec![lag("a", &[("t", 3)]), lag("b", &[("t", 4)])];
        lags.told(Timestamp::from_micros(1_000_000), both);
        lags.told(
            Timestamp::from_micros(2_000_000),
            vec![lag("b", &[("t", 5)])],
        );
        let report = lags.report(Timestamp::from_micros(2_000_000));
        let known = |at: usize| (report[at].messages, report[at].age_ms);
        assert_eq!(known(0), (Some(3), Some(1_000.0)));
        assert_eq!(known(1), (Some(5), Some(0.0)));
    }
}
