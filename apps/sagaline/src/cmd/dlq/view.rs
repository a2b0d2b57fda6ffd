//! Dead letters as they are shown.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagaline_contracts::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::output::{Paint, Tone};
use crate::table::{Cell, Edge, Table, number};
use crate::text::{age, clipped, printable, time};

/// The beginning of a complaint that fits into a list.
const ERROR_CHARS_MAX: usize = 100;
/// The beginning of a message that is not JSON.
const RAW_CHARS_MAX: usize = 2_000;

/// A dead letter as the read model shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Letter {
    dead_letter_id: String,
    state: String,
    order_id: Option<String>,
    topic: String,
    partition: Option<i32>,
    offset: Option<i64>,
    original_event_id: String,
    error: String,
    payload: Value,
    raw: Option<String>,
    at: Timestamp,
    last_died_at: Timestamp,
    consumers: Vec<Copy>,
    decisions: Vec<Decision>,
}

/// How it stands at one service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Copy {
    consumer: String,
    error: String,
    attempts: u32,
    at: Timestamp,
    state: String,
}

/// What an operator decided.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Decision {
    at: Timestamp,
    #[serde(flatten)]
    what: Value,
}

fn state_tone(state: &str) -> Tone {
    match state {
        "waiting" => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// The list.
pub(super) fn table(letters: &[Box<RawValue>], now: Timestamp) -> Result<Table, serde_json::Error> {
    let mut table = Table::new(&[
        ("DEAD LETTER", Edge::Left),
        ("STATE", Edge::Left),
        ("TOPIC", Edge::Left),
        ("ORDER", Edge::Left),
        ("AT", Edge::Left),
        ("TRIES", Edge::Right),
        ("AGE", Edge::Right),
        ("ERROR", Edge::Left),
    ]);
    for letter in letters {
        let letter: Letter = serde_json::from_str(letter.get())?;
        let services: Vec<&str> = letter
            .consumers
            .iter()
            .map(|copy| copy.consumer.as_str())
            .collect();
        let tries = letter.consumers.iter().map(|copy| copy.attempts).max();
        table.row([
            Cell::from(&letter.dead_letter_id),
            Cell::toned(&letter.state, state_tone(&letter.state)),
            Cell::from(&letter.topic),
            Cell::from(letter.order_id.as_deref().unwrap_or("-")),
            Cell::from(services.join(",")),
            number(tries.unwrap_or(1)),
            Cell::from(age(letter.last_died_at, now)),
            Cell::from(clipped(&letter.error, ERROR_CHARS_MAX)),
        ]);
    }
    Ok(table)
}

/// One with all that is known of it.
pub(super) fn whole(letter: &Letter, now: Timestamp, paint: Paint) -> String {
    let mut text = format!(
        "{}  {}\n",
        paint.tone(Tone::Bold, &printable(&letter.dead_letter_id)),
        paint.tone(state_tone(&letter.state), &printable(&letter.state)),
    );
    let place = match (letter.partition, letter.offset) {
        (Some(partition), Some(offset)) => format!("{} [{partition}] at {offset}", letter.topic),
        _ => letter.topic.clone(),
    };
    let died = format!("{}, {} ago", time(letter.at), age(letter.at, now));
    for (label, said) in [
        ("message", place.as_str()),
        ("event", &letter.original_event_id),
        ("order", letter.order_id.as_deref().unwrap_or("-")),
        ("died", &died),
        ("error", &letter.error),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {label:<8} {}", printable(said));
    }
    text.push('\n');
    text.push_str(&services(letter).render(paint));
    if !letter.decisions.is_empty() {
        text.push('\n');
        text.push_str(&decisions(letter).render(paint));
    }
    text.push('\n');
    text.push_str(&message(letter));
    text
}

fn services(letter: &Letter) -> Table {
    let mut table = Table::new(&[
        ("SERVICE", Edge::Left),
        ("STATE", Edge::Left),
        ("TRIES", Edge::Right),
        ("DIED", Edge::Left),
        ("ERROR", Edge::Left),
    ]);
    for copy in &letter.consumers {
        table.row([
            Cell::from(if copy.consumer.is_empty() {
                "-"
            } else {
                &copy.consumer
            }),
            Cell::toned(&copy.state, state_tone(&copy.state)),
            number(copy.attempts),
            Cell::from(time(copy.at)),
            Cell::from(&copy.error),
        ]);
    }
    table
}

fn decisions(letter: &Letter) -> Table {
    let mut table = Table::new(&[
        ("DECIDED", Edge::Left),
        ("WHAT", Edge::Left),
        ("BY", Edge::Left),
    ]);
    for decision in &letter.decisions {
        let text = |field: &str| decision.what[field].as_str().unwrap_or("").to_owned();
        let edited = decision.what["edited"] == true;
        let what = text("action") + if edited { ", edited" } else { "" };
        table.row([
            Cell::from(time(decision.at)),
            Cell::from(what),
            Cell::from(text("requestedBy")),
        ]);
    }
    table
}

/// The message: its payload as JSON, or the beginning of what it was.
fn message(letter: &Letter) -> String {
    if let Some(raw) = &letter.raw {
        let bytes = BASE64_STANDARD
            .decode(raw)
            .unwrap_or_else(|_| raw.clone().into_bytes());
        let text = String::from_utf8_lossy(&bytes);
        let text = printable(clipped(&text, RAW_CHARS_MAX).as_ref()).into_owned();
        return format!("not JSON, {} bytes: {text}", bytes.len());
    }
    let pretty = serde_json::to_string_pretty(&letter.payload).unwrap_or_default();
    let lines: Vec<_> = pretty.lines().map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    fn letter() -> Value {
        json!({
            "_id": "l-1", "deadLetterId": "l-1", "state": "waiting", "orderId": "o-1", "topic": "payment.PaymentFailed.v1",
            "partition": 1, "offset": 7, "originalType": "payment.PaymentFailed.v1", "originalEventId": "e-1",
            "error": "payload.reason: 7 is not a string", "payload": { "orderId": "o-1", "reason": 7 },
            "at": "2026-01-31T12:00:00Z", "lastDiedAt": "2026-01-31T12:00:00Z", "updatedAt": "2026-01-31T12:00:00Z",
            "consumers": [{ "consumer": "order-service", "error": "no", "attempts": 3, "at": "2026-01-31T12:00:00Z", "state": "waiting" }],
            "deaths": [],
            "decisions": [{ "at": "2026-01-31T12:01:00Z", "eventId": "d-1", "action": "redrive", "requestedBy": "ann", "edited": true }],
        })
    }

    fn now() -> Timestamp {
        "2026-01-31T12:02:05Z".parse().unwrap()
    }

    #[test]
    fn a_dead_letter_is_a_row() {
        let letters = [to_raw_value(&letter()).unwrap()];
        let shown = table(&letters, now()).unwrap().render(Paint::none());
        let row = shown.lines().nth(1).unwrap();
        let row: Vec<&str> = row
            .split("  ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        let error = "payload.reason: 7 is not a string";
        assert_eq!(
            row,
            [
                "l-1",
                "waiting",
                "payment.PaymentFailed.v1",
                "o-1",
                "order-service",
                "3",
                "2m 05s",
                error
            ]
        );
    }

    #[test]
    fn one_is_shown_with_where_it_stood_what_was_decided_and_what_it_said() {
        let letter: Letter = serde_json::from_value(letter()).unwrap();
        let shown = whole(&letter, now(), Paint::none());
        for part in [
            "payment.PaymentFailed.v1 [1] at 7",
            "2026-01-31 12:01:00.000  redrive, edited  ann",
            "\"reason\": 7",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_message_that_is_not_json_is_shown_without_driving_the_terminal() {
        let letter = Letter {
            raw: Some(BASE64_STANDARD.encode("\u{1b}[2Jgone")),
            ..Letter::default()
        };
        assert_eq!(message(&letter), "not JSON, 8 bytes: \\u{1b}[2Jgone");
    }
}
