//! Identifiers, checked once at the border and trusted from there on. Cloning one is cheap.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const ID_LENGTH_MAX: usize = 128;

/// A text that is not usable as the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

fn is_order_id(text: &str) -> bool {
    (1..=ID_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
}

pub(crate) fn is_printable(text: &str) -> bool {
    // nearly every one is a UUID, or as plain
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return (1..=ID_LENGTH_MAX).contains(&text.len());
    }
    // the cheap bound first: nobody counts the characters of a megabyte
    !text.is_empty()
        && text.len() <= ID_LENGTH_MAX * 4
        && text.chars().count() <= ID_LENGTH_MAX
        && !text
            .chars()
            .any(|c| c.is_control() || c == '\u{2028}' || c == '\u{2029}')
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $rule:literal, $schema:tt) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it as an identifier.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                if $check(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(InvalidId { what: $what, rule: $rule })
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{}: {}", $what, $rule)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

identifier!(
    /// The id of an order, and the key of every message about it: 1 to 128 of `A-Z a-z 0-9 . _ : -`.
    OrderId,
    "orderId",
    is_order_id,
    "1 to 128 characters out of A-Z a-z 0-9 . _ : -",
    { "type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$" }
);

identifier!(
    /// The id of an event: unique, and the same on every redelivery. Ours are UUIDs; others' may be any short text.
    EventId,
    "eventId",
    is_printable,
    "1 to 128 printable characters",
    { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F\\u2028\\u2029]*$" }
);

identifier!(
    /// A stock keeping unit.
    Sku,
    "sku",
    is_printable,
    "1 to 128 printable characters",
    { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F\\u2028\\u2029]*$" }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_is_short_ascii_without_spaces() {
        for good in ["a", "order-1", "A.b_c:d-9", &"x".repeat(128)] {
            assert!(OrderId::new(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "é", "a/b", "$where", &"x".repeat(129)] {
            assert!(OrderId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sku_may_be_any_short_printable_text() {
        assert!(Sku::new("<b>Größe 42</b>").is_ok());
        assert!(Sku::new("line\nbreak").is_err());
    }
}
