//! How far consumer groups are behind: what they have committed, and where their topics end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupInfo;
use rdkafka::metadata::MetadataPartition;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sagaline_contracts::EventType;

use super::metadata;
use super::observers::Observers;
use crate::{BrokerError, GroupLag};

/// How long the broker may take for all answers: a process that stops waits for them.
const LIMIT: Duration = Duration::from_secs(4);
/// What a call may take however late it is.
const CALL_MIN: Duration = Duration::from_millis(50);
/// How long it may take to learn who reads what: every broker is asked, one that is dead as well, and it only completes the picture.
const MEMBERS_LIMIT: Duration = Duration::from_millis(500);

type Place = (String, i32);

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Their numbers.
    pub partitions: Vec<i32>,
}

impl From<&rdkafka::metadata::MetadataTopic> for Topic {
    fn from(topic: &rdkafka::metadata::MetadataTopic) -> Self {
        Self {
            name: topic.name().to_owned(),
            partitions: topic
                .partitions()
                .iter()
                .map(MetadataPartition::id)
                .collect(),
        }
    }
}

/// Where a group stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// The offsets that it has committed.
    commits: HashMap<Place, i64>,
    /// The topics that its members read now.
    assigned: HashSet<String>,
}

impl Standing {
    /// Whether the group reads a topic, or has read it.
    fn reads(&self, topic: &str) -> bool {
        self.assigned.contains(topic) || self.commits.keys().any(|(name, _)| name == topic)
    }
}

/// A client that looks at a group and takes no part in it.
pub fn observer(mut config: ClientConfig, group: &str) -> ClientConfig {
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false");
    config
}

/// Where the group of this client stands in these topics.
pub fn standing<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    topics: &[Topic],
    limit: impl Fn() -> Duration,
) -> Result<Standing, KafkaError> {
    let commits = committed(client, places(topics), limit())?;
    Ok(Standing {
        commits,
        assigned: assigned(client, group, limit().min(MEMBERS_LIMIT)),
    })
}

/// What the group of this client has committed; nothing of a partition of which it has committed nothing.
pub(super) fn committed<'p, C: ConsumerContext>(
    client: &BaseConsumer<C>,
    places: impl Iterator<Item = (&'p str, i32)>,
    limit: Duration,
) -> Result<HashMap<Place, i64>, KafkaError> {
    let mut wanted = TopicPartitionList::new();
    for (topic, partition) in places {
        wanted.add_partition(topic, partition);
    }
    let mut commits = HashMap::new();
    if wanted.count() == 0 {
        return Ok(commits);
    }
    for place in client.committed_offsets(wanted, limit)?.elements() {
        // What could not be looked up is not what was never committed.
        place.error()?;
        if let Offset::Offset(offset) = place.offset() {
            commits.insert((place.topic().to_owned(), place.partition()), offset);
        }
    }
    Ok(commits)
}

/// The topics that a group's members read now. A broker may not want to tell, which is no reason to tell nothing.
fn assigned<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    limit: Duration,
) -> HashSet<String> {
    let Ok(found) = client.fetch_group_list(Some(group), limit) else {
        return HashSet::new();
    };
    let members = found.groups().iter().flat_map(GroupInfo::members);
    let topics = members.filter_map(|member| topics_in(member.assignment()?));
    topics.flatten().collect()
}

/// The topics in a member's assignment: a version, then topics with their partitions, as the consumer protocol has it.
fn topics_in(assignment: &[u8]) -> Option<Vec<String>> {
    fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = from.split_at_checked(count)?;
        *from = rest;
        Some(taken)
    }
    fn count(from: &mut &[u8], width: usize) -> Option<usize> {
        let bytes = take(from, width)?;
        let whole = bytes
            .iter()
            .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        usize::try_from(whole).ok()
    }
    let mut rest = assignment;
    count(&mut rest, 2)?;
    let mut topics = Vec::new();
    for _ in 0..count(&mut rest, 4)? {
        let length = count(&mut rest, 2)?;
        let name = String::from_utf8(take(&mut rest, length)?.to_vec()).ok()?;
        let partitions = count(&mut rest, 4)?;
        take(&mut rest, partitions.checked_mul(4)?)?;
        topics.push(name);
    }
    Some(topics)
}

