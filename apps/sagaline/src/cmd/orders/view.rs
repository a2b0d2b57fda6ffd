//! An order as the read model shows it. Whatever may be absent, is allowed to be.

use std::time::Duration;

use sagaline_contracts::{Money, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::Filter;
use crate::event::Entry;
use crate::output::Tone;
use crate::text::{age, counted};

/// An order: a projection, or a state of the feed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Order {
    #[serde(rename = "orderId")]
    pub(super) id: String,
    pub(super) current_status: Option<String>,
    pub(super) outcome: String,
    pub(super) attempt: Option<u32>,
    pub(super) reason: Option<String>,
    pub(super) total: Option<Money>,
    pub(super) currency: Option<String>,
    pub(super) customer_id: Option<String>,
    pub(super) items: Value,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) stalled_since: Option<Timestamp>,
    pub(super) cancel: Option<Cancel>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) dead_letters: Vec<Letter>,
    pub(super) dead_letters_waiting: usize,
    pub(super) timeline: Vec<Entry>,
}

/// One attempt.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Attempt {
    #[serde(rename = "attempt")]
    pub(super) number: u32,
    pub(super) step: Option<String>,
    pub(super) outcome: String,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) reason: Option<String>,
}

/// Who wanted an attempt undone.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Cancel {
    pub(super) action: String,
    pub(super) requested_by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) decided_by: Option<String>,
}

/// A message of the order that could not be handled.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Letter {
    pub(super) status: String,
}

impl Order {
    /// Where it stands.
    pub(super) fn status(&self) -> &str {
        self.current_status.as_deref().unwrap_or("-")
    }

    /// From its placing to its outcome, when it has one and was tried once.
    pub(super) fn took(&self) -> Option<Duration> {
        self.ended_at.map(|ended| ended.since(self.created_at))
    }

    /// The total with its currency.
    pub(super) fn total(&self) -> String {
        let total = self.total.map(|total| total.to_string());
        let parts = [total.as_deref(), self.currency.as_deref()];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        parts.join(" ")
    }

    /// Why it failed, and what an operator should look at.
    pub(super) fn remarks(&self, now: Timestamp) -> (String, Tone) {
        let letters = self.dead_letters.iter();
        let listed = letters.filter(|letter| letter.status == "dead").count();
        let waiting = self.dead_letters_waiting.max(listed);
        let (mut remarks, mut tone) = (Vec::new(), Tone::Plain);
        if let Some(since) = self.stalled_since {
            remarks.push(format!("stalled for {}", age(since, now)));
            tone = Tone::Warn;
        }
        if waiting > 0 {
            remarks.push(format!("{} waiting", counted(waiting, "dead letter")));
            tone = Tone::Warn;
        }
        remarks.extend(self.reason.clone());
        (remarks.join(", "), tone)
    }

    /// Whether it is one of those that are wanted.
    pub(super) fn is_of(&self, filter: &Filter) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        is(&filter.status, self.status())
            && is(&filter.outcome, &self.outcome)
            && (!filter.stalled || self.stalled_since.is_some())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(value: Value) -> Order {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn remarks_name_what_an_operator_should_look_at_first() {
        let order = order(json!({
            "reason": "card_declined", "stalledSince": "2026-01-31T12:00:00Z", "createdAt": "2026-01-31T11:00:00Z",
            "updatedAt": "2026-01-31T12:00:00Z", "deadLetters": [{ "status": "dead" }, { "status": "redriven" }],
        }));
        let now: Timestamp = "2026-01-31T12:01:30Z".parse().unwrap();
        let (remarks, tone) = order.remarks(now);
        assert_eq!(
            remarks,
            "stalled for 1m 30s, 1 dead letter waiting, card_declined"
        );
        assert_eq!(tone, Tone::Warn);
    }

    #[test]
    fn a_filter_takes_what_fits_in_every_respect() {
        let order = order(json!({ "currentStatus": "SHIPPED", "outcome": "CONFIRMED" }));
        let filter = |status: &str, outcome: &str, stalled| Filter {
            status: (!status.is_empty()).then(|| status.to_owned()),
            outcome: (!outcome.is_empty()).then(|| outcome.to_owned()),
            stalled,
        };
        for (filter, fits) in [
            (filter("", "", false), true),
            (filter("shipped", "confirmed", false), true),
            (filter("SHIPPED", "CANCELLED", false), false),
            (filter("CREATED", "", false), false),
            (filter("", "", true), false),
        ] {
            assert_eq!(order.is_of(&filter), fits, "{filter:?}");
        }
    }
}
