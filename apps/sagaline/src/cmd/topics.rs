//! `sagaline topics`: what stands in the topics, and who is how far behind.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use rdkafka::consumer::Consumer;
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
    /// By group; a group that has read nothing of it is not there.
    lag: BTreeMap<&'static str, i64>,
}

/// Shows the topics.
pub(crate) async fn run(args: &TopicsArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let config = kafka::config(&args.common.at.kafka_brokers).await?;
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

fn rows(config: &ClientConfig) -> Result<Vec<Row>, KafkaError> {
    let client = kafka::reader(config, "sagaline-cli")?;
    let topics = kafka::topics(&client)?;
    let mut committed = Vec::new();
    // Before the ends: a group that is reading must not seem to be ahead of what there is.
    for (group, _) in GROUPS {
        committed.push((group, commits(config, group, &topics)?));
    }
    let mut rows = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut ends = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            ends.push((*partition, kafka::ends(&client, &topic.name, *partition)?));
        }
        let lag = committed.iter();
        let lag =
            lag.filter_map(|(group, commits)| Some((*group, lag_of(&topic.name, &ends, commits)?)));
        rows.push(Row {
            lag: lag.collect(),
            partitions: ends.len(),
            messages: ends.iter().map(|(_, (low, high))| high - low).sum(),
            topic: topic.name,
        });
    }
    Ok(rows)
}

/// Where a group stands; partitions of which it has committed nothing are not there.
fn commits(
    config: &ClientConfig,
    group: &str,
    topics: &[Topic],
) -> Result<HashMap<Place, i64>, KafkaError> {
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
    let places = found.elements().into_iter();
    Ok(places
        .filter_map(|place| match place.offset() {
            Offset::Offset(offset) => Some(((place.topic().to_owned(), place.partition()), offset)),
            _ => None,
        })
        .collect())
}

/// How many messages of a topic a group has yet to read; nothing if it reads the topic not at all.
fn lag_of(topic: &str, ends: &[(i32, (i64, i64))], commits: &HashMap<Place, i64>) -> Option<i64> {
    let committed = |partition: i32| commits.get(&(topic.to_owned(), partition)).copied();
    if ends
        .iter()
        .all(|(partition, _)| committed(*partition).is_none())
    {
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

    fn commits(offsets: &[(i32, i64)]) -> HashMap<Place, i64> {
        let places = offsets.iter();
        places
            .map(|(p, offset)| (("t".to_owned(), *p), *offset))
            .collect()
    }

    #[test]
    fn lag_is_what_is_left_to_read() {
        let ends = [(0, (0, 10)), (1, (5, 20))];
        assert_eq!(lag_of("t", &ends, &commits(&[(0, 10), (1, 20)])), Some(0));
        assert_eq!(lag_of("t", &ends, &commits(&[(0, 7), (1, 19)])), Some(4));
    }

    #[test]
    fn a_partition_of_which_nothing_was_read_counts_from_where_it_begins() {
        let ends = [(0, (0, 10)), (1, (5, 20))];
        assert_eq!(lag_of("t", &ends, &commits(&[(0, 10)])), Some(15));
        assert_eq!(lag_of("t", &ends, &commits(&[(0, 10), (1, 2)])), Some(15));
    }

    #[test]
    fn a_group_that_does_not_read_a_topic_has_no_lag_there() {
        let ends = [(0, (0, 10))];
        assert_eq!(lag_of("t", &ends, &commits(&[])), None);
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
