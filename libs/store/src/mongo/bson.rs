//! JSON text to BSON bytes and back, without anything in between.
//!
//! The driver's own conversion reads objects such as `{"$oid": …}` as extended JSON; here an object is an object. Integers
//! stay integers (32 bits where they fit), other numbers are doubles, and keys keep their order.

use std::fmt;

use mongodb::bson::{RawArray, RawBsonRef, RawDocument};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const OBJECT_ID: u8 = 0x07;
const BOOLEAN: u8 = 0x08;
const NULL: u8 = 0x0A;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// Why a body cannot be stored in `MongoDB`, or what is stored is not a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is not a JSON object that BSON can hold")]
    Json(#[from] serde_json::Error),
    #[error("the stored body is damaged")]
    Bson(#[from] mongodb::bson::error::Error),
    #[error(
        "the stored body has a {kind:?} in {key:?}, which JSON does not have; set it to a number or a text"
    )]
    NotJson {
        key: String,
        kind: mongodb::bson::spec::ElementType,
    },
    #[error("the stored document has no {0}")]
    Missing(&'static str),
    #[error("the document has {0} bytes, more than MongoDB takes")]
    TooLarge(usize),
}

/// BSON bytes that grow. Elements are written in order; every document that begins must end.
#[derive(Debug, Default)]
pub(super) struct BsonWriter {
    bytes: Vec<u8>,
}

impl BsonWriter {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written after the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Begins the outermost document.
    pub(super) fn begin(&mut self) -> usize {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        start
    }

    pub(super) fn begin_document(&mut self, key: &str) -> usize {
        self.key(DOCUMENT, key);
        self.begin()
    }

    pub(super) fn begin_array(&mut self, key: &str) -> usize {
        self.key(ARRAY, key);
        self.begin()
    }

    /// Ends the document or array that began at `start`.
    pub(super) fn end(&mut self, start: usize) {
        self.bytes.push(0);
        self.patch_length(start, self.bytes.len() - start);
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.key(STRING, key);
        self.text(value);
    }

    pub(super) fn int64(&mut self, key: &str, value: i64) {
        self.key(INT64, key);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.key(BOOLEAN, key);
        self.bytes.push(value.into());
    }

    pub(super) fn object_id(&mut self, key: &str, value: [u8; 12]) {
        self.key(OBJECT_ID, key);
        self.bytes.extend(value);
    }

    /// A JSON object as a document.
    pub(super) fn json(&mut self, key: &str, json: &[u8]) -> Result<(), BodyError> {
        let kind_at = self.bytes.len();
        self.key(0, key);
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let kind = Value(self).deserialize(&mut deserializer)?;
        deserializer.end()?;
        if kind != DOCUMENT {
            return Err(serde_json::Error::custom("it is not an object").into());
        }
        self.set_kind(kind_at, kind);
        Ok(())
    }

    fn key(&mut self, kind: u8, key: &str) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(0);
    }

    fn text(&mut self, value: &str) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.patch_length(start, value.len() + 1);
    }

    fn patch_length(&mut self, at: usize, length: usize) {
        // what is longer than this is refused by its size before it is sent
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        if let Some(bytes) = self.bytes.get_mut(at..at + 4) {
            bytes.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn set_kind(&mut self, at: usize, kind: u8) {
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte = kind;
        }
    }
}

