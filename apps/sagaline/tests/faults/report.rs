//! The table of what was done and what came of it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Form;
use crate::scenarios::Scenario;

/// One fault.
#[derive(Debug)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// Orders per second that came meanwhile.
    pub per_second: Option<u32>,
    /// Orders that were answered with 201 or 200.
    pub orders: usize,
    /// What operators asked for meanwhile and what was accepted of it: a command counts once, however often it was clicked.
    pub actions: Option<usize>,
    /// Of these, those that ended cancelled because they took too long.
    pub timed_out: usize,
    /// How long the fault lasted.
    pub lasted: Option<Duration>,
    /// From its end until every order that had been answered had its outcome and nothing waited in Kafka.
    pub recovered: Option<Duration>,
    /// What was lost.
    pub lost: usize,
    /// What happened twice.
    pub doubled: usize,
    /// Something more to say.
    pub note: String,
}

/// All rows so far.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<String>,
}

impl Report {
    /// Takes over what a scenario has found.
    pub fn take(&mut self, rows: &[Row]) {
        self.rows.extend(rows.iter().map(line));
    }

    /// A scenario did not come to its end.
    pub fn failed(&mut self, scenario: &Scenario, error: &anyhow::Error) {
        let why = format!("{error:#}");
        let why: String = why.chars().filter(|c| *c != '|').take(200).collect();
        let why = why.lines().next().unwrap_or_default();
        self.rows.push(format!(
            "| {} | | | | | | | | **failed**: {why} |",
            scenario.name
        ));
    }

    /// Prints the table, and writes it into `folder`.
    pub fn publish(&self, folder: &Path, form: Form) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        let command = match form {
            Form::Short => "cargo test -p sagaline --test faults",
            Form::Long => "scripts/test-faults",
        };
        writeln!(
            text,
            "Made with `{command}` at commit {}: {}.\n",
            commit(),
            machine()
        )?;
        text.push_str(
            "| what was done, while orders flowed | orders/s | orders answered | operators' actions | fault lasted, s | recovered after, s | lost | doubled | |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
        );
        for row in &self.rows {
            writeln!(text, "{row}")?;
        }
        println!("\n{text}");
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join("report.md"), text))
            .with_context(|| format!("cannot write into {}", folder.display()))
    }
}

fn line(row: &Row) -> String {
    let seconds = |duration: Option<Duration>| {
        duration.map_or_else(|| "–".to_owned(), |d| format!("{:.1}", d.as_secs_f64()))
    };
    let mut note = row.note.clone();
    if row.timed_out > 0 {
        let more = if note.is_empty() { "" } else { "; " };
        note = format!(
            "{} orders cancelled by their timeout{more}{note}",
            row.timed_out
        );
    }
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {note} |",
        row.what,
        row.per_second
            .map_or_else(|| "–".to_owned(), |rate| rate.to_string()),
        row.orders,
        row.actions
            .map_or_else(|| "–".to_owned(), |actions| actions.to_string()),
        seconds(row.lasted),
        seconds(row.recovered),
        row.lost,
        row.doubled,
    )
}

fn commit() -> String {
    let asked = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    asked
        .ok()
        .and_then(|answer| String::from_utf8(answer.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, model)| model);
    let model = models.next().unwrap_or("unknown processors").to_owned();
    format!("{} × {model}", models.count() + 1)
}
