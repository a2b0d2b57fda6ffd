//! JSON Schema of every event, generated from the types that decode it.
//!
//! Decoding does not run the schema: the typed decoder is several times faster and just as strict (a test holds the
//! two together). The schema speaks when an event was refused, and to those who write other programs.

use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::payload::payload_schema;
use crate::{EventType, Rejected, RejectedKind};

const COMPLAINTS_MAX: usize = 5;

/// The JSON Schema (draft 2020-12) of a whole event, envelope and payload.
pub fn schema(kind: EventType) -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let payload = payload_schema(kind, &mut generator);
    let event_id = generator.subschema_for::<crate::EventId>();
    let timestamp = generator.subschema_for::<crate::Timestamp>();
    let key = if kind == EventType::DeadLetter {
        json!({ "type": "string" })
    } else {
        generator.subschema_for::<crate::OrderId>().to_value()
    };
    let definitions: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("{kind}.json"),
        "title": kind.as_str(),
        "type": "object",
        "required": ["eventId", "type", "version", "timestamp", "correlationId", "key", "payload"],
        "properties": {
            "eventId": event_id,
            "type": { "const": kind.as_str() },
            "version": { "const": crate::ENVELOPE_VERSION },
            "timestamp": timestamp,
            "correlationId": { "type": "string" },
            "causationId": { "anyOf": [event_id, { "type": "null" }] },
            "key": key,
            "payload": payload,
            "headers": { "type": ["object", "null"] },
        },
        "$defs": definitions,
    })
}

static VALIDATORS: LazyLock<Vec<Option<Validator>>> = LazyLock::new(|| {
    EventType::ALL
        .iter()
        .map(|kind| {
            jsonschema::options()
                .should_validate_formats(true)
                .build(&schema(*kind))
                .ok()
        })
        .collect()
});

/// What the schema of `kind` has against `event`: one `where: what` a complaint, nothing when it is valid.
pub fn complaints(kind: EventType, event: &Value) -> Vec<String> {
    // EventType::ALL is in the order of the variants.
    let validator = VALIDATORS.get(kind as usize).and_then(Option::as_ref);
    let Some(validator) = validator else {
        return vec![format!("{kind} has no usable schema")];
    };
    validator
        .iter_errors(event)
        .take(COMPLAINTS_MAX)
        .map(|error| {
            let at = error.instance_path().to_string();
            let at = at.trim_start_matches('/').replace('/', ".");
            let what: String = error.to_string().chars().take(300).collect();
            if at.is_empty() {
                what
            } else {
                format!("{at}: {what}")
            }
        })
        .collect()
}

/// Turns a decoder's refusal into one that a person understands.
pub(crate) fn explain(kind: EventType, text: &str, error: &serde_json::Error) -> Rejected {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return Rejected::new(
                RejectedKind::NotJson,
                format!("the value is not JSON: {error}"),
            );
        }
    };
    if let Some(found) = value.get("type").and_then(Value::as_str)
        && found != kind.as_str()
    {
        return Rejected::wrong_topic(kind, found);
    }
    let complaints = complaints(kind, &value);
    let kind = match value.get("version") {
        Some(version) if version != &json!(crate::ENVELOPE_VERSION) => RejectedKind::UnknownVersion,
        _ => RejectedKind::Schema,
    };
    if complaints.is_empty() {
        Rejected::new(kind, error.to_string())
    } else {
        Rejected::new(kind, complaints.join("; "))
    }
}
