//! Events as they are shown: what happened, in one line.

use sagaline_contracts::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::output::{Paint, Tone};
use crate::summary::summary;
use crate::text::{printable, time};

/// An event of an order, as the timeline holds it and as the order's stream tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// Its type.
    pub(crate) r#type: String,
    /// When it took effect.
    pub(crate) at: Timestamp,
    /// Its id.
    pub(crate) event_id: Option<String>,
    /// The event that caused it.
    pub(crate) causation_id: Option<String>,
    /// The attempt that it belongs to.
    pub(crate) attempt: Option<u32>,
    /// In a stream, where the order stood after it; in a timeline, what became of a dead letter.
    pub(crate) status: Option<String>,
    /// In a stream, what became of a dead letter.
    pub(crate) dead_letter_status: Option<String>,
    /// Its payload.
    #[serde(default)]
    pub(crate) details: Value,
}

impl Entry {
    /// The name without context and version: `OrderCreated`.
    pub(crate) fn name(&self) -> &str {
        short_name(&self.r#type)
    }

    /// What it says, in one line.
    pub(crate) fn summary(&self) -> String {
        summary(self.name(), &self.details)
    }

    /// How it is meant.
    pub(crate) fn tone(&self) -> Tone {
        tone(self.name())
    }

    /// The line in which an order's stream shows it.
    pub(crate) fn line(&self, paint: Paint) -> String {
        let attempt = match self.attempt {
            Some(attempt) if attempt > 1 => format!("attempt {attempt}  "),
            _ => String::new(),
        };
        let status = match &self.dead_letter_status {
            Some(status) => format!(" [{}]", printable(status)),
            None => String::new(),
        };
        let name = format!("{:<21}", printable(self.name()));
        let line = format!(
            "{}  {}  {attempt}{}{status}",
            paint.tone(Tone::Dim, &time(self.at)),
            paint.tone(self.tone(), &name),
            printable(&self.summary()),
        );
        line.trim_end().to_owned()
    }
}

/// `OrderCreated` of `order.OrderCreated.v1`; anything else as it is.
pub(crate) fn short_name(name: &str) -> &str {
    let mut parts = name.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(short), Some(_), None) => short,
        _ => name,
    }
}

/// How an event of this name is meant.
pub(crate) fn tone(name: &str) -> Tone {
    match name {
        "OrderConfirmed" | "OrderShipped" => Tone::Good,
        "OrderCancelled" | "InventoryFailed" | "PaymentFailed" | "ShippingFailed"
        | "DeadLetter" => Tone::Bad,
        "RetryRequested"
        | "CompensationRequested"
        | "CommandRejected"
        | "RedriveRequested"
        | "OrderRetried" => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// How a status or an outcome is meant.
pub(crate) fn status_tone(status: &str) -> Tone {
    match status {
        "CONFIRMED" | "SHIPPED" => Tone::Good,
        "CANCELLED" | "INVENTORY_FAILED" | "PAYMENT_FAILED" | "SHIPPING_FAILED" => Tone::Bad,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(value: Value) -> Entry {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_line_has_time_name_and_what_happened() {
        let entry = entry(json!({
            "type": "payment.PaymentFailed.v1", "at": "2026-01-31T12:00:00.000250Z", "status": "PAYMENT_FAILED",
            "eventId": "e-2", "causationId": "e-1", "attempt": 1, "details": { "orderId": "o", "reason": "card_declined" },
        }));
        assert_eq!(
            entry.line(Paint::none()),
            "2026-01-31 12:00:00.000  PaymentFailed          card_declined"
        );
        assert!(entry.line(Paint::all()).contains("\u{1b}[31mPaymentFailed"));
    }

    #[test]
    fn later_attempts_and_dead_letters_say_so() {
        let entry = entry(json!({
            "type": "ops.DeadLetter.v1", "at": "2026-01-31T12:00:00Z", "attempt": 2, "deadLetterStatus": "redriven",
            "details": { "consumer": "order-service", "error": "no" },
        }));
        let line = entry.line(Paint::none());
        assert!(
            line.ends_with("attempt 2  order-service: no [redriven]"),
            "{line}"
        );
    }

    #[test]
    fn the_name_of_a_type_is_in_its_middle() {
        assert_eq!(short_name("order.OrderCreated.v1"), "OrderCreated");
        assert_eq!(
            short_name("order.OrderCreated.v1.dlq"),
            "order.OrderCreated.v1.dlq"
        );
        assert_eq!(short_name("x"), "x");
    }
}
