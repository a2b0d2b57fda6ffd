//! `sagaline stock`: what is in stock, and more of it.

mod restocks;

use std::process::ExitCode;

use sagaline_contracts::{Money, Sku};
use sagaline_service_kit::ids::random_uuid;
use serde::Deserialize;
use serde_json::json;

use super::{Common, Operator};
use crate::client::{Answer, Api, ClientError};
use crate::output::{Out, Tone, note};
use crate::table::{Cell, Edge, Table, number};
use crate::text::printable;

/// Which goods.
#[derive(Debug, clap::Args)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct StockArgs {
    /// One SKU; without it, the whole catalogue
    sku: Option<Sku>,
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add to the stock of a SKU
    Restock(RestockArgs),
    /// Show who added to the stock, and when
    Restocks(restocks::RestocksArgs),
}

impl Verb {
    const fn usage(&self) -> &'static str {
        match self {
            Self::Restock(_) => "the SKU comes after the verb: sagaline stock restock SKU QTY",
            Self::Restocks(_) => "the SKU comes after the verb: sagaline stock restocks SKU",
        }
    }
}

#[derive(Debug, clap::Args)]
struct RestockArgs {
    /// What
    sku: Sku,
    /// How many more
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    qty: u32,
    /// The same again with the same key adds nothing; without a key, each call adds
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Product {
    sku: String,
    name: String,
    price: Option<Money>,
    available: u64,
    reserved: u64,
    shipped: u64,
}

#[derive(Deserialize)]
struct Restocked {
    available: u64,
}

/// Shows the stock, or adds to it.
pub(crate) async fn run(args: &StockArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let inventory = args.common.at.inventory()?;
    match (&args.verb, &args.sku) {
        (Some(verb), Some(_)) => anyhow::bail!("{}", verb.usage()),
        (Some(Verb::Restock(restock)), None) => add(&inventory, restock, &mut out).await?,
        (Some(Verb::Restocks(args)), None) => restocks::show(&inventory, args, &mut out).await?,
        (None, Some(sku)) => {
            let answer = product(&inventory, sku).await?;
            show(&answer, vec![answer.parse()?], &mut out)?;
        }
        (None, None) => {
            let answer = inventory.get(&["products"], &[]).await?;
            show(&answer, answer.parse()?, &mut out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn product(inventory: &Api, sku: &Sku) -> Result<Answer, ClientError> {
    inventory.get(&["products", sku.as_str()], &[]).await
}

fn show(answer: &Answer, products: Vec<Product>, out: &mut Out) -> anyhow::Result<()> {
    if out.json {
        out.line(answer.body.trim_end())?;
    } else if products.is_empty() {
        out.line("the catalogue is empty")?;
    } else {
        out.table(&table(products))?;
    }
    Ok(())
}

fn table(mut products: Vec<Product>) -> Table {
    products.sort_by(|a, b| natural(&a.sku).cmp(&natural(&b.sku)));
    let mut table = Table::new(&[
        ("SKU", Edge::Left),
        ("NAME", Edge::Left),
        ("PRICE", Edge::Right),
        ("AVAILABLE", Edge::Right),
        ("RESERVED", Edge::Right),
        ("SHIPPED", Edge::Right),
    ]);
    for product in products {
        let tone = match product.available {
            0 => Tone::Bad,
            1..10 => Tone::Warn,
            _ => Tone::Plain,
        };
        table.row([
            Cell::from(&product.sku),
            Cell::from(&product.name),
            Cell::from(product.price.map(|p| p.to_string()).unwrap_or_default()),
            Cell::toned(product.available.to_string(), tone),
            number(product.reserved),
            number(product.shipped),
        ]);
    }
    table
}

/// `SKU-2` before `SKU-10`: by the text before the number at its end, then by the number.
fn natural(sku: &str) -> (&str, u64, &str) {
    let text = sku.trim_end_matches(|c: char| c.is_ascii_digit());
    (text, sku[text.len()..].parse().unwrap_or(0), sku)
}

async fn add(inventory: &Api, args: &RestockArgs, out: &mut Out) -> anyhow::Result<()> {
    let token = args.operator.token()?;
    // A key of its own makes it safe to try again what was not answered.
    let key = args.idempotency_key.clone();
    let key = key.unwrap_or_else(|| random_uuid().to_string());
    let path = ["admin", "products", args.sku.as_str(), "restock"];
    let operator = inventory.clone().with_token(token);
    let added = operator
        .post(&path, &json!({ "qty": args.qty }), Some(&key))
        .await;
    if let Err(ClientError::Broken { .. }) = &added {
        note(format_args!(
            "whether it was added is not known; the same again with --idempotency-key {key} adds it once"
        ));
    }
    let answer = added?;
    if out.json {
        out.line(answer.body.trim_end())?;
        return Ok(());
    }
    let now: Restocked = answer.parse()?;
    let sku = printable(args.sku.as_str());
    out.line(format_args!(
        "{sku}: {} more, {} available now",
        args.qty, now.available
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    #[test]
    fn the_catalogue_is_sorted_as_people_count() {
        let product = |sku: &str, available| Product {
            sku: sku.to_owned(),
            name: "Thing".to_owned(),
            price: serde_json::from_str("10").ok(),
            available,
            ..Product::default()
        };
        let products = vec![
            product("SKU-10", 0),
            product("SKU-2", 7),
            product("LIMITED-1", 5),
        ];
        let shown = table(products).render(Paint::none());
        let skus: Vec<&str> = shown
            .lines()
            .filter_map(|l| l.split_whitespace().next())
            .collect();
        assert_eq!(skus, ["SKU", "LIMITED-1", "SKU-2", "SKU-10"]);
        let last: Vec<&str> = shown
            .lines()
            .next_back()
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(last, ["SKU-10", "Thing", "10.00", "0", "0", "0"]);
    }
}
