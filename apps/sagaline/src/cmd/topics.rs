//! `sagaline topics`: what stands in the topics, and who is how far behind.

use std::collections::BTreeMap;
use std::process::ExitCode;

use rdkafka::ClientConfig;
use sagaline_runtime::kafka::lag::{self, Standing, Topic};
use serde::Serialize;

use super::Common;
use crate::kafka::{self, KafkaError};
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
            let lag = lag::lag_of(&topic.name, &ends, standing)?;
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
    let client = kafka::reader(config, group)?;
    lag::standing(&client, group, topics, || kafka::LIMIT).map_err(KafkaError::failed(format!(
        "say where group {group} stands"
    )))
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

    #[test]
    fn a_group_that_does_not_read_a_topic_has_no_number_there() {
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
