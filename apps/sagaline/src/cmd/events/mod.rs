//! `sagaline events`: the topics themselves, without any service in between.

mod append;
mod envelope;
mod line;
mod tail;

use std::process::ExitCode;

use super::Common;

/// What to do with the topics.
#[derive(Debug, clap::Args)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show messages as they come
    Tail(tail::TailArgs),
    /// Publish messages
    Append(append::AppendArgs),
}

/// Reads or writes topics.
pub(crate) async fn run(args: &EventsArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Tail(tail) => tail::run(tail, &args.common).await?,
        Verb::Append(append) => append::run(append, &args.common).await?,
    }
    Ok(ExitCode::SUCCESS)
}
