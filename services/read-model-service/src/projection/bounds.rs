//! What keeps documents, their ids and their tags within what every store takes, whatever events say.

use std::borrow::Cow;

use sagaline_store::NAME_BYTES_MAX;
use serde_json::Value;
use uuid::Uuid;

// Made once with `uuidgen`; changing it would change the ids of documents.
const NAMESPACE: Uuid = Uuid::from_u128(0x3b8e_52d6_07c1_4f7e_a8b0_91d2_6e44_05af);
/// What takes the place of a text's end.
const CUT: &str = "…";
/// A value that takes more than so many bytes, and more than twice what it takes as text, is kept as text.
const SPARSE_BYTES_MIN: usize = 64 * 1024;

/// The id, or the tag, under which something of this name is stored: the name itself, or one that follows from it when
/// it is empty or longer than stores take.
pub(crate) fn stored_name(name: &str) -> Cow<'_, str> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return name.into();
    }
    let id = Uuid::new_v5(&NAMESPACE, name.as_bytes());
    format!("hashed-{}", id.hyphenated()).into()
}

/// The text, cut to at most `max` bytes. What was cut once stays as it is.
pub(super) fn clipped(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    let end = text.floor_char_boundary(max.saturating_sub(CUT.len()));
    format!("{}{CUT}", &text[..end]).into()
}

/// The value; as text, cut to at most `max` bytes, when it is larger.
pub(super) fn clipped_value(value: &Value, max: usize) -> Value {
    match value {
        Value::String(text) => clipped(text, max).into(),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > max {
                clipped(&text, max).into()
            } else {
                value.clone()
            }
        }
        small => small.clone(),
    }
}

/// Whether the value takes far more in a store that keeps values as such than it does as text: a list of small numbers, say.
pub(super) fn is_sparse(value: &Value) -> bool {
    let stored = stored_size(value);
    stored > SPARSE_BYTES_MIN && stored > 2 * value.to_string().len()
}

/// What a value takes as BSON, without its key.
fn stored_size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => 5 + text.len(),
        Value::Array(values) => {
            let key = |at: usize| at.checked_ilog10().map_or(1, |digits| digits as usize + 1);
            let elements = values.iter().enumerate();
            5 + elements
                .map(|(at, value)| 2 + key(at) + stored_size(value))
                .sum::<usize>()
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            5 + fields
                .map(|(name, value)| 2 + name.len() + stored_size(value))
                .sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_stores_take_is_kept_and_any_other_has_one_of_its_own() {
        let longest = "x".repeat(NAME_BYTES_MAX);
        assert_eq!(stored_name(&longest), longest);
        let longer = format!("{longest}x");
        let names = ["", &longer, &format!("{longer}y")].map(|name| stored_name(name).into_owned());
        assert!(names.iter().all(|name| name.len() < 100));
        assert_ne!(names[0], names[1]);
        assert_ne!(names[1], names[2]);
        assert_eq!(stored_name(&names[1]), names[1]);
    }

    #[test]
    fn a_text_is_cut_between_characters_and_only_once() {
        for max in 3..20 {
            let cut = clipped("größer als erlaubt", max).into_owned();
            assert!(cut.len() <= max, "{cut}");
            assert_eq!(clipped(&cut, max), cut);
        }
        assert_eq!(clipped("kurz", 4), "kurz");
    }

    #[test]
    fn a_long_list_of_small_numbers_is_sparse_and_a_long_text_is_not() {
        assert!(is_sparse(&json!({ "a": vec![1; 20_000] })));
        assert!(!is_sparse(&json!({ "a": "x".repeat(200_000) })));
        assert!(!is_sparse(&json!([1, 2, 3])));
    }
}
