//! The committed examples are events, and show all that there is to show.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::path::{Path, PathBuf};

use sagaline_contracts::{Event, EventType, examples, schema};
use serde_json::Value;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(name)
}

fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(file(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap()
}

fn committed() -> impl Iterator<Item = (EventType, &'static str, Value)> {
    EventType::ALL.iter().flat_map(|kind| {
        ["", ".minimal"].map(|suffix| {
            (
                *kind,
                suffix,
                json(&format!("examples/{kind}{suffix}.json")),
            )
        })
    })
}

fn names(value: Option<&Value>) -> Vec<String> {
    let mut names: Vec<String> = match value {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    names.sort();
    names
}

#[test]
fn every_committed_example_is_an_event_that_survives_the_wire() {
    for (kind, suffix, value) in committed() {
        let text = value.to_string();
        let key = value["key"].as_str().unwrap();
        let event = Event::decode(kind, Some(key.as_bytes()), Some(text.as_bytes()))
            .unwrap_or_else(|e| panic!("{kind}{suffix}: {e}"));
        let again: Value = serde_json::from_slice(&event.encode()).unwrap();
        assert_eq!(again, value, "{kind}{suffix}");
        assert_eq!(Event::from_json(kind, &event.encode()).unwrap(), event);
        assert_eq!(schema::complaints(kind, &value), [""; 0], "{kind}{suffix}");
    }
}

#[test]
fn the_examples_in_the_code_are_the_committed_ones() {
    for (kind, suffix, value) in committed() {
        let event = if suffix.is_empty() {
            examples::full(kind)
        } else {
            examples::minimal(kind)
        };
        assert_eq!(
            Event::from_json(kind, value.to_string().as_bytes()).unwrap(),
            event
        );
    }
}

#[test]
fn a_full_example_has_every_property_and_a_minimal_one_only_the_required() {
    for (kind, suffix, value) in committed() {
        let schema = json(&format!("{kind}.json"));
        let payload = schema
            .pointer("/properties/payload/$ref")
            .and_then(Value::as_str)
            .unwrap();
        let payload = schema.pointer(payload.trim_start_matches('#')).unwrap();
        let expected = if suffix.is_empty() {
            "properties"
        } else {
            "required"
        };
        assert_eq!(
            names(value.get("payload")),
            names(payload.get(expected)),
            "{kind}{suffix}"
        );
    }
}

#[test]
fn every_committed_schema_is_a_valid_schema() {
    for kind in EventType::ALL {
        let schema = json(&format!("{kind}.json"));
        jsonschema::meta::validate(&schema).unwrap_or_else(|e| panic!("{kind}: {e}"));
    }
}

#[test]
fn an_event_ignores_what_it_does_not_know() {
    for (kind, suffix, mut value) in committed() {
        let event = Event::from_json(kind, value.to_string().as_bytes()).unwrap();
        value["fromTheFuture"] = serde_json::json!([{ "deep": [1, null] }]);
        value["payload"]["fromTheFuture"] = serde_json::json!({});
        assert_eq!(schema::complaints(kind, &value), [""; 0], "{kind}{suffix}");
        assert_eq!(
            Event::from_json(kind, value.to_string().as_bytes()).unwrap(),
            event
        );
    }
}
