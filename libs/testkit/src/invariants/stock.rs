//! No unit appears, vanishes, or is booked out twice.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::events::{Events, of_type};
use super::{Broken, Known, Violations};
use crate::client::Client;

/// Units of a SKU that a new installation starts with.
fn initial(sku: &str) -> Option<i64> {
    match sku {
        "LIMITED-1" => Some(5),
        sku if sku.starts_with("SKU-") => Some(1_000_000),
        _ => None,
    }
}

/// What the events say was booked out, by SKU.
fn booked_out(events: &HashMap<String, Events>) -> BTreeMap<String, i64> {
    let mut shipped: BTreeMap<String, i64> = BTreeMap::new();
    for events in events
        .values()
        .filter(|events| of_type(events, "OrderShipped").next().is_some())
    {
        // Every attempt reserves the same items.
        let Some(reserved) = of_type(events, "InventoryReserved").next() else {
            continue;
        };
        let items = reserved["payload"]["reservedItems"].as_array();
        for item in items.into_iter().flatten() {
            let sku = item["sku"].as_str().unwrap_or_default().to_owned();
            *shipped.entry(sku).or_default() += item["qty"].as_i64().unwrap_or_default();
        }
    }
    shipped
}

/// Checks every SKU when every order has its outcome.
pub(super) async fn check(
    client: &Client,
    known: &Known,
    events: &HashMap<String, Events>,
    found: &mut Violations,
) -> Result<()> {
    let shipped = booked_out(events);
    for product in client.products().await? {
        let sku = product["sku"].as_str().unwrap_or_default();
        let number = |name: &str| product[name].as_i64().unwrap_or(i64::MIN);
        let (available, reserved, gone) =
            (number("available"), number("reserved"), number("shipped"));
        if available < 0 || reserved < 0 || gone < 0 {
            found.push(Broken::Wrong, format!("stock below zero: {product}"));
        }
        let restocked = known.restocked.get(sku).copied().unwrap_or_default();
        if let Some(initial) = initial(sku) {
            let (there, was) = (available + reserved + gone, initial + restocked);
            let kind = if there < was {
                Broken::Lost
            } else {
                Broken::Doubled
            };
            if there != was {
                let what = format!("{sku}: {initial} + {restocked} units became {product}");
                found.push(kind, what);
            }
        }
        if reserved != 0 {
            let what = format!(
                "{sku}: {reserved} units are still reserved although every order has its outcome"
            );
            found.push(Broken::Lost, what);
        }
        let expected = shipped.get(sku).copied().unwrap_or_default();
        if gone != expected {
            let what = format!("{sku}: {gone} units are shipped, but the events say {expected}");
            let kind = if gone < expected {
                Broken::Lost
            } else {
                Broken::Doubled
            };
            found.push(kind, what);
        }
    }
    Ok(())
}
