//! `sagaline stock restocks`: who added to which stock, and when.

use sagaline_contracts::{Sku, Timestamp};
use serde::Deserialize;

use crate::client::Api;
use crate::cmd::Operator;
use crate::output::Out;
use crate::table::{Cell, Edge, Table, number};
use crate::text::time;

#[derive(Debug, clap::Args)]
pub(super) struct RestocksArgs {
    /// Of this SKU alone
    sku: Option<Sku>,
    /// Asked for by this one alone
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

/// One of them, as the inventory service tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    command_id: String,
    sku: String,
    qty: u32,
    requested_by: String,
    at: Timestamp,
}

/// Shows them, the newest first.
pub(super) async fn show(
    inventory: &Api,
    args: &RestocksArgs,
    out: &mut Out,
) -> anyhow::Result<()> {
    let operator = inventory.clone().with_token(args.operator.token()?);
    let mut query = vec![("limit", "1000")];
    query.extend(args.sku.as_ref().map(|sku| ("sku", sku.as_str())));
    query.extend(args.by.as_deref().map(|by| ("requestedBy", by)));
    let answer = operator.get(&["admin", "restocks"], &query).await?;
    if out.json {
        out.line(answer.body.trim_end())?;
        return Ok(());
    }
    let entries: Vec<Entry> = answer.parse()?;
    if entries.is_empty() {
        out.line("no restock is known")?;
    } else {
        out.table(&table(&entries))?;
    }
    Ok(())
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new(&[
        ("WHEN", Edge::Left),
        ("WHO", Edge::Left),
        ("SKU", Edge::Left),
        ("ADDED", Edge::Right),
        ("COMMAND", Edge::Left),
    ]);
    for entry in entries {
        table.row([
            Cell::from(time(entry.at)),
            Cell::from(&entry.requested_by),
            Cell::from(&entry.sku),
            number(entry.qty),
            Cell::from(&entry.command_id),
        ]);
    }
    table
}
