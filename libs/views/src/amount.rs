//! Amounts of money, in hundredths.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in hundredths; on the wire a number with at most two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(pub i64);

impl Amount {
    /// Reads what a person writes: `20`, `20.5`, `20.50`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, cents) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || cents.len() > 2 || !is_digits(whole) || !is_digits(cents) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let cents: i64 = format!("{cents:0<2}").parse().ok()?;
        whole.checked_mul(100)?.checked_add(cents).map(Self)
    }

    /// So many times it.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count.into()))
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).fold(0, i64::saturating_add))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", all / 100, all % 100)
    }
}

impl Serialize for Amount {
    #[expect(
        clippy::cast_precision_loss,
        reason = "amounts on the wire are below 2^53 hundredths"
    )]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            serializer.serialize_f64(self.0 as f64 / 100.0)
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = f64::deserialize(deserializer)?;
        Ok(Self((amount * 100.0).round() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_writes_is_what_goes_over_the_wire() {
        for (written, wire) in [
            ("20", "20"),
            ("20.5", "20.5"),
            ("0.07", "0.07"),
            ("19.99", "19.99"),
        ] {
            let amount = Amount::parse(written).unwrap();
            assert_eq!(serde_json::to_string(&amount).unwrap(), wire);
            assert_eq!(serde_json::from_str::<Amount>(wire).unwrap(), amount);
        }
        for written in ["", "-1", "1.234", "1,5", "ten", "."] {
            assert_eq!(Amount::parse(written), None, "{written}");
        }
    }
}
