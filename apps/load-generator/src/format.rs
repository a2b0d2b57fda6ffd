//! Numbers for people.

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate, without decimals where they say nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below 2^64"
)]
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 100.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// Milliseconds to three digits, in seconds when there are many.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

/// The same, where there may be nothing to show.
pub(crate) fn optional_milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".to_owned(), milliseconds)
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_kept_apart() {
        let shown: Vec<String> = [0, 999, 1_000, 12_345, 1_234_567]
            .into_iter()
            .map(count)
            .collect();
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(
            (rate(4_999.6).as_str(), rate(12.34).as_str()),
            ("5,000", "12.3")
        );
    }

    #[test]
    fn latencies_keep_the_digits_that_matter() {
        let shown: Vec<String> = [0.123, 9.876, 12.34, 123.4, 5_432.1, 12_345.0]
            .into_iter()
            .map(milliseconds)
            .collect();
        assert_eq!(
            shown,
            [
                "0.12 ms", "9.88 ms", "12.3 ms", "123 ms", "5432 ms", "12.3 s"
            ]
        );
        assert_eq!(optional_milliseconds(None), "-");
        assert_eq!(percent(0.0123), "1.23 %");
    }
}
