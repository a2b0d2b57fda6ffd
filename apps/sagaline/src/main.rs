//! The all-in-one process and the operator's command line.

mod secret;
mod token;
mod up;

use std::process::ExitCode;

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
    /// Start everything in one process: broker, store, the five services
    Up(Box<up::UpArgs>),
    /// Make a token for the admin endpoints
    Token(token::TokenArgs),
}

fn main() -> ExitCode {
    sagaline_service_kit::lifecycle::install_tls_provider();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the process cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(*args).await,
            Command::Token(args) => token::run(&args),
        }
    });
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
