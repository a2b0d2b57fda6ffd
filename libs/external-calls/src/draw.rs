//! Chance that can be repeated: drawn from a name, not from a generator.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// A share from 0 (never) to 1 (always).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// A text that is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: give a number from 0 (never) to 1 (always), such as 0.05")]
pub struct InvalidRate(String);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Always.
    pub const ALWAYS: Self = Self(1.0);
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        match text.parse() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self(rate)),
            _ => Err(InvalidRate(text.to_owned())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What chance says about a key, the same every time: a hash of who asks and of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw([u8; 32]);

impl Draw {
    /// Draws for `key`. The `purpose` keeps draws for different ends independent of each other.
    pub fn new(purpose: &str, key: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(purpose)
            // no purpose holds this byte, so no two pairs run together into the same text
            .chain_update([0])
            .chain_update(key);
        Self(hash.finalize().into())
    }

    /// True for this share of all keys.
    pub fn hits(&self, rate: Rate) -> bool {
        // As many bits as a double holds exactly, so that 1 is out of reach and ALWAYS is always.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let share = (self.word() >> 11) as f64 / (1_u64 << 53) as f64;
        share < rate.0
    }

    /// One of `choices`, each equally often; nothing when there is none.
    pub fn choose<'a, T>(&self, choices: &'a [T]) -> Option<&'a T> {
        // Another word than for `hits`: what is chosen must not depend on whether a rate hit.
        let word = u32::from_be_bytes([self.0[8], self.0[9], self.0[10], self.0[11]]);
        let index = usize::try_from(word).ok()?.checked_rem(choices.len())?;
        choices.get(index)
    }

    /// 96 bits of it as 24 lowercase hexadecimal digits, for an id.
    pub fn hex(&self) -> String {
        self.0[20..]
            .iter()
            .fold(String::with_capacity(24), |mut hex, byte| {
                for digit in [byte >> 4, byte & 15] {
                    hex.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                }
                hex
            })
    }

    fn word(&self) -> u64 {
        self.0[..8]
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_draw_for_a_key_never_changes_between_versions() {
        let draw = Draw::new("gateway", "order-1/1");
        assert_eq!(draw.hex(), "d4153b2909898a65c3ad0a3c");
        assert_ne!(draw, Draw::new("carrier", "order-1/1"));
        assert_ne!(draw, Draw::new("gateway", "order-1/2"));
    }

    #[test]
    fn five_per_cent_are_five_per_cent_of_ascending_order_ids() {
        let rate: Rate = "0.05".parse().unwrap();
        let hits = (0..20_000)
            .filter(|n| Draw::new("gateway", &format!("order-{n}/1")).hits(rate))
            .count();
        assert!((900..1_100).contains(&hits), "{hits} of 20000");
    }

    #[test]
    fn every_choice_is_made_about_equally_often() {
        let mut made = [0_usize; 3];
        for n in 0..3_000 {
            made[*Draw::new("carrier", &n.to_string())
                .choose(&[0, 1, 2])
                .unwrap()] += 1;
        }
        assert!(
            made.iter().all(|times| (900..1_100).contains(times)),
            "{made:?}"
        );
        assert_eq!(Draw::new("carrier", "x").choose::<u8>(&[]), None);
    }

    #[test]
    fn a_rate_beyond_its_range_is_refused_with_what_to_give() {
        for wrong in ["1.01", "-0.1", "NaN", "inf", "5%", ""] {
            let error = wrong.parse::<Rate>().unwrap_err();
            assert!(
                error.to_string().contains("0 (never) to 1 (always)"),
                "{wrong}"
            );
        }
        assert_eq!("1".parse::<Rate>().unwrap(), Rate::ALWAYS);
        assert_eq!("0.05".parse::<Rate>().unwrap().to_string(), "0.05");
    }

    proptest! {
        #[test]
        fn never_is_never_and_always_is_always(key in ".{0,40}") {
            let draw = Draw::new("gateway", &key);
            prop_assert!(!draw.hits(Rate::NEVER));
            prop_assert!(draw.hits(Rate::ALWAYS));
        }

        #[test]
        fn a_key_that_hits_a_rate_hits_every_higher_one(key in ".{0,40}", low in 0.0..1.0, more in 0.0..1.0) {
            let draw = Draw::new("gateway", &key);
            let high = Rate(f64::min(1.0, low + more));
            prop_assert!(!draw.hits(Rate(low)) || draw.hits(high));
        }
    }
}
