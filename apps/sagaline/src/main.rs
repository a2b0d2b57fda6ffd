//! The all-in-one process and the operator's command line.

mod client;
mod cmd;
mod dashboard;
mod event;
mod input;
mod kafka;
mod output;
mod page;
mod secret;
mod summary;
mod table;
mod text;
mod token;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Sagaline: orders as a saga on Kafka.
#[derive(Debug, Parser)]
#[command(name = "sagaline", version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything in one process: broker, store, the five services, the dashboard
    Up(Box<up::UpArgs>),
    /// Serve the dashboard for services that run as processes of their own
    Dashboard(Box<dashboard::DashboardArgs>),
    /// Make a token for the admin endpoints
    Token(token::TokenArgs),
    /// Place an order
    Order(Box<cmd::order::OrderArgs>),
    /// Show the orders, or one of them with its timeline
    Orders(Box<cmd::orders::OrdersArgs>),
    /// Start the next attempt of an order that was cancelled
    Retry(Box<cmd::command::RetryArgs>),
    /// Undo an order before it is shipped, or refund it afterwards
    Compensate(Box<cmd::command::CompensateArgs>),
    /// Show messages that could not be handled, and decide about them
    Dlq(Box<cmd::dlq::DlqArgs>),
    /// Read topics, and write to them
    Events(Box<cmd::events::EventsArgs>),
    /// Show the topics, and how far behind each service is
    Topics(Box<cmd::topics::TopicsArgs>),
    /// Show the stock, and add to it
    Stock(Box<cmd::stock::StockArgs>),
    /// Show how the pipeline is doing
    Stats(Box<cmd::stats::StatsArgs>),
    /// Make the read model anew from the topics
    Rebuild(Box<cmd::rebuild::RebuildArgs>),
    /// Run the services on a simulated world, with faults from a seed, and check every invariant
    Simulate(Box<cmd::simulate::SimulateArgs>),
}

impl Command {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Up(args) => up::run(*args).await,
            Self::Dashboard(args) => dashboard::serve(*args).await,
            Self::Token(args) => token::run(&args),
            Self::Order(args) => cmd::order::run(&args).await,
            Self::Orders(args) => cmd::orders::run(&args).await,
            Self::Retry(args) => cmd::command::retry(&args).await,
            Self::Compensate(args) => cmd::command::compensate(&args).await,
            Self::Dlq(args) => cmd::dlq::run(&args).await,
            Self::Events(args) => cmd::events::run(&args).await,
            Self::Topics(args) => cmd::topics::run(&args).await,
            Self::Stock(args) => cmd::stock::run(&args).await,
            Self::Stats(args) => cmd::stats::run(&args).await,
            Self::Rebuild(args) => cmd::rebuild::run(&args).await,
            // It has runtimes of its own, on threads of its own.
            Self::Simulate(args) => {
                tokio::task::spawn_blocking(move || cmd::simulate::simulate(&args)).await?
            }
        }
    }
}

/// How long the last threads may take when everything else is done.
const RUNTIME_STOP_LIMIT: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    sagaline_service_kit::lifecycle::install_tls_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help is no error. A mistake is one like any other: exit code 2 means a negative answer here.
            let code = if usage.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
            // Whoever closed the stream does not want to know.
            let _ = usage.print();
            return code;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(format_args!(
                "error: the process cannot start its threads: {error}"
            ));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime
        .block_on(cli.command.run())
        .unwrap_or_else(|error| failed(&error));
    // A client that hangs on a dead connection is not waited for.
    runtime.shutdown_timeout(RUNTIME_STOP_LIMIT);
    code
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if output::is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    match error.downcast_ref::<client::ClientError>() {
        // It says all of it; its sources say it once more, in the HTTP client's words.
        Some(told) => output::note(format_args!("error: {told}")),
        None => output::note(format_args!("error: {error:#}")),
    }
    ExitCode::FAILURE
}
