//! The load generator's command line. Exit code 0: every threshold held; 1: one was broken; 2: the run could not be made.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use load_generator::{LoadArgs, Report, Stop, Terminal, run};
use tokio::signal::unix::{SignalKind, signal};

/// Send orders at a fixed rate, follow each to its outcome, and report latencies that hide nothing
#[derive(Debug, Parser)]
#[command(name = "load-generator", version, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    load: LoadArgs,
}

// One thread: it shares its machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match generate(Cli::parse().load).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn generate(args: LoadArgs) -> anyhow::Result<bool> {
    let plan = args.plan()?;
    let stop = Stop::default();
    stop_on_signals(&stop)?;
    let report = run(&plan, &stop, &Terminal::new()).await?;
    write_reports(&args, &report)?;
    Ok(report.ok)
}

/// The first signal ends the sending, the second one the waiting.
fn stop_on_signals(stop: &Stop) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let stop = stop.clone();
    tokio::spawn(async move {
        for token in [&stop.sending, &stop.waiting] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(())
}

fn write_reports(args: &LoadArgs, report: &Report) -> anyhow::Result<()> {
    let json_to_stdout = args.json.as_deref() == Some(Path::new("-"));
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(report)
            .context("the report cannot be written as JSON")?
            + "\n";
        if json_to_stdout {
            std::io::stdout()
                .write_all(json.as_bytes())
                .context("cannot write to standard output")?;
        } else {
            std::fs::write(path, json)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    if let Some(path) = &args.html {
        std::fs::write(path, report.to_html())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The text must not end up in the middle of the JSON.
    if json_to_stdout {
        eprintln!("{report}");
    } else {
        println!("{report}");
    }
    Ok(())
}
