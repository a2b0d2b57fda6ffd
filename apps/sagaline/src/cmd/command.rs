//! `sagaline retry` and `sagaline compensate`: what operators ask of an order.

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use sagaline_contracts::OrderId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wait::{self, Asked, Verdict};
use super::{Common, Operator};
use crate::token::duration;

/// Starts the next attempt of an order that was cancelled
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    /// The order
    id: OrderId,
    /// The step that failed
    #[arg(long)]
    step: Step,
    #[command(flatten)]
    asking: Asking,
}

/// Undoes an order before it is shipped, or refunds it afterwards
#[derive(Debug, clap::Args)]
pub(crate) struct CompensateArgs {
    /// The order
    id: OrderId,
    /// What to undo. Before shipping either of them cancels the order
    #[arg(long)]
    action: Action,
    /// Why, for the timeline
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// What every command to an order takes.
#[derive(Debug, clap::Args)]
struct Asking {
    /// Show what happens until it is done (exit code 0), or refused or failed (exit code 2)
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration, requires = "wait")]
    timeout: Duration,
    /// Commands with the same key are one command. Without a key, the same command of one operator in one attempt is one
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    common: Common,
}

/// A step of the saga.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// Reserve the stock
    Inventory,
    /// Charge the customer
    Payment,
    /// Send the goods
    Shipping,
}

/// What can be undone.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    /// Give the reserved stock back
    #[value(name = "releaseInventory", alias = "release-inventory")]
    ReleaseInventory,
    /// Pay the customer back
    #[value(name = "refundPayment", alias = "refund-payment")]
    RefundPayment,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    command_id: String,
}

/// Asks for an order's next attempt.
pub(crate) async fn retry(args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let body = json!({ "step": args.step });
    ask(&args.id, "retry", &body, Asked::Retry, &args.asking).await
}

/// Asks for something to be undone.
pub(crate) async fn compensate(args: &CompensateArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "action": args.action });
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    let asked = match args.action {
        Action::ReleaseInventory => Asked::Release,
        Action::RefundPayment => Asked::Refund,
    };
    ask(&args.id, "compensate", &body, asked, &args.asking).await
}

async fn ask(
    id: &OrderId,
    verb: &str,
    body: &Value,
    asked: Asked,
    args: &Asking,
) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let orders = args.common.at.order_service()?;
    let orders = orders.with_token(args.operator.token()?);
    let read_model = args.common.at.read_model()?;
    let before = if args.wait {
        Some(wait::before(&read_model, id).await?)
    } else {
        None
    };
    let key = args.idempotency_key.as_deref();
    let answer = orders
        .post(&["admin", verb, id.as_str()], body, key)
        .await?;
    let Accepted { command_id } = answer.parse()?;
    if out.json {
        out.json(&json!({ "ok": true, "commandId": command_id }))?;
    } else {
        out.line(format_args!("accepted as command {command_id}"))?;
        if !args.wait {
            out.line(format_args!(
                "see what becomes of it with: sagaline orders {id}"
            ))?;
        }
    }
    out.flush()?;
    let Some(before) = before else {
        return Ok(ExitCode::SUCCESS);
    };
    let verdict = wait::for_command(
        &read_model,
        before,
        asked,
        &command_id,
        args.timeout,
        &mut out,
    )
    .await?;
    verdict.show(&mut out, &command_id)?;
    Ok(match verdict {
        Verdict::Done(_) => ExitCode::SUCCESS,
        Verdict::Failed(_) => ExitCode::from(super::NEGATIVE),
    })
}
