//! `GET /admin/restocks`: who added to which stock, and when.

use axum::extract::State;
use sagaline_contracts::{Sku, Timestamp};
use sagaline_service_kit::{Admin, Json, Operation, Problem, Query, page_limit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Api, damaged, each_page};
use crate::stock::StockDocument;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RestocksQuery {
    sku: Option<String>,
    requested_by: Option<String>,
    limit: Option<String>,
}

/// Somebody added units.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RestockEntry")]
pub(super) struct Entry {
    /// The command.
    command_id: String,
    /// The product.
    sku: Sku,
    /// How many.
    qty: u32,
    /// Who.
    requested_by: String,
    /// When.
    at: Timestamp,
}

impl Entry {
    /// What the document still knows of, in no order.
    fn all_of(document: &StockDocument) -> impl Iterator<Item = Self> {
        document.restocks().iter().map(|restock| Self {
            command_id: restock.key.clone(),
            sku: document.sku().clone(),
            qty: restock.qty,
            requested_by: restock.by.clone(),
            at: restock.at,
        })
    }
}

pub(super) fn describe() -> Operation {
    Operation::new("listRestocks", "Who added to which stock, and when")
        .for_admins()
        .query("sku", "Of this product alone", json!({ "type": "string" }))
        .query(
            "requestedBy",
            "Asked for by this one alone",
            json!({ "type": "string" }),
        )
        .query(
            "limit",
            "How many at most",
            json!({ "type": "integer", "minimum": 1, "default": LIMIT_DEFAULT }),
        )
        .answers::<Vec<Entry>>(
            200,
            "Newest first; of each product the latest fifty are known",
        )
}

pub(super) async fn list(
    _admin: Admin,
    State(api): State<Api>,
    Query(query): Query<RestocksQuery>,
) -> Result<Json<Vec<Entry>>, Problem> {
    let limit = page_limit(query.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let is_wanted = |entry: &Entry| {
        let by = query.requested_by.as_deref();
        let sku = query.sku.as_deref();
        by.is_none_or(|by| entry.requested_by == by)
            && sku.is_none_or(|sku| entry.sku.as_str() == sku)
    };
    let mut entries = Vec::new();
    each_page(&api, |page| {
        for stored in page {
            match StockDocument::decode(&stored.body) {
                Ok(document) => entries.extend(Entry::all_of(&document).filter(is_wanted)),
                // One that is damaged does not hide the others.
                Err(error) => drop(damaged(&stored.id, &error)),
            }
        }
        newest(&mut entries, limit);
    })
    .await?;
    Ok(Json(entries))
}

/// Keeps the newest, in an order that two requests agree on.
fn newest(entries: &mut Vec<Entry>, limit: usize) {
    entries.sort_by(|one, other| {
        let by_place = || (&one.sku, &one.command_id).cmp(&(&other.sku, &other.command_id));
        other.at.cmp(&one.at).then_with(by_place)
    });
    entries.truncate(limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sku: &str, command_id: &str, second: i64) -> Entry {
        Entry {
            command_id: command_id.to_owned(),
            sku: Sku::new(sku).unwrap(),
            qty: 1,
            requested_by: "ana".to_owned(),
            at: Timestamp::from_micros(second * 1_000_000),
        }
    }

    #[test]
    fn the_newest_are_kept_and_come_first_whatever_product_they_are_of() {
        let mut entries = vec![
            entry("SKU-1", "a", 2),
            entry("SKU-1", "b", 4),
            entry("SKU-2", "c", 1),
            entry("SKU-2", "d", 3),
            entry("SKU-0", "e", 3),
        ];
        newest(&mut entries, 4);
        let kept: Vec<&str> = entries.iter().map(|it| it.command_id.as_str()).collect();
        assert_eq!(kept, ["b", "e", "d", "a"]);
    }
}
