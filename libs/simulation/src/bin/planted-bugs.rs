//! Plants every bug in turn, and says after how many seeds it was found, and which invariant it broke.
//!
//!     cargo run --release -p sagaline-simulation --features planted-bugs --bin planted-bugs -- [--write docs/reliability.md]

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use sagaline_simulation::bugs::{BUGS, Catch, hunt};
use sagaline_simulation::plan::Scale;

const SEEDS_MAX: u64 = 1_000;
const BASE: u64 = 1;
const JOBS: usize = 2;
const BEGIN: &str = "<!-- planted bugs: begin -->";
const END: &str = "<!-- planted bugs: end -->";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = match arguments.as_slice() {
        [flag, file] if flag == "--write" => Some(file.clone()),
        _ => None,
    };
    let wanted: Vec<&str> = match &file {
        Some(_) => Vec::new(),
        None => arguments.iter().map(String::as_str).collect(),
    };
    // A planted bug may make a service panic; the simulation notes it.
    std::panic::set_hook(Box::new(|_| {}));
    let bugs: Vec<_> = BUGS
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; bugs.len()]));
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((name, _)) = bugs.get(at) else {
                        return;
                    };
                    let caught = hunt(name, BASE, SEEDS_MAX, Scale::default());
                    let mut err = std::io::stderr().lock();
                    let _ = writeln!(
                        err,
                        "{name}: {}",
                        told(caught.as_ref().ok().and_then(Option::as_ref))
                    );
                    if let (Ok(mut found), Ok(caught)) = (found.lock(), caught) {
                        found[at] = caught;
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_default();
    let mut table = String::from("| bug | seeds | found by |\n|---|---|---|\n");
    for ((name, what), caught) in bugs.iter().zip(&found) {
        let (seeds, by) = match caught {
            Some(Catch { seeds, complaint }) => (seeds.to_string(), invariant(complaint)),
            None => ("**missed**".to_owned(), "–".to_owned()),
        };
        table.push_str(&format!("| {name}: {what} | {seeds} | {by} |\n"));
    }
    let missed = found.iter().filter(|caught| caught.is_none()).count();
    match file {
        Some(file) => write(&file, &table)?,
        None => println!("{table}"),
    }
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn told(caught: Option<&Catch>) -> String {
    caught.map_or("missed".to_owned(), |caught| {
        let complaint: String = caught.complaint.chars().take(140).collect();
        format!("{} seeds, {complaint}", caught.seeds)
    })
}

/// The name that a complaint begins with.
fn invariant(complaint: &str) -> String {
    complaint
        .split_once(':')
        .map_or(complaint, |(name, _)| name)
        .to_owned()
}

fn write(file: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
    let (before, rest) = text
        .split_once(BEGIN)
        .with_context(|| format!("{file} has no {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{file} has no {END}"))?;
    std::fs::write(file, format!("{before}{BEGIN}\n{table}{END}{after}"))?;
    Ok(())
}
