//! Amounts of money: whole hundredths inside, a JSON number with at most two decimals on the wire.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A non-negative amount in hundredths of the currency's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

/// A number that is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an amount must be a number from 0 to 10000000000 with at most two decimals")]
pub struct InvalidMoney;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount: ten thousand million units.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// An amount of so many hundredths.
    pub const fn from_cents(cents: i64) -> Result<Self, InvalidMoney> {
        if cents >= 0 && cents <= Self::MAX.0 {
            Ok(Self(cents))
        } else {
            Err(InvalidMoney)
        }
    }

    /// The amount in hundredths.
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// `self × quantity`, or `None` beyond [`Money::MAX`].
    pub fn checked_mul(self, quantity: u32) -> Option<Self> {
        let cents = self.0.checked_mul(i64::from(quantity))?;
        Self::from_cents(cents).ok()
    }

    /// `self + other`, or `None` beyond [`Money::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_cents(self.0.checked_add(other.0)?).ok()
    }

    // A JSON parser hands over the double that is nearest to the digits it read. An amount with at most two decimals
    // is the nearest double of exactly one number of hundredths in our range, so the way back is exact.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the range is checked first, and far below 2^53"
    )]
    fn from_number(number: f64) -> Result<Self, InvalidMoney> {
        if !(0.0..=1e10).contains(&number) {
            return Err(InvalidMoney);
        }
        let cents = (number * 100.0).round() as i64;
        #[expect(
            clippy::float_cmp,
            reason = "equality is the point: a third decimal makes another double"
        )]
        if cents as f64 / 100.0 == number {
            Self::from_cents(cents)
        } else {
            Err(InvalidMoney)
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            #[expect(
                clippy::cast_precision_loss,
                reason = "far below 2^53; printed as the shortest digits, which are ours"
            )]
            serializer.serialize_f64(self.0 as f64 / 100.0)
        }
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = Money;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 10000000000 with at most two decimals")
            }
            fn visit_u64<E: de::Error>(self, units: u64) -> Result<Money, E> {
                i64::try_from(units)
                    .ok()
                    .and_then(|units| units.checked_mul(100))
                    .and_then(|cents| Money::from_cents(cents).ok())
                    .ok_or_else(|| E::custom(InvalidMoney))
            }
            fn visit_i64<E: de::Error>(self, units: i64) -> Result<Money, E> {
                u64::try_from(units)
                    .map_err(|_| E::custom(InvalidMoney))
                    .and_then(|units| self.visit_u64(units))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Money, E> {
                Money::from_number(number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number", "minimum": 0, "maximum": 10_000_000_000_i64, "multipleOf": 0.01,
            "description": "An amount with at most two decimals"
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_decimals_a_negative_amount_and_text_are_refused() {
        for bad in ["19.999", "0.001", "-1", "-0.01", "1e11", "\"10\"", "null"] {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whole_amounts_are_written_without_a_fraction() {
        assert_eq!(serde_json::to_string(&Money(1000)).unwrap(), "10");
        assert_eq!(serde_json::to_string(&Money(1999)).unwrap(), "19.99");
        assert_eq!(serde_json::from_str::<Money>("10.0").unwrap(), Money(1000));
        assert_eq!(serde_json::from_str::<Money>("1.1e1").unwrap(), Money(1100));
    }

    proptest! {
        #[test]
        fn every_amount_survives_the_wire(cents in 0..=Money::MAX.0) {
            let text = serde_json::to_string(&Money(cents)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), Money(cents));
        }

        #[test]
        fn a_third_decimal_is_never_accepted(cents in 0..1_000_000_000_i64, mills in 1..10_i64) {
            let text = format!("{}.{:02}{mills}", cents / 100, cents % 100);
            prop_assert!(serde_json::from_str::<Money>(&text).is_err());
        }
    }
}
