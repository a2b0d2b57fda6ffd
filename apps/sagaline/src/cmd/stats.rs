//! `sagaline stats`: how the pipeline is doing.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Deserialize;

use super::Common;
use crate::output::Out;
use crate::table::{Cell, Edge, Table, number};

/// Where to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    total: u64,
    by_status: BTreeMap<String, u64>,
    by_outcome: BTreeMap<String, u64>,
    in_flight: u64,
    stalled: u64,
    counting: bool,
    throughput: BTreeMap<String, BTreeMap<String, f64>>,
    latency_ms: Latency,
    projector: Projector,
    dead_letters: Letters,
    readers: Readers,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Latency {
    count: u64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Projector {
    lag_ms: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Letters {
    waiting: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Readers {
    feed: u64,
    orders_watched: u64,
}

/// Shows the counts.
pub(crate) async fn run(args: &StatsArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let answer = args.common.at.read_model()?.get(&["stats"], &[]).await?;
    if out.json {
        out.line(answer.body.trim_end())?;
    } else {
        show(&answer.parse()?, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn show(stats: &Stats, out: &mut Out) -> anyhow::Result<()> {
    let counting = if stats.counting {
        " so far, still counting"
    } else {
        ""
    };
    out.line(format_args!("orders      {}{counting}", stats.total))?;
    out.line(format_args!(
        "in flight   {}, stalled {}",
        stats.in_flight, stats.stalled
    ))?;
    out.line(format_args!(
        "dead        {} waiting",
        stats.dead_letters.waiting
    ))?;
    let latency = &stats.latency_ms;
    out.line(format_args!(
        "latency     p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms, of the last {}",
        latency.p50, latency.p95, latency.p99, latency.max, latency.count
    ))?;
    out.line(format_args!(
        "projector   {:.1} ms behind",
        stats.projector.lag_ms
    ))?;
    out.line(format_args!(
        "readers     {} of the feed, {} orders watched",
        stats.readers.feed, stats.readers.orders_watched
    ))?;
    out.line("")?;
    out.table(&counts("OUTCOME", &stats.by_outcome))?;
    out.line("")?;
    out.table(&counts("STATUS", &stats.by_status))?;
    out.line("")?;
    Ok(out.table(&rates(&stats.throughput))?)
}

fn counts(title: &'static str, counts: &BTreeMap<String, u64>) -> Table {
    let mut table = Table::new(&[(title, Edge::Left), ("ORDERS", Edge::Right)]);
    for (name, count) in counts {
        table.row([Cell::from(name), number(count)]);
    }
    table
}

fn rates(throughput: &BTreeMap<String, BTreeMap<String, f64>>) -> Table {
    let mut table = Table::new(&[
        ("PER SECOND", Edge::Left),
        ("1s", Edge::Right),
        ("10s", Edge::Right),
        ("60s", Edge::Right),
    ]);
    for (name, rates) in throughput {
        let rate = |over: &str| {
            number(format_args!(
                "{:.1}",
                rates.get(over).copied().unwrap_or(0.0)
            ))
        };
        table.row([Cell::from(name), rate("1s"), rate("10s"), rate("60s")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Paint;

    #[test]
    fn rates_are_shown_over_each_time() {
        let stats: Stats = serde_json::from_value(json!({
            "total": 3, "throughput": { "created": { "1s": 2.0, "10s": 0.25, "60s": 0.04 } },
        }))
        .unwrap();
        let shown = rates(&stats.throughput).render(Paint::none());
        let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["created", "2.0", "0.2", "0.0"]);
    }
}
