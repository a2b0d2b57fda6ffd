//! The version after this one, as far as others notice it: it writes fields into events and documents that nobody knows today.

use bytes::Bytes;

use crate::plan::Version;

/// A field that nobody knows today.
const UNKNOWN: &str = r#""ofTheNextVersion":{"why":["nobody",{"knows":1}]}"#;
const PAYLOAD: &str = r#""payload":{"#;
const DEAD_LETTER: &str = "ops.DeadLetter.v1";
/// Objects that get it, besides the outermost one.
const LEVELS: [&str; 4] = [PAYLOAD, r#""state":{"#, r#""items":[{"#, r#""applied":[{"#];

impl Version {
    /// What this version writes in the place of what today's does.
    pub(crate) fn writes(self, json: Bytes) -> Bytes {
        match (self, std::str::from_utf8(&json)) {
            // A document without fields is one that was emptied, in every version.
            (Self::Next, Ok(text)) if text != "{}" => extended(text).into(),
            _ => json,
        }
    }
}

/// Puts the unknown field at the beginning of every object that has a place for one. Text, so that everything else stays as it is.
fn extended(text: &str) -> String {
    let mut wide = with_unknown(text, "{");
    // A dead letter repeats a message as it came, whatever version tells of it.
    let repeats = text.contains(DEAD_LETTER);
    for level in LEVELS
        .iter()
        .filter(|level| !(repeats && **level == PAYLOAD))
    {
        wide = with_unknown(&wide, level);
    }
    wide
}

fn with_unknown(text: &str, opening: &str) -> String {
    let is_outermost = opening == "{";
    let mut wide = String::with_capacity(text.len() + 2 * UNKNOWN.len());
    let mut rest = text;
    while let Some(at) = rest.find(opening) {
        if is_outermost && at > 0 {
            break;
        }
        let (before, after) = rest.split_at(at + opening.len());
        wide.push_str(before);
        if !after.starts_with(UNKNOWN) {
            wide.push_str(UNKNOWN);
            if !after.starts_with('}') {
                wide.push(',');
            }
        }
        rest = after;
        if is_outermost {
            break;
        }
    }
    wide.push_str(rest);
    wide
}

/// What was written, without the fields that nobody knows today.
pub(crate) fn known_today(text: &str) -> String {
    // Whoever has read it and written it again may have put it behind another one.
    text.replace(&format!("{UNKNOWN},"), "")
        .replace(&format!(",{UNKNOWN}"), "")
        .replace(UNKNOWN, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str =
        r#"{"id":"e-1","payload":{"items":[{"sku":"a"},{"sku":"b"}]},"headers":{}}"#;

    #[test]
    fn every_level_that_has_room_gets_a_field_and_nothing_else_changes() {
        let wide = Version::Next.writes(EVENT.into());
        let text = std::str::from_utf8(&wide).unwrap_or_default();
        assert_eq!(text.matches(UNKNOWN).count(), 3);
        assert!(
            serde_json::from_str::<serde_json::Value>(text).is_ok(),
            "{text}"
        );
        assert_eq!(known_today(text), EVENT);
        assert_eq!(Version::Next.writes(wide.clone()), wide, "once is enough");
    }

    #[test]
    fn an_empty_object_stays_json_and_today_stays_as_it_is() {
        assert_eq!(extended("{}"), format!("{{{UNKNOWN}}}"));
        assert_eq!(known_today(&extended("{}")), "{}");
        let behind = format!(r#"{{"a":1,{UNKNOWN}}}"#);
        assert_eq!(known_today(&behind), r#"{"a":1}"#);
        assert_eq!(Version::Today.writes(EVENT.into()), EVENT);
        assert_eq!(extended("no JSON"), "no JSON");
    }
}
