//! What an event is, where it belongs, and what it says.

use sagaline_views::{Amount, Entry};
use serde_json::Value;

use crate::Tone;

/// Who an event is of: a row of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody at a keyboard.
    Operator,
    /// The order service.
    Order,
    /// The inventory service.
    Inventory,
    /// The payment service.
    Payment,
    /// The shipping service.
    Shipping,
    /// The read model, which cannot read a message.
    ReadModel,
}

impl Lane {
    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Operator => "Operator",
            Self::Order => "Order",
            Self::Inventory => "Inventory",
            Self::Payment => "Payment",
            Self::Shipping => "Shipping",
            Self::ReadModel => "Read model",
        }
    }

    fn of_service(name: &str) -> Option<Self> {
        [
            ("order", Self::Order),
            ("inventory", Self::Inventory),
            ("payment", Self::Payment),
            ("shipping", Self::Shipping),
            ("read-model", Self::ReadModel),
        ]
        .into_iter()
        .find(|(service, _)| name.strip_suffix("-service").unwrap_or(name) == *service)
        .map(|(_, lane)| lane)
    }
}

/// What kind of thing an event tells; each has a shape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A step forward.
    Step,
    /// The order has reached its end.
    End,
    /// A step failed.
    Failure,
    /// Something is undone, or is to be.
    Compensation,
    /// Somebody wants something.
    Command,
    /// Somebody was told no.
    Refusal,
    /// A message could not be handled, and what follows it waits.
    Dead,
}

impl Kind {
    /// Its name in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::End => "end",
            Self::Failure => "failure",
            Self::Compensation => "compensation",
            Self::Command => "command",
            Self::Refusal => "refusal",
            Self::Dead => "dead",
        }
    }

    /// An event's kind.
    pub fn of(entry: &Entry) -> Self {
        match short(&entry.r#type) {
            "OrderConfirmed" | "OrderCancelled" => Self::End,
            "InventoryFailed" | "PaymentFailed" | "ShippingFailed" => Self::Failure,
            "InventoryReleased" | "PaymentRefunded" => Self::Compensation,
            "CompensationRequested" if is_ruling(entry) => Self::Compensation,
            "CompensationRequested" | "RetryRequested" | "RedriveRequested" => Self::Command,
            "CommandRejected" => Self::Refusal,
            "DeadLetter" => Self::Dead,
            _ => Self::Step,
        }
    }

    /// What its colour means.
    pub fn tone(entry: &Entry) -> Tone {
        match Self::of(entry) {
            Self::Step => match short(&entry.r#type) {
                "OrderShipped" => Tone::Good,
                _ => Tone::Active,
            },
            Self::End if entry.r#type.contains("Confirmed") => Tone::Good,
            Self::End | Self::Failure | Self::Refusal => Tone::Bad,
            Self::Compensation => Tone::Undone,
            Self::Dead if entry.status.as_deref() == Some("dead") => Tone::Waiting,
            Self::Command | Self::Dead => Tone::Plain,
        }
    }
}

fn is_ruling(entry: &Entry) -> bool {
    text(&entry.details, "decidedBy").is_some()
}

/// Whose event this is.
pub fn lane(entry: &Entry) -> Lane {
    let service = |field| text(&entry.details, field).and_then(Lane::of_service);
    match short(&entry.r#type) {
        "DeadLetter" => service("consumer").unwrap_or(Lane::ReadModel),
        "CompensationRequested" => match text(&entry.details, "requestedBy") {
            _ if is_ruling(entry) => service("decidedBy").unwrap_or(Lane::Shipping),
            Some("saga-timeout") => Lane::Order,
            _ => Lane::Operator,
        },
        "RetryRequested" | "RedriveRequested" | "CommandRejected" => Lane::Operator,
        _ => entry
            .r#type
            .split('.')
            .next()
            .and_then(Lane::of_service)
            .unwrap_or(Lane::Operator),
    }
}

/// `order.OrderCreated.v1` → `OrderCreated`.
fn short(kind: &str) -> &str {
    kind.split('.').nth(1).unwrap_or(kind)
}

