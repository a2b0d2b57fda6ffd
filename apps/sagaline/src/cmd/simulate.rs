//! `simulate`: the real services on a simulated world, seed by seed, with every invariant checked.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sagaline_service_kit::clock::Stopwatch;
use sagaline_service_kit::ids::random_bytes;
use sagaline_simulation::plan::{Plan, Scale};
use sagaline_simulation::{Found, Report, Search, Wanted, run, shrink};

use super::NEGATIVE;
use crate::output::note;
use crate::text;
use crate::token::duration;

/// Runs that a shrink may take.
const SHRINK_RUNS_MAX: u32 = 600;
/// How much of a history is shown; all of it is in the file.
const HISTORY_SHOWN: usize = 60;
/// How much of a line is shown.
const LINE_SHOWN: usize = 200;

/// The flags of `simulate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SimulateArgs {
    /// Seeds to run; 1 when --seed is given, 1000 otherwise
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Go on with one seed after the other for so long, for instance 8h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "seeds")]
    lasts: Option<Duration>,
    /// The first seed; a fresh random one is drawn, and printed, when it is left out
    #[arg(long, env = "SIMULATION_SEED", value_name = "S")]
    seed: Option<u64>,
    /// Threads
    #[arg(long, default_value_t = 2, value_name = "J")]
    jobs: usize,
    /// Orders in each run
    #[arg(long, default_value_t = Scale::default().orders, value_name = "N")]
    orders: u32,
    /// Let nothing go wrong
    #[arg(long)]
    no_faults: bool,
    /// Run this plan instead, as a failing run has left it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "lasts", "seed", "orders", "no_faults"])]
    plan: Option<PathBuf>,
    /// Print the whole history of the run
    #[arg(long)]
    history: bool,
    /// Show which events came in which states, which never did, and how often each fault struck
    #[arg(long)]
    coverage: bool,
    /// Where the plan and the history of a failing run go
    #[arg(long, default_value = "target/simulation", value_name = "DIR")]
    out: PathBuf,
}

/// Runs `simulate`.
pub(crate) fn simulate(args: &SimulateArgs) -> Result<ExitCode> {
    if let Some(file) = &args.plan {
        let json =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let plan: Plan = serde_json::from_slice(&json)
            .with_context(|| format!("{} is no plan", file.display()))?;
        return replay(args, &plan);
    }
    let scale = Scale {
        orders: args.orders,
        faults: !args.no_faults,
    };
    if args.history
        && let Some(seed) = args.seed
    {
        return replay(args, &Plan::of_seed(seed, scale));
    }
    let base = match args.seed {
        Some(seed) => seed,
        None => u64::from_be_bytes(random_bytes()?) >> 16,
    };
    let seeds = match args.seeds {
        Some(seeds) => seeds,
        None if args.lasts.is_some() => u64::MAX,
        None if args.seed.is_some() => 1,
        None => 1_000,
    };
    let search = Search {
        base,
        seeds,
        jobs: args.jobs,
        scale,
        coverage: args.coverage,
    };
    match args.lasts {
        Some(lasts) => println!(
            "seeds from {base} on for {}, {} orders each",
            text::duration(lasts),
            scale.orders
        ),
        None => println!(
            "seeds {base} to {}, {} orders each",
            base.wrapping_add(seeds.saturating_sub(1)),
            scale.orders
        ),
    }
    let (watch, bar) = (
        Stopwatch::start(),
        bar(args.lasts.is_none().then_some(seeds)),
    );
    let found = search.run(|_| {
        bar.inc(1);
        match args.lasts {
            Some(lasts) if watch.elapsed() >= lasts => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    bar.finish_and_clear();
    summary(&found, watch.elapsed());
    if args.coverage {
        print!("{}", covered(&found));
    }
    match &found.failure {
        None => Ok(ExitCode::SUCCESS),
        Some(report) => {
            fail(args, &Plan::of_seed(report.seed, scale), report)?;
            Ok(ExitCode::from(NEGATIVE))
        }
    }
}

fn bar(seeds: Option<u64>) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(seeds, target);
    let template = match seeds {
        Some(_) => "{bar:40} {pos}/{len} seeds  {per_sec}  {eta} left",
        None => "{spinner} {pos} seeds  {per_sec}  {elapsed} gone",
    };
    // A template of ours is one.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn summary(found: &Found, took: Duration) {
    let seconds = took.as_secs_f64().max(0.001);
    println!(
        "{} of {} runs clean in {:.1} s: {:.0} schedules per second, {:.0} s of virtual time in each second",
        found.clean,
        found.runs,
        seconds,
        found.runs as f64 / seconds,
        found.virtual_ms as f64 / 1_000.0 / seconds,
    );
}

/// Runs one plan, and tells all of it.
fn replay(args: &SimulateArgs, plan: &Plan) -> Result<ExitCode> {
    let wanted = Wanted {
        story: true,
        coverage: false,
    };
    let report = run(plan, wanted)?;
    if args.history {
        for line in &report.story {
            println!("{line}");
        }
    }
    tell(&report);
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NEGATIVE)
    })
}

