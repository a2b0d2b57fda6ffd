//! `sagaline topics`: what stands in the topics, and who is how far behind.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::ExitCode;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupInfo;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Serialize;

use super::Common;
use crate::kafka::{self, KafkaError, Topic};
use crate::output::Tone;
use crate::table::{Cell, Edge, Table, number};

/// The services' consumer groups, and how their columns are called.
const GROUPS: [(&str, &str); 5] = [
    ("order-service", "ORDER"),
    ("inventory-service", "INVENTORY"),
    ("payment-service", "PAYMENT"),
    ("shipping-service", "SHIPPING"),
    ("read-model-service", "READ MODEL"),
];

/// Which topics.
#[derive(Debug, clap::Args)]
pub(crate) struct TopicsArgs {
    /// Leave out topics without messages
    #[arg(long)]
    non_empty: bool,
    #[command(flatten)]
    common: Common,
}

/// One topic.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Row {
    topic: String,
    partitions: usize,
    messages: i64,
    /// By group; a group that does not read it is not there.
    lag: BTreeMap<&'static str, i64>,
}

/// Shows the topics.
pub(crate) async fn run(args: &TopicsArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let config = kafka::config(&args.common.at).await?;
    let read = tokio::task::spawn_blocking(move || rows(&config));
    let mut rows = read.await.map_err(KafkaError::Interrupted)??;
    rows.retain(|row| !args.non_empty || row.messages > 0);
    if out.json {
        out.json(&rows)?;
    } else if rows.is_empty() {
        out.line("no topics")?;
    } else {
        out.table(&table(&rows))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

type Place = (String, i32);

/// Where a group stands.
#[derive(Debug, Default)]
struct Standing {
    /// The offsets that it has committed.
    commits: HashMap<Place, i64>,
    /// The topics that its members read now.
    assigned: HashSet<String>,
}

fn rows(config: &ClientConfig) -> Result<Vec<Row>, KafkaError> {
    let client = kafka::reader(config, "sagaline-cli")?;
    let topics = kafka::topics(&client)?;
    let mut standings = Vec::new();
    // Before the ends: a group that is reading must not seem to be ahead of what there is.
    for (group, _) in GROUPS {
        standings.push((group, standing(config, group, &topics)?));
    }
    let mut rows = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut ends = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            ends.push((*partition, kafka::ends(&client, &topic.name, *partition)?));
        }
        let lag = standings.iter().filter_map(|(group, standing)| {
            let lag = lag_of(&topic.name, &ends, standing)?;
            Some((*group, lag))
        });
        rows.push(Row {
            lag: lag.collect(),
            partitions: ends.len(),
            messages: ends.iter().map(|(_, (low, high))| high - low).sum(),
            topic: topic.name,
        });
    }
    Ok(rows)
}

fn standing(config: &ClientConfig, group: &str, topics: &[Topic]) -> Result<Standing, KafkaError> {
    let mut wanted = TopicPartitionList::new();
    for topic in topics {
        for partition in &topic.partitions {
            wanted.add_partition(&topic.name, *partition);
        }
    }
    let client = kafka::reader(config, group)?;
    let found = client.committed_offsets(wanted, kafka::LIMIT);
    let found = found.map_err(KafkaError::failed(format!(
        "say where group {group} stands"
    )))?;
    let commits = found.elements().into_iter();
    let commits = commits.filter_map(|place| match place.offset() {
        Offset::Offset(offset) => Some(((place.topic().to_owned(), place.partition()), offset)),
        _ => None,
    });
    Ok(Standing {
        commits: commits.collect(),
        assigned: assigned(&client, group),
    })
}

/// The topics that a group's members read now. A broker may not want to tell, which is no reason to tell nothing.
fn assigned(client: &BaseConsumer, group: &str) -> HashSet<String> {
    let Ok(found) = client.fetch_group_list(Some(group), kafka::LIMIT) else {
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

/// How many messages of a topic a group has yet to read; nothing if it does not read the topic.
fn lag_of(topic: &str, ends: &[(i32, (i64, i64))], standing: &Standing) -> Option<i64> {
    let committed = |partition: i32| {
        standing
            .commits
            .get(&(topic.to_owned(), partition))
            .copied()
    };
    let has_read = ends
        .iter()
        .any(|(partition, _)| committed(*partition).is_some());
    if !has_read && !standing.assigned.contains(topic) {
        return None;
    }
    let behind = ends.iter().map(|(partition, (low, high))| {
        // What retention has dropped cannot be read any more.
        let from = committed(*partition).unwrap_or(*low).max(*low);
        (high - from).max(0)
    });
    Some(behind.sum())
}

fn table(rows: &[Row]) -> Table {
    let mut columns = vec![
        ("TOPIC", Edge::Left),
        ("PARTITIONS", Edge::Right),
        ("MESSAGES", Edge::Right),
    ];
    columns.extend(GROUPS.map(|(_, title)| (title, Edge::Right)));
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = vec![
            Cell::from(&row.topic),
            number(row.partitions),
            number(row.messages),
        ];
        cells.extend(GROUPS.map(|(group, _)| match row.lag.get(group) {
            None => Cell::toned("-", Tone::Dim),
            Some(0) => number(0),
            Some(lag) => Cell::toned(lag.to_string(), Tone::Warn),
        }));
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

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
    fn a_group_that_does_not_read_a_topic_has_no_lag_there() {
        let ends = [(0, (0, 10))];
        assert_eq!(lag_of("t", &ends, &standing(&[])), None);
        let row = Row {
            topic: "t".to_owned(),
            partitions: 1,
            messages: 10,
            lag: BTreeMap::from([("payment-service", 3)]),
        };
        let shown = table(&[row]).render(Paint::none());
        let cells: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["t", "1", "10", "-", "-", "3", "-", "-"]);
    }
}
