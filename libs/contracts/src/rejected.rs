//! Why a message is no event of the contract.

use crate::EventType;

const REASON_CHARS_MAX: usize = 1_000;

/// A message that was refused at the border, with a reason that a person understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    /// What sort of mistake it is.
    pub kind: RejectedKind,
    /// What is wrong, naming the field where there is one.
    pub reason: String,
}

/// The sorts of mistakes a message can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectedKind {
    /// The message has no value.
    NoValue,
    /// The message has no usable key.
    NoKey,
    /// The value is not UTF-8 or not JSON.
    NotJson,
    /// The envelope or the payload breaks its schema.
    Schema,
    /// The envelope's version is not one that we know.
    UnknownVersion,
    /// The envelope's type is not the topic's.
    WrongTopic,
    /// Key, envelope and payload disagree about the order.
    KeyMismatch,
}

impl RejectedKind {
    /// The kind as a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "no_value",
            Self::NoKey => "no_key",
            Self::NotJson => "not_json",
            Self::Schema => "schema",
            Self::UnknownVersion => "unknown_version",
            Self::WrongTopic => "wrong_topic",
            Self::KeyMismatch => "key_mismatch",
        }
    }
}

/// A reason quotes the message, and stands in logs and before people: what it quotes must neither begin a line of its own nor
/// speak to a terminal.
fn on_one_line(reason: String) -> String {
    let breaks_out = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !reason.contains(breaks_out) {
        return reason;
    }
    let mut line = String::with_capacity(reason.len() + 16);
    for c in reason.chars() {
        if breaks_out(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

impl Rejected {
    pub(crate) fn new(kind: RejectedKind, reason: impl Into<String>) -> Self {
        let mut reason = on_one_line(reason.into());
        // A reason quotes the message, which may be a megabyte, and stands in a dead letter beside it.
        if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
            reason.truncate(end);
            reason.push('…');
        }
        Self { kind, reason }
    }

    pub(crate) fn wrong_topic(topic: EventType, found: &str) -> Self {
        Self::new(
            RejectedKind::WrongTopic,
            format!("type is {found:?}, but topic {topic} carries only {topic}"),
        )
    }
}
