//! Where serde and JSON Schema disagree about what a value is, the wire follows JSON Schema.
//!
//! serde reads a struct from an array and a plain enum from an object, which no schema of ours allows; and it refuses
//! `2.0` for an integer, which to JSON Schema (and to JavaScript) is the same number as `2`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The largest integer that every JSON reader holds exactly, 2^53 - 1.
pub(crate) const SAFE_INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// Reads structs from objects, and from nothing else.
pub(crate) struct ObjectOnly<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(ObjectOnly(deserializer)).map(Self)
    }
}

/// An array of objects.
pub fn objects<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|object| object.0).collect())
}

/// A plain enum's variant.
struct Name<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Text<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                let name: StrDeserializer<'_, E> = text.into_deserializer();
                T::deserialize(name)
            }
        }
        deserializer.deserialize_str(Text(PhantomData)).map(Self)
    }
}

/// A plain enum, from its name.
pub fn name<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Name::deserialize(deserializer).map(|name| name.0)
}

/// A plain enum, null, or (with `serde(default)`) nothing.
pub(crate) fn optional_name<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<Name<T>>::deserialize(deserializer).map(|name| name.map(|name| name.0))
}

/// A whole number: `2`, `2.0` and `2e0` are the same.
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = i64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
                i64::try_from(number)
                    .ok()
                    .filter(|number| *number <= SAFE_INTEGER_MAX)
                    .ok_or_else(|| E::custom(format!("{number} is too large")))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
                if number.unsigned_abs() <= SAFE_INTEGER_MAX.unsigned_abs() {
                    Ok(number)
                } else {
                    Err(E::custom(format!("{number} is out of range")))
                }
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
                #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact")]
                let limit = SAFE_INTEGER_MAX as f64;
                if number.fract() == 0.0 && number.abs() <= limit {
                    #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
                    Ok(number as i64)
                } else {
                    Err(E::invalid_type(de::Unexpected::Float(number), &self))
                }
            }
        }
        deserializer.deserialize_any(Number).map(Self)
    }
}

fn in_range<T: TryFrom<i64>, E: de::Error>(Whole(number): Whole) -> Result<T, E> {
    T::try_from(number).map_err(|_| E::custom(format!("{number} is out of range")))
}

/// A whole number that fits `T`.
pub(crate) fn whole<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    in_range(Whole::deserialize(deserializer)?)
}

/// A whole number that fits `T`, null, or (with `serde(default)`) nothing.
pub(crate) fn optional_whole<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    Option::<Whole>::deserialize(deserializer)?
        .map(in_range)
        .transpose()
}

/// The number of an attempt.
pub(crate) fn attempt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match whole(deserializer)? {
        0 => Err(de::Error::custom("attempt must be 1 or more")),
        attempt => Ok(attempt),
    }
}

/// Text that is borrowed from the message where it has no escapes.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}