/// Writes the value that is next in the JSON, and returns its kind, which stands before its key.
struct Value<'w>(&'w mut BsonWriter);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = u8;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<u8, E> {
        Ok(NULL)
    }

    fn visit_bool<E>(self, value: bool) -> Result<u8, E> {
        self.0.bytes.push(value.into());
        Ok(BOOLEAN)
    }

    fn visit_i64<E>(self, value: i64) -> Result<u8, E> {
        if let Ok(small) = i32::try_from(value) {
            self.0.bytes.extend(small.to_le_bytes());
            return Ok(INT32);
        }
        self.0.bytes.extend(value.to_le_bytes());
        Ok(INT64)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u8, E> {
        let signed = i64::try_from(value);
        let signed = signed.map_err(|_| E::custom(format!("{value} is beyond 64 signed bits")))?;
        self.visit_i64(signed)
    }

    fn visit_f64<E>(self, value: f64) -> Result<u8, E> {
        self.0.bytes.extend(value.to_le_bytes());
        Ok(DOUBLE)
    }

    fn visit_str<E>(self, value: &str) -> Result<u8, E> {
        self.0.text(value);
        Ok(STRING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u8, A::Error> {
        let writer = self.0;
        let start = writer.begin();
        let mut index = 0_u32;
        loop {
            let kind_at = writer.len();
            writer.key(0, &index.to_string());
            let Some(kind) = items.next_element_seed(Value(writer))? else {
                writer.truncate(kind_at);
                break;
            };
            writer.set_kind(kind_at, kind);
            index += 1;
        }
        writer.end(start);
        Ok(ARRAY)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<u8, A::Error> {
        let writer = self.0;
        let start = writer.begin();
        loop {
            let kind_at = writer.len();
            if entries.next_key_seed(Key(writer))?.is_none() {
                break;
            }
            let kind = entries.next_value_seed(Value(writer))?;
            writer.set_kind(kind_at, kind);
        }
        writer.end(start);
        Ok(DOCUMENT)
    }
}

/// Writes a key, with its kind still open.
struct Key<'w>(&'w mut BsonWriter);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<(), E> {
        if key.contains('\0') {
            return Err(E::custom("a key contains a zero character"));
        }
        self.0.key(0, key);
        Ok(())
    }
}

/// A stored document as the JSON object that it was.
pub(super) fn to_json(document: &RawDocument) -> Result<Vec<u8>, BodyError> {
    let mut json = Vec::with_capacity(document.as_bytes().len() * 5 / 4);
    write_document(document, &mut json)?;
    Ok(json)
}

fn write_document(document: &RawDocument, json: &mut Vec<u8>) -> Result<(), BodyError> {
    let mut separator = b'{';
    for element in document {
        let (key, value) = element?;
        json.push(separator);
        separator = b',';
        serde_json::to_writer(&mut *json, key.as_str())?;
        json.push(b':');
        write_value(key.as_str(), value, json)?;
    }
    json.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
    Ok(())
}

fn write_array(array: &RawArray, json: &mut Vec<u8>) -> Result<(), BodyError> {
    let mut separator = b'[';
    for value in array {
        json.push(separator);
        separator = b',';
        write_value("an array", value?, json)?;
    }
    json.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
    Ok(())
}

fn write_value(key: &str, value: RawBsonRef<'_>, json: &mut Vec<u8>) -> Result<(), BodyError> {
    match value {
        RawBsonRef::Double(number) if number.is_finite() => serde_json::to_writer(json, &number)?,
        RawBsonRef::String(text) => serde_json::to_writer(json, text)?,
        RawBsonRef::Document(document) => write_document(document, json)?,
        RawBsonRef::Array(array) => write_array(array, json)?,
        RawBsonRef::Boolean(value) => serde_json::to_writer(json, &value)?,
        RawBsonRef::Null => json.extend_from_slice(b"null"),
        RawBsonRef::Int32(number) => serde_json::to_writer(json, &number)?,
        RawBsonRef::Int64(number) => serde_json::to_writer(json, &number)?,
        other => {
            return Err(BodyError::NotJson {
                key: key.to_owned(),
                kind: other.element_type(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{Bson, RawDocumentBuf, rawdoc};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn to_bson(json: &[u8]) -> Result<RawDocumentBuf, BodyError> {
        let mut writer = BsonWriter::default();
        let start = writer.begin();
        writer.json("body", json)?;
        writer.end(start);
        Ok(RawDocumentBuf::from_bytes(writer.into_bytes())?)
    }

    fn round_trip(json: &[u8]) -> Vec<u8> {
        let bson = to_bson(json).unwrap();
        to_json(bson.get_document("body").unwrap()).unwrap()
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (-1000_i64..1000).prop_map(Json::from),
            prop::num::f64::NORMAL.prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = "[^\0]{0,6}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::hash_map(key, inner, 0..6)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_comes_back_byte_by_byte(value in any_json()) {
            let json = serde_json::to_vec(&json!({ "v": value })).unwrap();
            prop_assert_eq!(round_trip(&json), json);
        }

        #[test]
        fn the_bytes_are_what_the_drivers_own_types_read(value in any_json()) {
            let json = json!({ "v": value });
            let bson = to_bson(&serde_json::to_vec(&json).unwrap()).unwrap();
            let document = mongodb::bson::Document::try_from(&*bson).unwrap();
            let body = document.get_document("body").unwrap();
            prop_assert_eq!(plain(&Bson::Document(body.clone())), json);
        }
    }

    /// BSON as JSON by way of the driver's types.
    fn plain(value: &Bson) -> Json {
        match value {
            Bson::Document(d) => {
                Json::Object(d.iter().map(|(k, v)| (k.clone(), plain(v))).collect())
            }
            Bson::Array(a) => a.iter().map(plain).collect(),
            Bson::Double(n) => json!(n),
            Bson::Int32(n) => json!(n),
            Bson::Int64(n) => json!(n),
            Bson::String(s) => json!(s),
            Bson::Boolean(b) => json!(b),
            Bson::Null => Json::Null,
            other => panic!("{other:?} is not JSON"),
        }
    }

    #[test]
    fn keys_keep_their_order() {
        let json = br#"{"z":1,"a":{"y":2,"b":3}}"#;
        assert_eq!(round_trip(json), json);
    }

    #[test]
    fn what_bson_cannot_hold_is_refused() {
        for json in [
            "[]",
            "1",
            "{",
            "{} {}",
            r#"{"n":18446744073709551615}"#,
            r#"{"a\u0000":1}"#,
        ] {
            assert!(
                matches!(to_bson(json.as_bytes()), Err(BodyError::Json(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn a_value_that_json_does_not_have_is_named() {
        let edited = rawdoc! { "when": mongodb::bson::DateTime::from_millis(0) };
        let error = to_json(&edited).unwrap_err();
        assert!(error.to_string().contains("when"), "{error}");
    }
}
