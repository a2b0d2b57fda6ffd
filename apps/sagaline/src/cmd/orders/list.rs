//! The orders as a table.

use sagaline_contracts::Timestamp;
use serde_json::value::RawValue;

use super::Filter;
use super::view::Order;
use crate::client::Api;
use crate::event::status_tone;
use crate::output::Out;
use crate::page;
use crate::table::{Cell, Edge, Table, number};
use crate::text::{age, duration};

/// Shows the orders that changed last.
pub(super) async fn show(
    read_model: &Api,
    filter: &Filter,
    limit: u32,
    out: &mut Out,
) -> anyhow::Result<()> {
    let upper = |text: &Option<String>| text.as_ref().map(|text| text.to_ascii_uppercase());
    let (status, outcome) = (upper(&filter.status), upper(&filter.outcome));
    let mut query: Vec<(&str, &str)> = Vec::new();
    query.extend(status.as_deref().map(|status| ("status", status)));
    query.extend(outcome.as_deref().map(|outcome| ("outcome", outcome)));
    query.extend(filter.stalled.then_some(("stalled", "true")));
    let documents = page::read(read_model, &["orders"], &query, limit as usize).await?;
    if out.json {
        out.json(&documents)?;
        return Ok(());
    }
    let table = table(&documents, super::super::now())?;
    if table.is_empty() {
        out.line("no orders")?;
        return Ok(());
    }
    Ok(out.table(&table)?)
}

fn table(documents: &[Box<RawValue>], now: Timestamp) -> Result<Table, serde_json::Error> {
    let mut table = Table::new(&[
        ("ORDER", Edge::Left),
        ("STATUS", Edge::Left),
        ("OUTCOME", Edge::Left),
        ("ATTEMPT", Edge::Right),
        ("TOTAL", Edge::Right),
        ("AGE", Edge::Right),
        ("TOOK", Edge::Right),
        ("REMARKS", Edge::Left),
    ]);
    for document in documents {
        let order: Order = serde_json::from_str(document.get())?;
        let (remarks, tone) = order.remarks(now);
        table.row([
            Cell::from(&order.id),
            Cell::toned(order.status(), status_tone(order.status())),
            Cell::toned(&order.outcome, status_tone(&order.outcome)),
            number(order.attempt.unwrap_or(1)),
            Cell::from(order.total()),
            Cell::from(age(order.created_at, now)),
            Cell::from(order.took().map(duration).unwrap_or_default()),
            Cell::toned(remarks, tone),
        ]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::output::Paint;

    #[test]
    fn an_order_is_a_row() {
        let document = json!({
            "_id": "o-1", "orderId": "o-1", "currentStatus": "PAYMENT_FAILED", "outcome": "CANCELLED", "attempt": 2,
            "reason": "card_declined", "total": 20, "currency": "EUR", "createdAt": "2026-01-31T12:00:00Z",
            "updatedAt": "2026-01-31T12:00:01Z", "endedAt": "2026-01-31T12:00:01Z", "timeline": [],
        });
        let documents = [to_raw_value(&document).unwrap()];
        let now: Timestamp = "2026-01-31T12:02:05Z".parse().unwrap();
        let shown = table(&documents, now).unwrap().render(Paint::none());
        let row: Vec<&str> = shown.lines().nth(1).unwrap().split("  ").collect();
        let row: Vec<&str> = row
            .into_iter()
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        assert_eq!(
            row,
            [
                "o-1",
                "PAYMENT_FAILED",
                "CANCELLED",
                "2",
                "20.00 EUR",
                "2m 05s",
                "1.0s",
                "card_declined"
            ]
        );
    }
}
