//! `sagaline order`: places an order.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sagaline_contracts::payload::QUANTITY_MAX;
use sagaline_contracts::{Money, OrderId, Sku};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Common;
use super::wait::{self, Outcome};
use crate::client::Api;
use crate::output::Out;
use crate::text::printable;
use crate::token::duration;

/// What is ordered, by whom, and whether to wait.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("goods").required(true).multiple(true).args(["sku", "items"]))]
pub(crate) struct OrderArgs {
    /// What to order; may be repeated, each with its --qty
    #[arg(long, value_name = "SKU")]
    sku: Vec<Sku>,
    /// How many of the --sku in the same place; without any, one of each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(QUANTITY_MAX)), requires = "sku")]
    qty: Vec<u32>,
    /// Several lines at once, perhaps with prices: SKU-1:2,SKU-2:1:9.90
    #[arg(long, value_name = "SKU:QTY[:PRICE],...", value_delimiter = ',')]
    items: Vec<Line>,
    /// Id of the order; the service makes one when it is not given
    #[arg(long, value_name = "ID")]
    order_id: Option<OrderId>,
    /// Id of this request: the same again is the same order
    #[arg(long, value_name = "ID")]
    client_request_id: Option<String>,
    /// Who orders
    #[arg(long, value_name = "ID")]
    customer_id: Option<String>,
    /// Currency of all amounts, such as EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Show what happens until the order is confirmed (exit code 0) or cancelled (exit code 2)
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration, requires = "wait")]
    timeout: Duration,
    #[command(flatten)]
    common: Common,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    sku: Sku,
    qty: u32,
    price: Option<Money>,
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint =
            |what: &str| format!("{text:?}: {what}; a line is SKU:QTY or SKU:QTY:PRICE");
        let mut parts = text.split(':');
        let (Some(sku), Some(qty), price, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(complaint("it has not two or three parts"));
        };
        let sku = Sku::new(sku.trim()).map_err(|error| complaint(&error.to_string()))?;
        let qty: u32 = qty
            .trim()
            .parse()
            .map_err(|_| complaint("QTY is not a number"))?;
        if !(1..=QUANTITY_MAX).contains(&qty) {
            return Err(complaint(&format!("QTY must be 1 to {QUANTITY_MAX}")));
        }
        let price = price.map(|price| serde_json::from_str::<Money>(price.trim()));
        let price = price
            .transpose()
            .map_err(|_| complaint("PRICE must be a number from 0 with at most two decimals"))?;
        Ok(Self { sku, qty, price })
    }
}

/// The body of `POST /orders`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a OrderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    items: Vec<Item<'a>>,
    total: Money,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    sku: &'a Sku,
    qty: u32,
    price: Money,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placed {
    order_id: OrderId,
}

#[derive(Deserialize)]
struct Priced {
    price: Option<Money>,
}

/// Places an order, and follows it when that is wanted.
pub(crate) async fn run(args: &OrderArgs) -> anyhow::Result<ExitCode> {
    let mut out = args.common.out();
    let lines = lines(args)?;
    let prices = prices(&args.common.at.inventory()?, &lines).await?;
    let body = body(args, &lines, &prices)?;
    let answer = args.common.at.order_service()?;
    let answer = answer.post(&["orders"], &body, None).await?;
    let placed: Placed = answer.parse()?;
    let is_new = answer.status == 201;
    announce(&mut out, args, &placed.order_id, body.total, is_new)?;
    out.flush()?;
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let read_model = args.common.at.read_model()?;
    let ended = wait::for_outcome(&read_model, &placed.order_id, args.timeout, &mut out).await?;
    ended.show(&mut out)?;
    Ok(match ended.outcome {
        Outcome::Confirmed => ExitCode::SUCCESS,
        Outcome::Cancelled => ExitCode::from(super::NEGATIVE),
    })
}

fn announce(
    out: &mut Out,
    args: &OrderArgs,
    id: &OrderId,
    total: Money,
    is_new: bool,
) -> anyhow::Result<()> {
    if out.json {
        out.json(&json!({ "orderId": id, "created": is_new, "total": total }))?;
    } else if is_new {
        out.line(format_args!("order {id} is placed, total {total}"))?;
    } else {
        out.line(format_args!("order {id} was placed before"))?;
    }
    if !args.wait && !out.json {
        out.line(format_args!(
            "follow it with: sagaline orders {id} --follow"
        ))?;
    }
    Ok(())
}

fn lines(args: &OrderArgs) -> anyhow::Result<Vec<Line>> {
    anyhow::ensure!(
        args.qty.is_empty() || args.qty.len() == args.sku.len(),
        "there are {} --sku and {} --qty: give each SKU its quantity, or none at all for one of each",
        args.sku.len(),
        args.qty.len()
    );
    let quantities = args.qty.iter().copied().chain(std::iter::repeat(1));
    let by_flags = args.sku.iter().zip(quantities).map(|(sku, qty)| Line {
        sku: sku.clone(),
        qty,
        price: None,
    });
    Ok(by_flags.chain(args.items.iter().cloned()).collect())
}

