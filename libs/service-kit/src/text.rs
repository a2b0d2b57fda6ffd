//! What a short text from outside may hold.

const CHARS_MAX: usize = 128;

/// The rule, in words.
pub(crate) const RULE: &str = "must be 1 to 128 printable characters";

/// Whether a text is 1 to 128 printable characters on one line.
pub(crate) fn is_short(text: &str) -> bool {
    // the cheap bound first: nobody counts the characters of a megabyte
    !text.is_empty()
        && text.len() <= CHARS_MAX * 4
        && text.chars().count() <= CHARS_MAX
        && !text
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}
