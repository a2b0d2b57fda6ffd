//! What an event says, in one line. Events of others may lack anything, so nothing is taken for granted.

use sagaline_contracts::Money;
use serde_json::Value;

use crate::text::clipped;

/// A payload that is not known is shown as JSON, up to here.
const JSON_CHARS_MAX: usize = 160;
/// Lines of an order that are listed; the rest is counted.
const ITEMS_LISTED_MAX: usize = 4;

/// The payload of an event of this (short) name in one line.
pub(crate) fn summary(name: &str, payload: &Value) -> String {
    let text = |field: &str| payload.get(field).and_then(Value::as_str).unwrap_or("");
    let parts: Vec<String> = match name {
        "OrderCreated" => vec![
            format!(
                "{}, {}",
                items(&payload["items"]),
                amount(&payload["total"])
            ),
            text("currency").to_owned(),
            labelled("customer ", text("customerId")),
        ],
        "OrderRetried" => vec![
            format!("from {}", text("step")),
            labelled("by ", text("requestedBy")),
        ],
        "OrderConfirmed" => Vec::new(),
        "OrderCancelled" | "PaymentFailed" | "ShippingFailed" => vec![text("reason").to_owned()],
        "InventoryReserved" => vec![items(&payload["reservedItems"])],
        "InventoryFailed" => vec![text("reason").to_owned(), shortages(&payload["shortages"])],
        "InventoryReleased" => vec![
            items(&payload["releasedItems"]),
            labelled("because: ", text("reason")),
        ],
        "PaymentAuthorized" => vec![amount(&payload["amount"]), text("authId").to_owned()],
        "PaymentRefunded" => vec![amount(&payload["amount"]), text("refundId").to_owned()],
        "OrderShipped" => vec![text("carrier").to_owned(), text("trackingId").to_owned()],
        "RetryRequested" => vec![
            text("step").to_owned(),
            labelled("by ", text("requestedBy")),
        ],
        "CompensationRequested" => vec![
            text("action").to_owned(),
            labelled("ruled by ", text("decidedBy")),
            labelled("by ", text("requestedBy")),
            labelled("because: ", text("reason")),
        ],
        "CommandRejected" => vec![
            format!("{}: {}", text("command"), text("reason")),
            labelled("for ", text("requestedBy")),
        ],
        "RedriveRequested" => vec![
            format!("{} {}", text("action"), text("deadLetterId")),
            labelled("by ", text("requestedBy")),
        ],
        "DeadLetter" => vec![dead_letter(payload)],
        _ => vec![clipped(&payload.to_string(), JSON_CHARS_MAX).into_owned()],
    };
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    said.join(" ")
}

/// An amount with its two decimals, however it is written; nothing when it is none.
pub(crate) fn amount(value: &Value) -> String {
    serde_json::from_value::<Money>(value.clone()).map_or_else(|_| String::new(), |m| m.to_string())
}

/// `2 × SKU-1, 1 × SKU-2`.
pub(crate) fn items(items: &Value) -> String {
    let lines: Vec<&Value> = items.as_array().into_iter().flatten().collect();
    let shown = lines.iter().take(ITEMS_LISTED_MAX).map(|line| {
        let sku = line["sku"].as_str().unwrap_or("?");
        format!("{} × {sku}", line["qty"])
    });
    let mut said: Vec<String> = shown.collect();
    if lines.is_empty() {
        said.push("nothing".to_owned());
    }
    if lines.len() > ITEMS_LISTED_MAX {
        said.push(format!("{} more", lines.len() - ITEMS_LISTED_MAX));
    }
    said.join(", ")
}

fn shortages(shortages: &Value) -> String {
    let lines = shortages.as_array().into_iter().flatten();
    let said: Vec<String> = lines
        .map(|line| {
            let sku = line["sku"].as_str().unwrap_or("?");
            match line["available"].as_u64() {
                Some(available) => format!("{sku}: {} of {}", available, line["requested"]),
                None => format!("{sku}: unknown"),
            }
        })
        .collect();
    if said.is_empty() {
        String::new()
    } else {
        format!("({})", said.join(", "))
    }
}

fn dead_letter(payload: &Value) -> String {
    let text = |field: &str| payload.get(field).and_then(Value::as_str).unwrap_or("");
    let who = match text("consumer") {
        "" => text("originalType"),
        consumer => consumer,
    };
    format!("{who}: {}", text("error"))
}

fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{label}{text}")
    }
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::EventType;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_event_of_the_contract_has_a_line_of_its_own() {
        let payload = json!({ "surprise": "whatever comes" });
        for kind in EventType::ALL {
            let said = summary(kind.short_name(), &payload);
            assert!(!said.contains("surprise"), "{kind}: {said}");
        }
        assert_eq!(summary("SomethingElse", &payload), payload.to_string());
    }

    #[test]
    fn an_order_is_told_by_its_goods_and_its_total() {
        let payload = json!({
            "orderId": "o", "total": 20.5, "currency": "EUR", "customerId": "c-7",
            "items": [{ "sku": "SKU-1", "qty": 2, "price": 10.25 }],
        });
        assert_eq!(
            summary("OrderCreated", &payload),
            "2 × SKU-1, 20.50 EUR customer c-7"
        );
    }

    #[test]
    fn long_orders_are_counted() {
        let lines: Vec<Value> = (1..=6)
            .map(|n| json!({ "sku": n.to_string(), "qty": 1 }))
            .collect();
        assert_eq!(items(&json!(lines)), "1 × 1, 1 × 2, 1 × 3, 1 × 4, 2 more");
        assert_eq!(items(&json!([])), "nothing");
    }

    #[test]
    fn a_shortage_says_what_there_was() {
        let payload = json!({
            "reason": "out_of_stock",
            "shortages": [{ "sku": "A", "requested": 6, "available": 5 }, { "sku": "B", "requested": 1 }],
        });
        assert_eq!(
            summary("InventoryFailed", &payload),
            "out_of_stock (A: 5 of 6, B: unknown)"
        );
    }

    #[test]
    fn a_ruling_names_who_ruled() {
        let payload =
            json!({ "action": "refundPayment", "decidedBy": "shipping", "requestedBy": "ann" });
        assert_eq!(
            summary("CompensationRequested", &payload),
            "refundPayment ruled by shipping by ann"
        );
    }
}