/// An event in a word or two.
pub fn name(entry: &Entry) -> String {
    let said = match short(&entry.r#type) {
        "OrderCreated" => "Placed",
        "OrderRetried" => "Retried",
        "OrderConfirmed" => "Confirmed",
        "OrderCancelled" => "Cancelled",
        "InventoryReserved" => "Reserved",
        "InventoryFailed" => "Not in stock",
        "InventoryReleased" => "Released",
        "PaymentAuthorized" => "Charged",
        "PaymentFailed" => "Payment failed",
        "PaymentRefunded" => "Refunded",
        "OrderShipped" => "Shipped",
        "ShippingFailed" => "Not shipped",
        "RetryRequested" => "Retry asked",
        "CompensationRequested" if is_ruling(entry) => match text(&entry.details, "action") {
            Some("refundPayment") => "Refund ruled",
            _ => "Release ruled",
        },
        "CompensationRequested" => match text(&entry.details, "action") {
            Some("refundPayment") => "Refund asked",
            _ => "Cancel asked",
        },
        "CommandRejected" => "Refused",
        "RedriveRequested" => match text(&entry.details, "action") {
            Some("discard") => "Discard",
            _ => "Redrive",
        },
        "DeadLetter" => match entry.status.as_deref() {
            Some("redriven") => "Dead, redriven",
            Some("discarded") => "Dead, discarded",
            _ => "Dead letter",
        },
        other => other,
    };
    said.to_owned()
}

/// What an event says, in one line. Events of others may lack anything.
pub fn said(entry: &Entry) -> String {
    let details = &entry.details;
    let text = |field: &str| text(details, field).unwrap_or("").to_owned();
    let labelled = |label: &str, value: String| {
        if value.is_empty() {
            value
        } else {
            format!("{label}{value}")
        }
    };
    let parts = match short(&entry.r#type) {
        "OrderCreated" => vec![
            items(&details["items"]),
            amount(&details["total"]),
            text("currency"),
            labelled("for ", text("customerId")),
        ],
        "OrderRetried" => vec![
            labelled("from ", text("step")),
            labelled("by ", text("requestedBy")),
        ],
        "OrderCancelled" | "PaymentFailed" | "ShippingFailed" => vec![text("reason")],
        "InventoryFailed" => vec![text("reason"), shortages(&details["shortages"])],
        "InventoryReserved" => vec![items(&details["reservedItems"])],
        "InventoryReleased" => vec![
            items(&details["releasedItems"]),
            labelled("because: ", text("reason")),
        ],
        "PaymentAuthorized" => vec![amount(&details["amount"]), text("authId")],
        "PaymentRefunded" => vec![amount(&details["amount"]), text("refundId")],
        "OrderShipped" => vec![text("carrier"), text("trackingId")],
        "RetryRequested" => vec![text("step"), labelled("by ", text("requestedBy"))],
        "CompensationRequested" => vec![
            text("action"),
            labelled("ruled by ", text("decidedBy")),
            labelled("asked by ", text("requestedBy")),
            labelled("because: ", text("reason")),
        ],
        "CommandRejected" => vec![
            text("command") + ":",
            text("reason"),
            labelled("for ", text("requestedBy")),
        ],
        "RedriveRequested" => vec![labelled("by ", text("requestedBy")), text("deadLetterId")],
        "DeadLetter" => vec![text("error")],
        _ => Vec::new(),
    };
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" · ").replace(": ·", ":")
}

fn text<'a>(details: &'a Value, field: &str) -> Option<&'a str> {
    details
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn amount(value: &Value) -> String {
    serde_json::from_value::<Amount>(value.clone())
        .map_or_else(|_| String::new(), |amount| amount.to_string())
}

fn items(items: &Value) -> String {
    let lines = items.as_array().map_or(&[][..], Vec::as_slice);
    let mut said: Vec<String> = lines
        .iter()
        .take(3)
        .map(|line| format!("{} × {}", line["qty"], line["sku"].as_str().unwrap_or("?")))
        .collect();
    match lines.len() {
        0 => said.push("nothing".to_owned()),
        1..=3 => {}
        more => said.push(format!("{} more", more - 3)),
    }
    said.join(", ")
}

fn shortages(shortages: &Value) -> String {
    let lines = shortages.as_array().into_iter().flatten();
    let said: Vec<String> = lines
        .map(|line| {
            format!(
                "{}: {} of {}",
                line["sku"].as_str().unwrap_or("?"),
                line["available"],
                line["requested"]
            )
        })
        .collect();
    said.join(", ")
}
