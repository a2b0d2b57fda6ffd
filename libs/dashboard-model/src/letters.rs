//! Dead letters, grouped by what is wrong with them.

use std::collections::BTreeMap;

use sagaline_views::DeadLetter;
use serde_json::Value;

use crate::token::base64_url;

/// Dead letters of one topic that one consumer refused for one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Where they stood.
    pub topic: String,
    /// Who could not handle them.
    pub consumers: String,
    /// Why, without what differs from one to the next.
    pub reason: String,
    /// They.
    pub letters: Vec<DeadLetter>,
}

/// Groups letters; the largest group first.
pub fn groups(letters: Vec<DeadLetter>) -> Vec<Group> {
    let mut by_key: BTreeMap<(String, String, String), Vec<DeadLetter>> = BTreeMap::new();
    for letter in letters {
        let consumers: Vec<&str> = letter
            .consumers
            .iter()
            .map(|copy| copy.consumer.as_str())
            .collect();
        let key = (
            letter.topic.clone(),
            consumers.join(", "),
            reason(&letter.error),
        );
        by_key.entry(key).or_default().push(letter);
    }
    let mut groups: Vec<Group> = by_key
        .into_iter()
        .map(|((topic, consumers, reason), letters)| Group {
            topic,
            consumers,
            reason,
            letters,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters.len()));
    groups
}

/// A complaint without what differs from one message to the next: numbers, and what stands in quotes, unless it is a field's name.
fn reason(error: &str) -> String {
    let error: String = error.chars().take(300).collect();
    let mut reason = String::new();
    for (at, part) in error.split('"').enumerate() {
        let is_quoted = at % 2 == 1;
        if is_quoted && part.chars().all(char::is_alphabetic) {
            reason.push_str(part);
        } else if is_quoted {
            reason.push('…');
        } else {
            push_without_numbers(&mut reason, part);
        }
    }
    reason
}

fn push_without_numbers(reason: &mut String, part: &str) {
    let mut was_digit = false;
    for c in part.chars() {
        let is_digit = c.is_ascii_digit();
        match (is_digit, was_digit) {
            (false, _) => reason.push(c),
            (true, false) => reason.push('#'),
            (true, true) => {}
        }
        was_digit = is_digit;
    }
}

/// What the message is, as far as it can be read: its payload, or its bytes as text.
pub fn decoded(letter: &DeadLetter) -> String {
    if let Some(raw) = &letter.raw {
        return match base64_url(raw) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => raw.clone(),
        };
    }
    serde_json::to_string_pretty(&letter.payload).unwrap_or_default()
}

/// A corrected payload as an operator wrote it, when it can be sent.
pub fn payload_of(text: &str, letter: &DeadLetter) -> Result<Value, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("This is no JSON: {error}"))?;
    let object = value
        .as_object()
        .ok_or("The payload must be an object: { … }")?;
    let named = object
        .get("orderId")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty());
    let named = named.ok_or("orderId is missing, or not a string.")?;
    match &letter.order_id {
        Some(known) if known != named => Err(format!(
            "orderId must be {known}, the order that this message belongs to."
        )),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(id: &str, error: &str) -> DeadLetter {
        serde_json::from_value(json!({
            "deadLetterId": id, "state": "waiting", "orderId": "o-1", "topic": "t", "originalType": "t",
            "originalEventId": "unknown", "error": error, "payload": null,
            "at": "2026-01-31T12:00:00.000000Z", "lastDiedAt": "2026-01-31T12:00:00.000000Z",
            "consumers": [{ "consumer": "payment-service", "error": error, "attempts": 1, "state": "waiting" }],
            "decisions": [],
        }))
        .unwrap()
    }

    #[test]
    fn what_differs_only_in_numbers_and_names_is_one_group() {
        let letters = vec![
            letter("a", "qty: 12 is not \"a-1\" of \"items\""),
            letter("b", "the value is no JSON"),
            letter("c", "qty: 7 is not \"b-2\" of \"items\""),
        ];
        let found = groups(letters);
        let told: Vec<(&str, usize)> = found
            .iter()
            .map(|group| (group.reason.as_str(), group.letters.len()))
            .collect();
        assert_eq!(
            told,
            [("qty: # is not … of items", 2), ("the value is no JSON", 1)]
        );
    }

    #[test]
    fn bytes_are_shown_as_text_as_far_as_they_are() {
        let raw = DeadLetter {
            raw: Some("bm90IGpzb24=".to_owned()),
            ..letter("a", "")
        };
        assert_eq!(decoded(&raw), "not json");
    }

    #[test]
    fn a_payload_is_an_object_of_the_same_order() {
        let letter = letter("a", "");
        assert!(payload_of("{", &letter).unwrap_err().contains("no JSON"));
        assert!(payload_of("[]", &letter).unwrap_err().contains("object"));
        assert!(payload_of("{}", &letter).unwrap_err().contains("orderId"));
        assert!(
            payload_of(r#"{"orderId":"o-2"}"#, &letter)
                .unwrap_err()
                .contains("o-1")
        );
        assert!(payload_of(r#"{"orderId":"o-1"}"#, &letter).is_ok());
    }
}
