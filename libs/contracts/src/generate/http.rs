//! What may come over HTTP: bodies that are what they should be, that nearly are, and that are anything.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use serde_json::value::RawValue;

use super::text;

/// Stands where something odd is put in: JSON can say what no number here holds.
const MARK: &str = "put something odd here";

/// A body: one of these as it is, or with something odd in it, or with a field twice; now and then damaged; or any bytes.
pub fn body(valid: Vec<Value>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (
        select(valid),
        option::weighted(0.8, (any::<Index>(), odd())),
        option::weighted(0.1, odd()),
    );
    let changed = changed.prop_map(|(body, change, twice)| {
        let text = match change {
            None => body.to_string(),
            Some((at, odd)) => with(body, at, &odd),
        };
        match twice {
            None => text,
            Some(odd) => doubled(&text, &odd),
        }
    });
    let damage = vec((any::<Index>(), any::<u8>()), 0..3);
    let damaged = (changed, option::weighted(0.2, damage)).prop_map(|(text, damage)| {
        let mut bytes = text.into_bytes();
        for (at, mask) in damage.into_iter().flatten() {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        bytes
    });
    prop_oneof![
        8 => damaged,
        1 => vec(any::<u8>(), 0..100),
        1 => odd().prop_map(String::into_bytes),
    ]
}

/// What a body is said to be, if anything is said.
pub fn content_type() -> impl Strategy<Value = Option<&'static str>> {
    let others = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/json",
        "application/jsonp",
        "json",
        "",
        "application/json, text/plain",
        "*/*",
    ];
    prop_oneof![
        3 => Just(None),
        3 => select(vec!["application/json", "application/json; charset=utf-8", "application/problem+json"])
            .prop_map(Some),
        2 => select(others.to_vec()).prop_map(Some),
    ]
}

/// What an object says in its fields, whatever is in those that cannot be read: readers skip what they do not know, and do not ask
/// whether it is text.
pub fn said(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).unwrap_or_default();
    let readable = fields
        .into_iter()
        .filter_map(|(name, raw)| Some((name, serde_json::from_str(raw.get()).ok()?)));
    Value::Object(readable.collect())
}

/// JSON that is not what is expected, whatever that is.
fn odd() -> impl Strategy<Value = String> {
    let numbers = select(vec![
        "0",
        "1",
        "-1",
        "-0",
        "-0.0",
        "1.0",
        "1.5",
        "1e2",
        "1e-2",
        "1e999",
        "0.001",
        "100000001",
        "4294967295",
        "4294967296",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
    ]);
    let shapes = select(vec![
        "null",
        "true",
        "[]",
        "{}",
        "[[1]]",
        "[null]",
        r#"{"$ne":1}"#,
        r#"{"payment":null}"#,
        r#""""#,
        r#""payment""#,
        r#"["payment"]"#,
        r#""PAYMENT""#,
        r#"" payment""#,
        r#""1""#,
        r#""\ud800""#,
        "NaN",
        "1_000",
    ]);
    prop_oneof![
        4 => numbers.prop_map(str::to_owned),
        4 => shapes.prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        2 => text().prop_map(|text| Value::from(text).to_string()),
        1 => super::json().prop_map(|json| json.to_string()),
        1 => (0..400_usize).prop_map(|digits| "9".repeat(digits)),
        2 => prop_oneof![0..200_usize, Just(5_000)].prop_map(nested),
    ]
}

fn nested(depth: usize) -> String {
    let (mut open, mut close) = (String::new(), String::new());
    for at in 0..depth {
        let (before, after) = if at.is_multiple_of(2) {
            ("[", "]")
        } else {
            (r#"{"a":"#, "}")
        };
        open.push_str(before);
        close.insert_str(0, after);
    }
    format!("{open}1{close}")
}

/// The body with something else in one of its places, or in one more.
fn with(mut body: Value, at: Index, odd: &str) -> String {
    let mut places = vec![String::new(), "/unknown".to_owned()];
    collect(&body, "", &mut places);
    let place = &places[at.index(places.len())];
    let (parent, name) = place.rsplit_once('/').unwrap_or(("", ""));
    match body.pointer_mut(place) {
        Some(value) => *value = MARK.into(),
        None => {
            if let Some(fields) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.insert(name.to_owned(), MARK.into());
            }
        }
    }
    body.to_string().replace(&format!("{MARK:?}"), odd)
}

fn collect(value: &Value, path: &str, places: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(n, value)| (n.to_string(), value))
            .collect(),
        _ => return,
    };
    for (name, value) in inner {
        let path = format!("{path}/{name}");
        collect(value, &path, places);
        places.push(path);
    }
}

/// The text with its first field twice.
fn doubled(text: &str, odd: &str) -> String {
    let name = text
        .strip_prefix('{')
        .and_then(|rest| rest.split(':').next());
    match name {
        Some(name) if name.len() > 1 => format!("{{{name}:{odd},{}", &text[1..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_good_odd_doubled_deep_and_no_json_at_all() {
        let valid = json!({ "step": "payment", "more": [{ "qty": 1 }] });
        let strategy = body(vec![valid.clone()]);
        let mut runner = TestRunner::deterministic();
        let mut seen = [false; 5];
        for _ in 0..3_000 {
            let Ok(tree) = strategy.new_tree(&mut runner) else {
                continue;
            };
            let bytes = tree.current();
            let text = String::from_utf8_lossy(&bytes);
            let read = serde_json::from_slice::<Value>(&bytes);
            seen[0] |= read.as_ref().is_ok_and(|read| *read == valid);
            seen[1] |= read.as_ref().is_ok_and(|read| read["more"][0]["qty"] == -1);
            seen[2] |= text.matches("\"more\":").count() == 2;
            seen[3] |= text.contains(&"[{\"a\":".repeat(60));
            seen[4] |= std::str::from_utf8(&bytes).is_err();
        }
        assert_eq!(seen, [true; 5]);
    }
}