/// A partition, its first offset and the one after its last.
pub type Ends = [End];
type End = (i32, (i64, i64));
/// A topic and its ends, when all of them are known.
type EndsOf<'t> = (&'t Topic, Option<Vec<End>>);

/// How many messages of a topic a group has yet to read; nothing if it does not read the topic.
pub fn lag_of(topic: &str, ends: &Ends, standing: &Standing) -> Option<i64> {
    let committed = |partition: i32| {
        standing
            .commits
            .get(&(topic.to_owned(), partition))
            .copied()
    };
    if !standing.reads(topic) {
        return None;
    }
    let behind = ends.iter().map(|(partition, (low, high))| {
        // What retention has dropped cannot be read any more.
        let from = committed(*partition).unwrap_or(*low).max(*low);
        (high - from).max(0)
    });
    Some(behind.sum())
}

/// Asks how far each group is behind in each topic of ours that it reads. A group of which that cannot be said now is left out.
pub(super) fn ask(observers: &Observers, groups: &[String]) -> Result<Vec<GroupLag>, BrokerError> {
    let failed =
        |error: KafkaError| BrokerError::unavailable("say how far groups are behind", error);
    let Some(first) = groups.first() else {
        return Ok(Vec::new());
    };
    let end = tokio::time::Instant::now() + LIMIT;
    let left = || {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        left.max(CALL_MIN)
    };
    let client = observers.of(first)?;
    let listed = metadata(&client, left())
        .map_err(|error| BrokerError::unavailable("list its topics", error))?;
    // The cluster may have many more, which are nobody's here.
    let ours: HashSet<&str> = EventType::topics().collect();
    let topics = listed.topics().iter();
    let topics: Vec<Topic> = topics
        .filter(|topic| ours.contains(topic.name()))
        .map(Topic::from)
        .collect();
    // Before the ends: a group that is reading must not seem to be ahead of what there is.
    let (mut standings, mut failure) = (Vec::new(), None);
    for group in groups {
        let client = observers.of(group)?;
        match standing(&client, group, &topics, left) {
            Ok(standing) => standings.push((group, standing)),
            Err(error) => failure = Some(error),
        }
    }
    if let (true, Some(error)) = (standings.is_empty(), failure) {
        return Err(failed(error));
    }
    let lows = offsets(&client, places(&topics), Offset::Beginning, left()).map_err(failed)?;
    let highs = offsets(&client, places(&topics), Offset::End, left()).map_err(failed)?;
    let ends: Vec<EndsOf<'_>> = topics
        .iter()
        .map(|topic| {
            let ends = topic.partitions.iter().map(|partition| {
                let place = (topic.name.clone(), *partition);
                Some((*partition, (*lows.get(&place)?, *highs.get(&place)?)))
            });
            (topic, ends.collect())
        })
        .collect();
    let lags = standings.into_iter();
    Ok(lags
        .filter_map(|(group, standing)| behind(group, &standing, &ends))
        .collect())
}

/// How far a group is behind; nothing if the end of anything that it reads is not known, for the sum would be too small.
fn behind(group: &str, standing: &Standing, ends: &[EndsOf<'_>]) -> Option<GroupLag> {
    let mut topics = BTreeMap::new();
    for (topic, ends) in ends.iter().filter(|(topic, _)| standing.reads(&topic.name)) {
        let lag = lag_of(&topic.name, ends.as_deref()?, standing)?;
        topics.insert(topic.name.clone(), u64::try_from(lag).unwrap_or(0));
    }
    Some(GroupLag {
        group: group.to_owned(),
        topics,
    })
}

fn places(topics: &[Topic]) -> impl Iterator<Item = (&str, i32)> {
    topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.name.as_str(), *partition))
    })
}

