//! Any bytes at all: the decoder never panics, what it accepts survives the wire, and what it refuses it explains.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sagaline_contracts::{Event, EventType, OrderId, Rejected, examples, generate};

const REASON_MAX: usize = 1_001;

fn check(kind: EventType, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), TestCaseError> {
    match Event::decode(kind, key, value) {
        Ok(event) => survives(kind, &event),
        Err(rejected) => explains(&rejected),
    }
}

fn survives(kind: EventType, event: &Event) -> Result<(), TestCaseError> {
    let bytes = event.encode();
    let again = Event::decode(kind, Some(event.key().as_bytes()), Some(&bytes));
    prop_assert_eq!(again.as_ref(), Ok(event));
    prop_assert_eq!(again.unwrap().encode(), bytes);
    Ok(())
}

/// A reason is for a person, in a log, a dead letter and a terminal.
fn explains(rejected: &Rejected) -> Result<(), TestCaseError> {
    let reason = &rejected.reason;
    prop_assert!(
        !reason.trim().is_empty(),
        "{:?} without a reason",
        rejected.kind
    );
    prop_assert!(reason.chars().count() <= REASON_MAX);
    prop_assert!(
        !reason.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}' | '\u{2066}')),
        "a reason that breaks the line: {reason:?}"
    );
    Ok(())
}

/// What stands in events, and what ought not to.
const WORDS: [&str; 34] = [
    "\"eventId\"",
    "\"type\"",
    "\"version\"",
    "\"payload\"",
    "\"orderId\"",
    "\"items\"",
    "\"qty\"",
    "\"total\"",
    "\"attempt\"",
    "\"headers\"",
    "null",
    "true",
    "1",
    "-1",
    "0.1",
    "1e999",
    "-0.0",
    "9007199254740993",
    "18446744073709551616",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "\\u202e",
    "\u{1b}[2J",
    "\n",
    "\u{feff}",
    "NaN",
    "/*",
];

#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Insert(Vec<u8>),
    Remove(usize),
    Double(usize),
    Truncate,
    Nest(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        2 => any::<u8>().prop_map(Damage::Flip),
        4 => select(WORDS.to_vec()).prop_map(|word| Damage::Insert(word.into())),
        1 => prop::collection::vec(any::<u8>(), 1..5).prop_map(Damage::Insert),
        2 => (1..30_usize).prop_map(Damage::Remove),
        2 => (1..60_usize).prop_map(Damage::Double),
        1 => Just(Damage::Truncate),
        1 => (1..300_usize).prop_map(Damage::Nest),
    ]
}

fn apply(bytes: &mut Vec<u8>, at: Index, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    let end = |length: usize| (at + length).min(bytes.len());
    match damage {
        Damage::Flip(mask) => bytes[at] ^= mask,
        Damage::Insert(word) => drop(bytes.splice(at..at, word.iter().copied())),
        Damage::Remove(length) => drop(bytes.drain(at..end(*length))),
        Damage::Double(length) => {
            let part = bytes[at..end(*length)].to_vec();
            drop(bytes.splice(at..at, part));
        }
        Damage::Truncate => bytes.truncate(at),
        Damage::Nest(depth) => {
            // Around a value, where there is one: the next colon's.
            let Some(colon) = bytes[at..].iter().position(|byte| *byte == b':') else {
                return;
            };
            let at = at + colon + 1;
            let nested = format!("{}1{}", "[".repeat(*depth), "]".repeat(*depth));
            let nested = format!("{nested},\"unknown\":");
            drop(bytes.splice(at..at, nested.into_bytes()));
        }
    }
}

fn order() -> OrderId {
    OrderId::new("o-1").unwrap()
}

proptest! {
    #![proptest_config(generate::cases(20_000))]

    #[test]
    fn a_damaged_event_is_read_as_one_that_survives_or_refused_with_a_reason(
        event in generate::event(&order()),
        read_as in select(EventType::ALL),
        as_its_own in prop::bool::weighted(0.8),
        damages in prop::collection::vec((any::<Index>(), damage()), 0..6),
        key in prop_oneof![4 => Just(Some(b"o-1".to_vec())), 1 => any::<Option<Vec<u8>>>()],
    ) {
        let mut bytes = event.encode();
        for (at, damage) in &damages {
            apply(&mut bytes, *at, damage);
        }
        let kind = if as_its_own { event.event_type() } else { read_as };
        check(kind, key.as_deref(), Some(&bytes))?;
    }

    #[test]
    fn bytes_are_no_event(kind in select(EventType::ALL), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Event::decode(kind, Some(b"o-1"), Some(&bytes)).is_err());
        check(kind, None, Some(&bytes))?;
    }
}

proptest! {
    #[test]
    fn whatever_the_contract_allows_survives_the_wire(event in generate::event(&order())) {
        survives(event.event_type(), &event)?;
        check(event.event_type(), Some(b"o-1"), Some(&event.encode()))?;
    }
}

#[test]
fn the_corpus_is_read_as_every_type_without_a_panic_and_with_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/events");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        for kind in EventType::ALL {
            for key in [Some(&b"o-1"[..]), Some(b"\xff\x1b[2J\n"), None] {
                if let Err(broken) = check(*kind, key, Some(&bytes)) {
                    panic!("{}, read as {kind}: {broken}", file.display());
                }
            }
        }
        files += 1;
    }
    assert!(files > 20, "the corpus is not where it should be");
}

#[test]
fn a_message_without_a_value_is_refused_with_a_reason() {
    for kind in EventType::ALL {
        check(*kind, Some(b"o-1"), None).unwrap();
        let minimal = examples::minimal(*kind);
        check(
            *kind,
            Some(minimal.key().as_bytes()),
            Some(&minimal.encode()),
        )
        .unwrap();
    }
}
