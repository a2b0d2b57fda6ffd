//! Short texts that people write: notes, reasons, a caller's own ids.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::ids::is_printable;

/// The rule for short texts: 1 to 128 printable characters on one line.
#[derive(Debug, Clone, Copy)]
pub struct ShortText;

impl ShortText {
    /// The rule, in words.
    pub const RULE: &'static str = "must be 1 to 128 printable characters";

    /// Whether a text keeps to the rule.
    pub fn accepts(text: &str) -> bool {
        is_printable(text)
    }
}

impl JsonSchema for ShortText {
    fn schema_name() -> Cow<'static, str> {
        "ShortText".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": 128,
            "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F\\u2028\\u2029]*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_line_of_at_most_128_characters() {
        for good in ["a", "größer als <b>", &"é".repeat(128)] {
            assert!(ShortText::accepts(good), "{good}");
        }
        for bad in [
            "",
            "a\nb",
            "\u{1b}[2J",
            "\u{9b}",
            "\u{2028}",
            &"é".repeat(129),
        ] {
            assert!(!ShortText::accepts(bad), "{bad:?}");
        }
    }
}
