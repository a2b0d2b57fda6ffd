//! Instants on the wire: RFC 3339 in UTC with microseconds.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod rfc3339;

use rfc3339::Text;

/// Microseconds since the Unix epoch. Never read from a clock here: time is an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a timestamp must look like 2026-01-31T12:00:00.000000Z (RFC 3339)")]
pub struct InvalidTimestamp;

// Years 1 to 9999: what RFC 3339 can write.
const MICROS_MIN: i64 = -62_135_596_800_000_000;
const MICROS_MAX: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant so many microseconds after the Unix epoch, brought into the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(MICROS_MIN, MICROS_MAX))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The next instant that can be told apart from this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_micros(self.0.saturating_add(1))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Text::of(*self).as_str())
    }
}

impl std::str::FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        rfc3339::parse(text.as_bytes())
            .map(Self::from_micros)
            .ok_or(InvalidTimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 timestamp")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_written_with_microseconds_in_utc_and_read_with_any_offset() {
        let at: Timestamp = "2026-01-31T13:00:00.5+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-01-31T12:00:00.500000Z");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for bad in [
            "",
            "yesterday",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00,5Z",
            "2026-01-31T12:00:00+01",
            "2026-01-31T12:00:00+0100",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00Z[UTC]",
            "2026-02-29T12:00:00Z",
            "2026-00-10T12:00:00Z",
            "2026-13-10T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:60Z",
            "+2026-01-31T12:00:00Z",
            "2026-01-3é12:00:00Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_leap_second_is_the_first_moment_of_the_next_day() {
        let leap: Timestamp = "2016-12-31T23:59:60Z".parse().unwrap();
        assert_eq!(leap.to_string(), "2017-01-01T00:00:00.000000Z");
        let abroad: Timestamp = "2017-01-01T00:59:60+01:00".parse().unwrap();
        assert_eq!(abroad, leap);
    }

    #[test]
    fn the_ends_of_the_calendar_can_be_written() {
        for micros in [i64::MIN, MICROS_MIN, -1, 0, MICROS_MAX, i64::MAX] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }
        assert_eq!(
            Timestamp::from_micros(i64::MIN).to_string(),
            "0001-01-01T00:00:00.000000Z"
        );
        assert_eq!(
            Timestamp::from_micros(i64::MAX).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
    }

    proptest! {
        #[test]
        fn every_instant_is_written_as_jiff_writes_it(micros in MICROS_MIN..=253_402_207_200_000_000) {
            let expected = jiff::Timestamp::from_microsecond(micros).unwrap();
            let text = Timestamp::from_micros(micros).to_string();
            prop_assert_eq!(&text, &format!("{expected:.6}"));
            prop_assert_eq!(text.parse::<Timestamp>().unwrap().micros(), micros);
        }

        #[test]
        fn what_both_read_jiff_reads_alike(
            at in MICROS_MIN / 2..MICROS_MAX / 2, minutes in -1_439_i64..1_440, digits in 0_usize..12,
        ) {
            let local = jiff::Timestamp::from_microsecond(at + minutes * 60_000_000).unwrap();
            let digits = if digits == 0 { String::new() } else { format!(".{}", "1".repeat(digits)) };
            let local = format!("{local:.0}");
            let sign = if minutes < 0 { '-' } else { '+' };
            let offset = format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            let text = format!("{}{digits}{offset}", local.trim_end_matches('Z'));
            let ours: Timestamp = text.parse().unwrap();
            if digits.len() <= 10 {
                let theirs: jiff::Timestamp = text.parse().unwrap();
                prop_assert_eq!(ours.micros(), i64::try_from(theirs.as_nanosecond().div_euclid(1_000)).unwrap());
            }
        }
    }
}