fn tell(report: &Report) {
    println!(
        "seed {}: {} events, trace {:016x}, {} ms of virtual time",
        report.seed, report.events, report.trace_hash, report.virtual_ms
    );
    for complaint in &report.broken {
        println!("  broken: {}", shown(complaint));
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(LINE_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// A seed has shown a bug: cuts its plan down, and leaves what is needed to see it again.
fn fail(args: &SimulateArgs, plan: &Plan, report: &Report) -> Result<()> {
    tell(report);
    note(format_args!(
        "looking for the shortest plan that shows it ..."
    ));
    let short = shrink(plan, SHRINK_RUNS_MAX)?;
    let wanted = Wanted {
        story: true,
        coverage: false,
    };
    let again = run(&short, wanted)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("{} cannot be made", args.out.display()))?;
    let file = |suffix: &str| args.out.join(format!("seed-{}.{suffix}", report.seed));
    write(&file("plan.json"), &serde_json::to_vec_pretty(&short)?)?;
    write(&file("history.txt"), again.story.join("\n").as_bytes())?;
    println!(
        "\nshortest plan: {} steps instead of {}; the end of its history:",
        short.steps.len(),
        plan.steps.len()
    );
    for step in &short.steps {
        println!("  {}", serde_json::to_string(step)?);
    }
    let from = again.story.len().saturating_sub(HISTORY_SHOWN);
    for line in again.story.iter().skip(from) {
        println!("{}", shown(line));
    }
    tell(&again);
    println!(
        "\nthe same again:  sagaline simulate --seed {} --orders {}{}",
        report.seed,
        args.orders,
        if args.no_faults { " --no-faults" } else { "" }
    );
    println!(
        "the short one:   sagaline simulate --plan {} --history",
        file("plan.json").display()
    );
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

/// Which events came in which states, and under how many kinds of faults; which never did; and how often each fault struck.
fn covered(found: &Found) -> String {
    let mut text = String::from(
        "\n| service | state | event | times | kinds of faults about |\n|---|---|---|---|---|\n",
    );
    for ((state, topic), times) in &found.coverage.events {
        let faults = found.coverage.faults.iter();
        let kinds = faults
            .filter(|(known, event, _)| known == state && event == topic)
            .count();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {topic} | {times} | {kinds} |",
            state.0, state.1
        );
    }
    let _ = writeln!(
        text,
        "\n{} pairs of state and event, {} with the faults that were about\n\n| fault | times | pairs that it was about |\n|---|---|---|",
        found.coverage.events.len(),
        found.coverage.faults.len()
    );
    for (fault, times) in &found.faults {
        let struck = found.coverage.faults.iter();
        let pairs = struck.filter(|(_, _, known)| known == fault).count();
        let _ = writeln!(text, "| {fault} | {times} | {pairs} |");
    }
    let never = found.coverage.never_met();
    let _ = writeln!(
        text,
        "\nStates and events that never met, of those that the service consumes ({}):\n",
        never.len()
    );
    for ((service, state), topic) in never {
        let _ = writeln!(text, "- {service}, {state}: {topic}");
    }
    text
}
