//! Plants every bug in turn, and says after how many seeds it was found, and which invariant it broke.
//!
//!     cargo run --release -p sagaline-simulation --features planted-bugs --bin planted-bugs -- [--write docs/reliability.md] [--jobs N] [BUG …]
//!     … -- --control 1000     # the same seeds without any bug: none may be found
//!     … -- --seed 17 [BUG]    # one run, all of it

use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use sagaline_saga::planted;
use sagaline_simulation::bugs::{BUGS, Catch, hunt};
use sagaline_simulation::plan::{Plan, Scale};
use sagaline_simulation::{Search, Wanted, run};

const SEEDS_MAX: u64 = 1_000;
const BASE: u64 = 1;
const BEGIN: &str = "<!-- planted bugs: begin -->";
const END: &str = "<!-- planted bugs: end -->";

/// What is asked for.
struct Asked {
    file: Option<String>,
    jobs: usize,
    control: Option<u64>,
    seed: Option<u64>,
    bugs: Vec<String>,
}

impl Asked {
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut asked = Self {
            file: None,
            jobs: 2,
            control: None,
            seed: None,
            bugs: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.with_context(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--write" => asked.file = Some(value()?),
                "--jobs" => asked.jobs = value()?.parse()?,
                "--control" => asked.control = Some(value()?.parse()?),
                "--seed" => asked.seed = Some(value()?.parse()?),
                bug => {
                    anyhow::ensure!(
                        BUGS.iter().any(|(name, _)| *name == bug),
                        "there is no planted bug {bug:?}"
                    );
                    asked.bugs.push(argument);
                }
            }
        }
        Ok(asked)
    }

    fn wants(&self, name: &str) -> bool {
        self.bugs.is_empty() || self.bugs.iter().any(|bug| bug == name)
    }
}

fn main() -> Result<ExitCode> {
    let asked = Asked::of(std::env::args().skip(1))?;
    // A planted bug may make a service panic; the simulation notes it.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seed) = asked.seed {
        return one(&asked, seed);
    }
    if let Some(seeds) = asked.control {
        return control(&asked, seeds);
    }
    let bugs: Vec<_> = BUGS.iter().filter(|(name, _)| asked.wants(name)).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; bugs.len()]));
    std::thread::scope(|scope| {
        for _ in 0..asked.jobs.max(1) {
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
        let row = format!("| {name}: {what} | {seeds} | {by} |\n");
        table.push_str(&row);
    }
    let missed = found.iter().filter(|caught| caught.is_none()).count();
    match &asked.file {
        Some(file) => write(file, &table)?,
        None => println!("{table}"),
    }
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is found where nothing is planted is not the planted bug.
fn control(asked: &Asked, seeds: u64) -> Result<ExitCode> {
    let search = Search {
        base: BASE,
        seeds,
        jobs: asked.jobs,
        scale: Scale::default(),
        coverage: false,
    };
    let found = search.run(|_| ControlFlow::Continue(()))?;
    println!("{} of {} runs without a bug are clean", found.clean, seeds);
    let Some(failure) = found.failure else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("seed {}: {:#?}", failure.seed, failure.broken);
    Ok(ExitCode::FAILURE)
}

/// One run, with the first of the bugs that are asked for.
fn one(asked: &Asked, seed: u64) -> Result<ExitCode> {
    let bug = BUGS.iter().map(|(name, _)| *name);
    planted::switch(
        bug.into_iter()
            .find(|name| asked.bugs.iter().any(|bug| bug == name)),
    );
    let wanted = Wanted {
        story: true,
        coverage: false,
    };
    let report = run(&Plan::of_seed(seed, Scale::default()), wanted)?;
    for line in &report.story {
        println!("{line}");
    }
    println!("seed {seed}: {:#?}", report.broken);
    Ok(if report.is_clean() {
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
