//! An event's payload as the timeline shows it.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use sagaline_contracts::Payload;
use sagaline_contracts::payload::{DeadLetter, RedriveRequested};
use serde::Deserialize;
use serde_json::Value;

use super::bounds::is_sparse;
use super::render::json;

/// How deep a payload may be nested to be shown as it is: documents that are nested deeper cannot be stored everywhere.
const DEPTH_MAX: usize = 64;

/// Where the payload begins, in an event as our own encoder writes it.
static PAYLOAD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""payload":"#));

/// The payload as canonical JSON: what a store gives back is equal to what it was given.
///
/// A payload as our own encoder writes it is taken as it is. Another program's may have other spaces and fields that we
/// do not know: it is rewritten, with those fields, unless they could not be stored everywhere.
pub(super) fn details(payload: &Payload, wire: &[u8]) -> Vec<u8> {
    if let Some(opaque) = opaque(payload) {
        return json(&opaque, wire.len());
    }
    let known = json(payload, wire.len());
    let is_ours = PAYLOAD
        .find(wire)
        .is_some_and(|at| wire[at + PAYLOAD.needle().len()..].starts_with(&known));
    if is_ours {
        return known;
    }
    match foreign(wire) {
        Some(value) => json(&value, wire.len()),
        None => known,
    }
}

/// A payload that carries anything at all within it: what could not be stored everywhere becomes text.
fn opaque(payload: &Payload) -> Option<Payload> {
    match payload {
        Payload::DeadLetter(letter) => {
            let payload = storable(&letter.payload);
            Some(
                DeadLetter {
                    payload,
                    ..letter.clone()
                }
                .into(),
            )
        }
        Payload::RedriveRequested(request) => {
            let event = request.event.as_ref().map(storable);
            Some(
                RedriveRequested {
                    event,
                    ..request.clone()
                }
                .into(),
            )
        }
        _ => None,
    }
}

/// The value, as text when it could not be stored everywhere as it is.
pub(super) fn storable(value: &Value) -> Value {
    if fits(value) {
        value.clone()
    } else {
        Value::String(value.to_string())
    }
}

fn foreign(wire: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Envelope {
        payload: Value,
    }
    let envelope: Envelope = serde_json::from_slice(wire).ok()?;
    fits(&envelope.payload).then_some(envelope.payload)
}

/// Whether every store can hold the value as it is.
fn fits(value: &Value) -> bool {
    is_storable(value, DEPTH_MAX) && !is_sparse(value)
}

fn is_storable(value: &Value, depth_left: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Array(values) => {
            depth_left > 0 && values.iter().all(|v| is_storable(v, depth_left - 1))
        }
        Value::Object(fields) => {
            depth_left > 0
                && fields
                    .iter()
                    .all(|(name, v)| is_name(name) && is_storable(v, depth_left - 1))
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with('$') && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::{Event, EventType};

    use super::*;

    fn wire(payload: &str) -> Vec<u8> {
        format!(
            r#"{{ "eventId": "e", "type": "order.OrderConfirmed.v1", "version": 1, "timestamp": "2026-01-31T12:00:00Z",
                "correlationId": "o", "key": "o", "payload": {payload} }}"#
        )
        .into_bytes()
    }

    fn shown(payload: &str) -> String {
        let wire = wire(payload);
        let event = Event::from_json(EventType::OrderConfirmed, &wire).unwrap();
        String::from_utf8(details(&event.payload, &wire)).unwrap()
    }

    #[test]
    fn fields_that_are_not_known_are_shown() {
        let shown = shown("{ \"orderId\" : \"o\",\n \"note\": [ 1.0, null ] }");
        let value: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            value,
            serde_json::json!({ "orderId": "o", "note": [1.0, null] })
        );
        assert!(!shown.contains([' ', '\n']), "{shown}");
    }

    #[test]
    fn fields_that_not_every_store_can_hold_are_left_out() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for odd in [
            "18446744073709551615",
            "1e999",
            r#"{"$set": 1}"#,
            r#"{"a\u0000": 1}"#,
            &deep,
        ] {
            assert_eq!(
                shown(&format!(r#"{{"orderId":"o","note":{odd}}}"#)),
                r#"{"orderId":"o"}"#
            );
        }
    }

    #[test]
    fn what_our_encoder_writes_is_shown_as_it_is() {
        let event = Event::from_json(
            EventType::OrderConfirmed,
            &wire(r#"{"orderId":"o","attempt":2}"#),
        );
        let event = event.unwrap();
        let shown = details(&event.payload, &event.encode());
        assert_eq!(shown, br#"{"orderId":"o","attempt":2}"#);
    }
}
