//! What the read model says of an order, on the feed and when it is asked.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::ledger::Outcome;

/// One order's latest state. What else the read model tells is skipped unread.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Update<'a> {
    #[serde(borrow)]
    order_id: Option<Text<'a>>,
    #[serde(borrow, rename = "_id")]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    current_status: Option<Text<'a>>,
    #[serde(borrow)]
    outcome: Option<Text<'a>>,
}

impl Update<'_> {
    /// Which order it is about. Projections name it `_id`, the feed `orderId`.
    pub(crate) fn order_id(&self) -> Option<&str> {
        self.order_id.as_ref().or(self.id.as_ref()).map(|id| &*id.0)
    }

    /// The final outcome, when there is one.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.outcome.as_ref().map(|outcome| &*outcome.0) {
            Some("CONFIRMED") => Some(Outcome::Confirmed),
            Some("CANCELLED") => Some(Outcome::Cancelled),
            _ => None,
        }
    }

    /// Status and outcome in words, for who looks for a lost order.
    pub(crate) fn state(&self) -> String {
        let text = |text: &Option<Text<'_>>| {
            text.as_ref()
                .map_or("?", |t| &*t.0)
                .chars()
                .take(40)
                .collect::<String>()
        };
        format!("{} {}", text(&self.outcome), text(&self.current_status))
    }
}

/// Reads one update or an array of them.
pub(crate) fn each_update(
    json: &[u8],
    mut take: impl FnMut(&Update<'_>),
) -> Result<(), serde_json::Error> {
    let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let updates: Vec<Update<'_>> = serde_json::from_slice(json)?;
        updates.iter().for_each(take);
    } else {
        take(&serde_json::from_slice(json)?);
    }
    Ok(())
}

/// A string that is borrowed wherever it has no escapes, which is nearly everywhere.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<(Option<String>, Option<Outcome>)> {
        let mut seen = Vec::new();
        each_update(json.as_bytes(), |u| {
            seen.push((u.order_id().map(str::to_owned), u.outcome()));
        })
        .unwrap();
        seen
    }

    #[test]
    fn an_object_and_an_array_are_read_alike() {
        let confirmed = (Some("o-1".to_owned()), Some(Outcome::Confirmed));
        let object =
            r#"{"orderId":"o-1","currentStatus":"SHIPPED","outcome":"CONFIRMED","more":{"a":[1]}}"#;
        assert_eq!(read(object), std::slice::from_ref(&confirmed));
        let pending = (Some("o-2".to_owned()), None);
        let array = format!(r#" [{object},{{"_id":"o-2","outcome":"PENDING"}}]"#);
        assert_eq!(read(&array), [confirmed, pending]);
    }

    #[test]
    fn names_with_escapes_both_names_and_absent_outcomes_are_read() {
        assert_eq!(
            read(r#"{"_id":"x","orderId":"o\"1"}"#),
            [(Some("o\"1".to_owned()), None)]
        );
        assert_eq!(
            read(r#"{"orderId":"o","outcome":null}"#),
            [(Some("o".to_owned()), None)]
        );
    }

    #[test]
    fn what_is_no_update_is_an_error() {
        assert!(each_update(b"not json", |_| ()).is_err());
        assert!(each_update(b"", |_| ()).is_err());
    }
}
