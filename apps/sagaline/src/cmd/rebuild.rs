//! `sagaline rebuild`: makes what follows from the topics anew.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use read_model_service::{RebuildOptions, rebuild};
use sagaline_runtime::kafka::KafkaBroker;
use sagaline_runtime::{Ports, SilentHealth};
use sagaline_service_host::KitClock;
use sagaline_service_kit::secret::MongoUrl;
use sagaline_store::MongoStore;
use serde::Deserialize;
use serde_json::json;

use super::{Common, Operator};
use crate::kafka;
use crate::output::{Out, note};

/// The services' database.
const DATABASE: &str = "sagaline";
/// Who rebuilds with the database's password, as the audit has it.
const COMMAND_LINE: &str = "sagaline rebuild";
/// A rebuild reads every topic from its beginning.
const LIMIT: Duration = Duration::from_hours(1);

/// What to make anew.
#[derive(Debug, clap::Args)]
pub(crate) struct RebuildArgs {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Clear the orders' timelines, dead letters and audit, and project every topic again
    ReadModel(ReadModelArgs),
}

#[derive(Debug, clap::Args)]
struct ReadModelArgs {
    /// The store, to rebuild in this process. Without it the running read model service is asked, which has its own
    #[arg(long, env = "MONGO_URL", hide_env_values = true, value_name = "URL")]
    mongo_url: Option<MongoUrl>,
    /// Go on although the topics have lost their first messages: what only those told is gone afterwards
    #[arg(long)]
    accept_loss: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Report {
    messages: u64,
    orders: u64,
    took_ms: f64,
}

/// Rebuilds.
pub(crate) async fn run(args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let What::ReadModel(read_model) = &args.what;
    let report = match &read_model.mongo_url {
        Some(url) => here(&args.common, url, read_model.accept_loss).await?,
        None => there(&args.common, read_model).await?,
    };
    show(&report, &mut out)?;
    Ok(ExitCode::SUCCESS)
}

/// In this process: the service may run meanwhile, and notices it.
async fn here(common: &Common, url: &MongoUrl, accept_loss: bool) -> anyhow::Result<Report> {
    let brokers = &common.at.kafka_brokers;
    let kafka = kafka::options(&common.at).await?;
    let store = MongoStore::connect(url.expose(), DATABASE).await;
    let store = store.with_context(|| format!("the store at {url} cannot be reached"))?;
    let ports = Ports {
        store: Arc::new(store),
        broker: Arc::new(KafkaBroker::new(kafka)),
        clock: Arc::new(KitClock),
        health: Arc::new(SilentHealth),
    };
    note(format_args!(
        "projecting every topic of {brokers} into {url}"
    ));
    let options = RebuildOptions {
        accept_loss,
        ..RebuildOptions::by(COMMAND_LINE)
    };
    let report = rebuild(&ports, options).await?;
    Ok(Report {
        messages: report.messages,
        orders: report.orders,
        took_ms: report.took.as_secs_f64() * 1_000.0,
    })
}

/// In the service: only it can reach a store that is within its own process.
async fn there(common: &Common, args: &ReadModelArgs) -> anyhow::Result<Report> {
    let read_model = common.at.read_model()?.with_token(args.operator.token()?);
    let read_model = read_model.with_limit(LIMIT);
    let answer = read_model
        .post(
            &["admin", "rebuild"],
            &json!({ "acceptLoss": args.accept_loss }),
            None,
        )
        .await;
    match answer {
        Err(error) if matches!(error.status(), Some(404 | 405)) => anyhow::bail!(
            "the read model service at {} cannot be asked for a rebuild: name its store with --mongo-url or MONGO_URL, and \
             its broker with --kafka-brokers, to rebuild from here",
            read_model.service().base
        ),
        answer => Ok(answer?.parse()?),
    }
}

fn show(report: &Report, out: &mut Out) -> anyhow::Result<()> {
    let Report {
        messages,
        orders,
        took_ms,
    } = report;
    if out.json {
        out.json(&json!({ "messages": messages, "orders": orders, "tookMs": took_ms }))?;
    } else {
        let took = crate::text::duration(Duration::from_secs_f64(took_ms.max(0.0) / 1_000.0));
        out.line(format_args!(
            "{orders} orders from {messages} messages in {took}"
        ))?;
    }
    out.flush()?;
    Ok(())
}
