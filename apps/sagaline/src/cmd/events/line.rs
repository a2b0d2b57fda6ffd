//! A message as it is shown.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rdkafka::Message;
use sagaline_contracts::{DEAD_LETTER_SUFFIX, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::event::{short_name, tone};
use crate::output::{Paint, Tone};
use crate::summary::summary;
use crate::text::{clipped, printable, time};

/// The beginning of a message that is no event.
const RAW_CHARS_MAX: usize = 160;

/// What is read of an envelope.
#[derive(Deserialize)]
struct Envelope {
    r#type: String,
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    payload: Value,
}

/// The message for people: time, topic, key, place, and what it says.
pub(super) fn human(message: &impl Message, paint: Paint) -> String {
    let value = message.payload().unwrap_or_default();
    let envelope: Option<Envelope> = serde_json::from_slice(value).ok();
    let key = String::from_utf8_lossy(message.key().unwrap_or_default());
    let at = happened(envelope.as_ref()).or_else(|| written(message));
    let (topic, topic_tone) = topic(message.topic());
    let text = match &envelope {
        Some(event) => summary(short_name(&event.r#type), &event.payload),
        None if message.payload().is_none() => "no value".to_owned(),
        None => format!(
            "no event: {}",
            clipped(&String::from_utf8_lossy(value), RAW_CHARS_MAX)
        ),
    };
    let line = format!(
        "{}  {}  {}  {}/{}  {}",
        paint.tone(Tone::Dim, &at.map_or_else(|| "-".to_owned(), time)),
        paint.tone(topic_tone, &format!("{:<22}", printable(&topic))),
        if key.is_empty() {
            "-".into()
        } else {
            printable(&key)
        },
        message.partition(),
        message.offset(),
        printable(&text),
    );
    format!("{}\n", line.trim_end())
}

/// When it happened, as the event says; of what is no event, when it was written.
pub(super) fn time_of(message: &impl Message) -> Option<Timestamp> {
    let envelope: Option<Envelope> =
        serde_json::from_slice(message.payload().unwrap_or_default()).ok();
    happened(envelope.as_ref()).or_else(|| written(message))
}

fn happened(envelope: Option<&Envelope>) -> Option<Timestamp> {
    envelope?.timestamp.as_ref()?.as_str()?.parse().ok()
}

fn written(message: &impl Message) -> Option<Timestamp> {
    let millis = message.timestamp().to_millis()?;
    Some(Timestamp::from_micros(millis.saturating_mul(1_000)))
}

/// `OrderCreated` of its topic, `OrderCreated.dlq` of that of its dead letters; others by their whole name.
fn topic(name: &str) -> (String, Tone) {
    match name.strip_suffix(DEAD_LETTER_SUFFIX) {
        Some(of) => (format!("{}{DEAD_LETTER_SUFFIX}", short_name(of)), Tone::Bad),
        None => (short_name(name).to_owned(), tone(short_name(name))),
    }
}

/// The message for programs: its value on one line as it is; what is not JSON, in base64 with where it stood.
pub(super) fn json_line(message: &impl Message) -> Vec<u8> {
    let raw = message.payload();
    let is_line = |value: &&[u8]| {
        !value.contains(&b'\n')
            && !value.contains(&b'\r')
            && serde_json::from_slice::<&RawValue>(value).is_ok()
    };
    if let Some(line) = raw.filter(is_line) {
        return [line, b"\n"].concat();
    }
    let parsed: Option<Value> = raw.and_then(|value| serde_json::from_slice(value).ok());
    let value = parsed.unwrap_or_else(|| {
        json!({
            "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
            "key": message.key().map(String::from_utf8_lossy), "raw": raw.map(|raw| BASE64_STANDARD.encode(raw)),
        })
    });
    format!("{value}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{OwnedMessage, Timestamp as Written};

    use super::*;

    fn message(topic: &str, value: Option<&str>) -> OwnedMessage {
        let value = value.map(|value| value.as_bytes().to_vec());
        let at = Written::CreateTime(1_769_860_800_000);
        OwnedMessage::new(
            value,
            Some(b"o-1".to_vec()),
            topic.to_owned(),
            at,
            2,
            17,
            None,
        )
    }

    #[test]
    fn an_event_is_told_by_what_happened() {
        let value = r#"{"type":"order.OrderCancelled.v1","timestamp":"2026-01-31T12:00:00.5Z","payload":{"reason":"timeout"}}"#;
        let line = human(
            &message("order.OrderCancelled.v1", Some(value)),
            Paint::none(),
        );
        assert_eq!(
            line,
            "2026-01-31 12:00:00.500  OrderCancelled          o-1  2/17  timeout\n"
        );
    }

    #[test]
    fn what_is_no_event_is_shown_as_it_is_with_the_broker_s_time() {
        let line = human(
            &message("order.OrderCreated.v1.dlq", Some("oops\n")),
            Paint::none(),
        );
        assert_eq!(
            line,
            "2026-01-31 12:00:00.000  OrderCreated.dlq        o-1  2/17  no event: oops\\n\n"
        );
        let line = human(&message("mine", None), Paint::none());
        assert!(line.ends_with("no value\n"), "{line}");
    }

    #[test]
    fn a_line_of_json_is_the_value_itself() {
        let line = |value| String::from_utf8(json_line(&message("t", value))).unwrap();
        assert_eq!(
            line(Some(r#"{"b": 1.0, "a":2}"#)),
            "{\"b\": 1.0, \"a\":2}\n"
        );
        assert_eq!(line(Some("[1,\n 2]")), "[1,2]\n");
    }

    #[test]
    fn a_line_of_something_else_says_where_it_stood() {
        let line =
            |value| serde_json::from_slice::<Value>(&json_line(&message("t", value))).unwrap();
        let oops = line(Some("oops"));
        assert_eq!(
            (&oops["offset"], &oops["raw"]),
            (&json!(17), &json!("b29wcw=="))
        );
        assert_eq!(line(None)["raw"], Value::Null);
    }
}
