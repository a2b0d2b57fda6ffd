//! Times, durations and other people's texts, as they are shown to an operator.

use std::borrow::Cow;
use std::time::Duration;

use sagaline_contracts::Timestamp;

/// An instant in UTC with milliseconds: `2026-01-31 12:00:00.123`.
pub(crate) fn time(at: Timestamp) -> String {
    let rfc3339 = at.to_string();
    let (date, clock) = rfc3339.split_once('T').unwrap_or((&rfc3339, ""));
    let clock = clock.get(..12).unwrap_or(clock);
    format!("{date} {clock}")
}

/// A duration in the two largest units that say something.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration < Duration::from_millis(10) => {
            format!("{:.1}ms", duration.as_secs_f64() * 1_000.0)
        }
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// How long ago something was.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    duration(now.since(at))
}

/// Text of others with everything escaped that would move the cursor, change colours or reorder what is shown.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unprintable(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of a text that may be long.
pub(crate) fn clipped(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// `1 order`, `2 orders`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_utc_with_milliseconds() {
        let at: Timestamp = "2026-01-31T13:00:00.123456+01:00".parse().unwrap();
        assert_eq!(time(at), "2026-01-31 12:00:00.123");
    }

    #[test]
    fn a_duration_has_the_units_that_say_something() {
        for (millis, shown) in [
            (0, "0.0ms"),
            (9, "9.0ms"),
            (10, "10ms"),
            (999, "999ms"),
            (1_500, "1.5s"),
            (61_000, "1m 01s"),
            (3_661_000, "1h 01m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn text_that_would_drive_the_terminal_is_escaped() {
        assert_eq!(printable("Größe 42"), "Größe 42");
        assert_eq!(
            printable("a\u{1b}[31mred\nb\u{202e}"),
            "a\\u{1b}[31mred\\nb\\u{202e}"
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(clipped("äöü", 3), "äöü");
        assert_eq!(clipped("äöü", 2), "äö…");
    }
}