/// Where partitions begin, or end: one question, not one for each of them. What cannot be said is left out.
pub(super) fn offsets<'p, C: ConsumerContext>(
    client: &BaseConsumer<C>,
    places: impl Iterator<Item = (&'p str, i32)>,
    which: Offset,
    limit: Duration,
) -> Result<HashMap<Place, i64>, KafkaError> {
    let mut wanted = TopicPartitionList::new();
    for (topic, partition) in places {
        wanted.add_partition_offset(topic, partition, which)?;
    }
    let found = client.offsets_for_times(wanted, limit)?;
    let places = found.elements().into_iter();
    let known = places.filter_map(|place| match (place.error(), place.offset()) {
        (Ok(()), Offset::Offset(offset)) => {
            Some(((place.topic().to_owned(), place.partition()), offset))
        }
        _ => None,
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(offsets: &[(i32, i64)]) -> Standing {
        let places = offsets.iter();
        Standing {
            commits: places
                .map(|(partition, offset)| (("t".to_owned(), *partition), *offset))
                .collect(),
            assigned: HashSet::new(),
        }
    }

    #[test]
    fn lag_is_what_is_left_to_read() {
        let ends = [(0, (0, 10)), (1, (5, 20))];
        assert_eq!(lag_of("t", &ends, &standing(&[(0, 10), (1, 20)])), Some(0));
        assert_eq!(lag_of("t", &ends, &standing(&[(0, 7), (1, 19)])), Some(4));
    }

    #[test]
    fn a_partition_of_which_nothing_was_read_counts_from_where_it_begins() {
        let ends = [(0, (0, 10)), (1, (5, 20))];
        assert_eq!(lag_of("t", &ends, &standing(&[(0, 10)])), Some(15));
        assert_eq!(lag_of("t", &ends, &standing(&[(0, 10), (1, 2)])), Some(15));
    }

    #[test]
    fn a_member_s_assignment_names_its_topics() {
        let mut assignment = vec![0, 1, 0, 0, 0, 2];
        for (name, partitions) in [("t", 1_u8), ("uv", 2)] {
            assignment.extend([0, u8::try_from(name.len()).unwrap()]);
            assignment.extend(name.bytes());
            assignment.extend([0, 0, 0, partitions]);
            assignment.extend(vec![0; usize::from(partitions) * 4]);
        }
        assignment.extend([0xff; 4]);
        assert_eq!(
            topics_in(&assignment),
            Some(vec!["t".to_owned(), "uv".to_owned()])
        );
        for cut in 0..assignment.len() - 4 {
            assert_eq!(topics_in(&assignment[..cut]), None, "cut at {cut}");
        }
        assert_eq!(topics_in(&[0, 0, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_group_that_has_begun_with_nothing_yet_has_everything_to_read() {
        let begun = Standing {
            assigned: HashSet::from(["t".to_owned()]),
            ..Standing::default()
        };
        assert_eq!(lag_of("t", &[(0, (2, 10))], &begun), Some(8));
    }

    #[test]
    fn of_a_group_that_reads_what_has_no_known_end_nothing_is_said() {
        let topic = |name: &str| Topic {
            name: name.to_owned(),
            partitions: vec![0],
        };
        let (t, other) = (topic("t"), topic("other"));
        let known = Some(vec![(0, (0, 10))]);
        let standing = standing(&[(0, 4)]);
        let lag = behind("g", &standing, &[(&t, known.clone()), (&other, None)]);
        assert_eq!(lag.unwrap().topics, [("t".to_owned(), 6)].into());
        assert_eq!(behind("g", &standing, &[(&t, None), (&other, known)]), None);
    }

    #[test]
    fn a_group_that_does_not_read_a_topic_has_no_lag_there() {
        assert_eq!(lag_of("t", &[(0, (0, 10))], &standing(&[])), None);
    }
}
