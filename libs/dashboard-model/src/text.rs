//! Numbers and times for people.

use sagaline_views::Moment;

/// A span in milliseconds: `0.4 ms`, `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 20 min`, `4 d 2 h`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a span that is shown is small and not negative"
)]
pub fn duration(ms: f64) -> String {
    let ms = ms.max(0.0);
    if ms < 1.0 {
        return format!("{ms:.1} ms");
    }
    if ms < 999.5 {
        return format!("{ms:.0} ms");
    }
    if ms < 59_950.0 {
        return format!("{:.1} s", ms / 1_000.0);
    }
    let s = (ms / 1_000.0).round() as u64;
    let pair = |large: u64, unit: &str, small: u64, rest: &str| {
        if small == 0 {
            format!("{large} {unit}")
        } else {
            format!("{large} {unit} {small} {rest}")
        }
    };
    match s {
        0..3_600 => pair(s / 60, "min", s % 60, "s"),
        3_600..86_400 => pair(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => pair(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// How long ago that was: `now`, `12 s ago`, `5 min ago`.
#[expect(
    clippy::cast_precision_loss,
    reason = "spans are far below 2^53 seconds"
)]
pub fn ago(at: Moment, now: Moment) -> String {
    let s = (now.0 - at.0).div_euclid(1_000_000);
    match s {
        ..2 => "now".to_owned(),
        2..60 => format!("{s} s ago"),
        60..3_600 => format!("{} min ago", s / 60),
        _ => format!("{} ago", duration((s - s % 60) as f64 * 1_000.0)),
    }
}

/// The moment in full, for a tooltip and for copying.
pub fn exact(at: Moment) -> String {
    format!("{} {} UTC", at.date(), at.time_of_day())
}

/// A count with thin groups: `12 345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate per second: `0`, `0.4`, `12.3`, `480`.
pub fn rate(per_second: f64) -> String {
    if per_second <= 0.0 {
        "0".to_owned()
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

/// A number on an axis: `0`, `2.5`, `500`.
pub fn tick(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A span in milliseconds on an axis: `0`, `2.5 ms`, `20 s`, `2 min`.
pub fn span_tick(ms: f64) -> String {
    if ms <= 0.0 {
        "0".to_owned()
    } else if ms < 1_000.0 {
        format!("{} ms", tick(ms))
    } else if ms < 60_000.0 {
        format!("{} s", tick(ms / 1_000.0))
    } else {
        duration(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_fits() {
        for (ms, said) in [
            (0.42, "0.4 ms"),
            (12.4, "12 ms"),
            (999.9, "1.0 s"),
            (59_960.0, "1 min"),
            (125_000.0, "2 min 5 s"),
            (12_000_000.0, "3 h 20 min"),
            (353_000_000.0, "4 d 2 h"),
            (-5.0, "0.0 ms"),
        ] {
            assert_eq!(duration(ms), said);
        }
    }

    #[test]
    fn a_tick_says_its_number_in_full_and_no_more() {
        for (number, said) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (2.5, "2.5"),
            (10.0, "10"),
            (500.0, "500"),
        ] {
            assert_eq!(tick(number), said);
        }
        for (ms, said) in [
            (0.0, "0"),
            (2.5, "2.5 ms"),
            (500.0, "500 ms"),
            (1_000.0, "1 s"),
            (2_500.0, "2.5 s"),
            (100_000.0, "1 min 40 s"),
        ] {
            assert_eq!(span_tick(ms), said);
        }
    }

    #[test]
    fn a_moment_of_the_future_is_now() {
        let at = |s: i64| Moment(s * 1_000_000);
        assert_eq!(ago(at(10), at(5)), "now");
        assert_eq!(ago(at(0), at(59)), "59 s ago");
        assert_eq!(ago(at(0), at(3_599)), "59 min ago");
        assert_eq!(ago(at(0), at(7_260)), "2 h 1 min ago");
    }

    #[test]
    fn counts_are_grouped_and_rates_rounded() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            [rate(0.0), rate(0.36), rate(99.96), rate(480.4)],
            ["0", "0.4", "100", "480"]
        );
    }
}