/// What the catalogue says that the goods without a price cost.
async fn prices(inventory: &Api, lines: &[Line]) -> anyhow::Result<BTreeMap<Sku, Money>> {
    let mut prices = BTreeMap::new();
    for line in lines.iter().filter(|line| line.price.is_none()) {
        if prices.contains_key(&line.sku) {
            continue;
        }
        let sku = line.sku.as_str();
        let shown = printable(sku);
        let answer = match inventory.get(&["products", sku], &[]).await {
            Err(error) if error.status() == Some(404) => anyhow::bail!(
                "{shown} is not in the catalogue, which `sagaline stock` shows; to order it all the same, give its price: \
                 --items {shown}:{}:PRICE",
                line.qty
            ),
            answer => answer?,
        };
        let product: Priced = answer.parse()?;
        let price = product.price.with_context(|| {
            format!(
                "the catalogue has no price for {shown}: give one with --items {shown}:{}:PRICE",
                line.qty
            )
        })?;
        prices.insert(line.sku.clone(), price);
    }
    Ok(prices)
}

fn body<'a>(
    args: &'a OrderArgs,
    lines: &'a [Line],
    prices: &BTreeMap<Sku, Money>,
) -> anyhow::Result<Body<'a>> {
    let mut total = Money::ZERO;
    let mut items = Vec::with_capacity(lines.len());
    for Line { sku, qty, price } in lines {
        let price = price
            .or_else(|| prices.get(sku).copied())
            .unwrap_or_default();
        total = price
            .checked_mul(*qty)
            .and_then(|cost| total.checked_add(cost))
            .with_context(|| format!("the total is more than {}", Money::MAX))?;
        items.push(Item {
            sku,
            qty: *qty,
            price,
        });
    }
    Ok(Body {
        order_id: args.order_id.as_ref(),
        client_request_id: args.client_request_id.as_deref(),
        customer_id: args.customer_id.as_deref(),
        currency: args.currency.as_deref(),
        items,
        total,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: OrderArgs,
    }

    fn parse(line: &str) -> Result<OrderArgs, String> {
        let line = std::iter::once("order").chain(line.split(' '));
        let parsed = Cli::try_parse_from(line.filter(|word| !word.is_empty()));
        parsed.map(|cli| cli.args).map_err(|e| e.to_string())
    }

    fn shown(line: &str) -> Vec<String> {
        let lines = lines(&parse(line).unwrap()).unwrap();
        let show = |line: &Line| match line.price {
            Some(price) => format!("{} {} {price}", line.sku, line.qty),
            None => format!("{} {}", line.sku, line.qty),
        };
        lines.iter().map(show).collect()
    }

    #[test]
    fn flags_pair_up_and_lines_stand_for_themselves() {
        assert_eq!(shown("--sku A"), ["A 1"]);
        assert_eq!(shown("--sku A --qty 2 --sku B --qty 3"), ["A 2", "B 3"]);
        assert_eq!(shown("--items A:2,B:1:9.90"), ["A 2", "B 1 9.90"]);
        assert_eq!(shown("--sku A --items B:2"), ["A 1", "B 2"]);
    }

    #[test]
    fn quantities_that_pair_with_nothing_are_refused() {
        let error = lines(&parse("--sku A --sku B --qty 2").unwrap()).unwrap_err();
        assert!(error.to_string().contains("2 --sku and 1 --qty"), "{error}");
        assert!(parse("--qty 2 --items A:1").is_err());
    }

    #[test]
    fn lines_that_cannot_be_ordered_are_refused_by_name() {
        for (line, what) in [
            ("A", "two or three parts"),
            ("A:1:2:3", "two or three parts"),
            ("A:x", "QTY is not a number"),
            ("A:0", "QTY must be 1"),
            ("A:1:1.999", "PRICE"),
            (":1", "sku must be"),
        ] {
            let error = parse(&format!("--items {line}")).unwrap_err();
            assert!(error.contains(what), "{line}: {error}");
        }
        assert!(parse("").is_err(), "an order of nothing");
    }

    #[test]
    fn the_total_is_exact_and_bounded() {
        let args = parse("--items A:3:0.1,B:1:0.2").unwrap();
        let these = lines(&args).unwrap();
        let whole = body(&args, &these, &BTreeMap::new()).unwrap();
        assert_eq!(whole.total.to_string(), "0.50");
        let args = parse("--items A:1000000:10000000").unwrap();
        let these = lines(&args).unwrap();
        assert!(body(&args, &these, &BTreeMap::new()).is_err());
    }
}
