//! `sagaline orders`: the orders, or one of them with its timeline, as they are or as they change.

mod feed;
mod list;
mod one;
mod view;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use sagaline_contracts::OrderId;

use super::Common;

const STATUSES: [&str; 8] = [
    "CREATED",
    "INVENTORY_RESERVED",
    "INVENTORY_FAILED",
    "PAYMENT_AUTHORIZED",
    "PAYMENT_FAILED",
    "SHIPPED",
    "SHIPPING_FAILED",
    "REFUNDED",
];
const OUTCOMES: [&str; 3] = ["PENDING", "CONFIRMED", "CANCELLED"];

/// Which orders, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct OrdersArgs {
    /// One order, with its timeline; without it, the orders that changed last
    id: Option<OrderId>,
    #[command(flatten)]
    filter: Filter,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with_all = ["id", "follow"], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Show what happens as it happens: of one order each event, from the first; of all orders each change from now on
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    common: Common,
}

/// Which orders are shown.
#[derive(Debug, Clone, Default, clap::Args)]
struct Filter {
    /// Only with this status
    #[arg(long, conflicts_with = "id", ignore_case = true, value_parser = PossibleValuesParser::new(STATUSES))]
    status: Option<String>,
    /// Only with this outcome
    #[arg(long, conflicts_with = "id", ignore_case = true, value_parser = PossibleValuesParser::new(OUTCOMES))]
    outcome: Option<String>,
    /// Only those in flight for longer than the saga timeout
    #[arg(long, conflicts_with = "id")]
    stalled: bool,
}

/// Shows orders.
pub(crate) async fn run(args: &OrdersArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let read_model = args.common.at.read_model()?;
    match (&args.id, args.follow) {
        (Some(id), false) => one::show(&read_model, id, &mut out).await?,
        (Some(id), true) => one::follow(&read_model, id, &mut out).await?,
        (None, false) => list::show(&read_model, &args.filter, args.limit, &mut out).await?,
        (None, true) => feed::follow(&read_model, &args.filter, &mut out).await?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
