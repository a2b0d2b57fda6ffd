//! Moments, as they stand on the wire.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const DAY_S: i64 = 86_400;

/// A moment: microseconds since 1970, on the wire RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub i64);

impl Moment {
    /// Reads `2026-01-31T12:00:00.123456Z`; the fraction may have any number of digits, or be absent.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let rest = text.get(19..)?.strip_suffix('Z')?;
        let fraction = match rest.strip_prefix('.') {
            Some(digits) => format!("{digits:0<6}").get(..6)?.parse::<i64>().ok()?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        let seconds = days(year, month, day) * DAY_S + hour * 3_600 + minute * 60 + second;
        Some(Self(seconds * 1_000_000 + fraction))
    }

    /// Milliseconds from `earlier` to this; negative when it is not earlier.
    #[expect(
        clippy::cast_precision_loss,
        reason = "spans are far below 2^53 microseconds"
    )]
    pub fn ms_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1_000.0
    }

    /// The time of day in UTC, with milliseconds: `12:00:00.123`.
    pub fn time_of_day(self) -> String {
        let ms = self.0.div_euclid(1_000).rem_euclid(DAY_S * 1_000);
        let (s, ms) = (ms / 1_000, ms % 1_000);
        format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
    }

    /// The date in UTC: `2026-01-31`.
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.0.div_euclid(DAY_S * 1_000_000));
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.rem_euclid(1_000);
        write!(f, "{}T{}{micros:03}Z", self.date(), self.time_of_day())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("is no moment in UTC"))
    }
}

/// Days from 1970 to a date (Hinnant's algorithm).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day_of_era - 719_468
}

/// And back.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_wire() {
        for text in [
            "1970-01-01T00:00:03.000000Z",
            "2026-01-31T12:00:00.123456Z",
            "2024-02-29T23:59:59.999999Z",
            "1969-12-31T23:59:59.000001Z",
        ] {
            assert_eq!(
                Moment::parse(text).map(|at| at.to_string()).as_deref(),
                Some(text)
            );
        }
        assert_eq!(
            Moment::parse("1970-01-01T00:00:03Z"),
            Some(Moment(3_000_000))
        );
        assert_eq!(
            Moment::parse("1970-01-01T00:00:03.5Z"),
            Some(Moment(3_500_000))
        );
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00+01:00",
            "２０26",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
