//! What happened to something, as a set: each event once, the earliest first.

use sagaline_contracts::{EventId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dated<T> {
    pub(super) at: Timestamp,
    pub(super) event_id: EventId,
    #[serde(flatten)]
    pub(super) what: T,
}

impl<T: Serialize> Dated<T> {
    /// Which of two of the same id counts: it must not depend on which came first.
    fn content(&self) -> (Timestamp, String) {
        (
            self.at,
            serde_json::to_string(&self.what).unwrap_or_default(),
        )
    }
}

/// Merges `from` into `into`, and keeps the earliest of them. Which ones are kept depends on the set alone.
pub(super) fn unite<T: Serialize>(into: &mut Vec<Dated<T>>, from: Vec<Dated<T>>, max: usize) {
    for new in from {
        match into.iter_mut().find(|known| known.event_id == new.event_id) {
            None => into.push(new),
            Some(known) if new.content() < known.content() => *known = new,
            Some(_) => {}
        }
    }
    into.sort_by(|a, b| (a.at, &a.event_id).cmp(&(b.at, &b.event_id)));
    into.truncate(max);
}
