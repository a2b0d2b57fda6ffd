//! `sagaline dlq`: messages that could not be handled, and what is decided about them.

mod view;

use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Common, Operator};
use crate::input;
use crate::output::Out;
use crate::page;

/// What to do with dead letters.
#[derive(Debug, clap::Args)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List dead letters, the latest to die first
    Ls(LsArgs),
    /// Show one with its message and its history
    Show {
        /// The dead letter
        id: String,
    },
    /// Handle one again, as it was or with a corrected payload
    Redrive(RedriveArgs),
    /// Drop one, and go on with what waits behind it
    Discard {
        /// The dead letter
        id: String,
        #[command(flatten)]
        operator: Operator,
    },
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// What became of them
    #[arg(long, default_value = "waiting")]
    state: State,
    /// Only of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only those that this service could not handle
    #[arg(long, value_name = "SERVICE")]
    consumer: Option<String>,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct RedriveArgs {
    /// The dead letter
    id: String,
    /// Corrected payload: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    payload: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Nobody has decided yet
    Waiting,
    /// Handled again
    Redriven,
    /// Dropped
    Discarded,
    /// Whatever became of them
    All,
}

impl State {
    const fn as_query(self) -> Option<&'static str> {
        match self {
            Self::Waiting => Some("waiting"),
            Self::Redriven => Some("redriven"),
            Self::Discarded => Some("discarded"),
            Self::All => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    command_id: String,
}

/// Shows or decides.
pub(crate) async fn run(args: &DlqArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    match &args.verb {
        Verb::Ls(list) => ls(&args.common, list, &mut out).await?,
        Verb::Show { id } => show(&args.common, id, &mut out).await?,
        Verb::Redrive(redrive) => {
            let body = body(redrive)?;
            decide(
                &args.common,
                &redrive.operator,
                &redrive.id,
                "redrive",
                &body,
                &mut out,
            )
            .await?;
        }
        Verb::Discard { id, operator } => {
            decide(&args.common, operator, id, "discard", &json!({}), &mut out).await?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn ls(common: &Common, args: &LsArgs, out: &mut Out) -> anyhow::Result<()> {
    let mut query: Vec<(&str, &str)> = Vec::new();
    query.extend(args.state.as_query().map(|state| ("state", state)));
    query.extend(args.topic.as_deref().map(|topic| ("topic", topic)));
    query.extend(
        args.consumer
            .as_deref()
            .map(|consumer| ("consumer", consumer)),
    );
    let read_model = common.at.read_model()?;
    let letters = page::read(&read_model, &["dead-letters"], &query, args.limit as usize).await?;
    if out.json {
        out.json(&letters)?;
        return Ok(());
    }
    let table = view::table(&letters, super::now())?;
    if table.is_empty() {
        let which = args.state.as_query().map(|state| format!(" {state}"));
        out.line(format_args!("no dead letters{}", which.unwrap_or_default()))?;
        return Ok(());
    }
    Ok(out.table(&table)?)
}

async fn show(common: &Common, id: &str, out: &mut Out) -> anyhow::Result<()> {
    let answer = common.at.read_model()?;
    let answer = answer.get(&["dead-letters", id], &[]).await?;
    if out.json {
        out.line(answer.body.trim_end())?;
        return Ok(());
    }
    let shown = view::whole(&answer.parse()?, super::now(), out.paint);
    out.line(shown)?;
    Ok(())
}

/// The body of a redrive: empty, or with what to handle in place of the message's payload.
fn body(args: &RedriveArgs) -> anyhow::Result<Value> {
    let Some(given) = &args.payload else {
        return Ok(json!({}));
    };
    let text = input::given(given)?;
    let payload: Value = serde_json::from_slice(&text).context("--payload is not JSON")?;
    Ok(json!({ "payload": payload }))
}

async fn decide(
    common: &Common,
    operator: &Operator,
    id: &str,
    verb: &str,
    body: &Value,
    out: &mut Out,
) -> anyhow::Result<()> {
    let read_model = common.at.read_model()?.with_token(operator.token()?);
    let path = ["admin", "dead-letters", id, verb];
    let answer = read_model.post(&path, body, None).await?;
    if out.json {
        out.line(answer.body.trim_end())?;
        return Ok(());
    }
    let Accepted { command_id } = answer.parse()?;
    out.line(format_args!("accepted as command {command_id}"))?;
    Ok(())
}
