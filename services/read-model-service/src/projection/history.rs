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

/// What is kept of all but the first.
pub(super) trait Shorten: Serialize + Clone + PartialEq {
    /// The same in bounded size. What is short already stays as it is.
    fn shortened(&self) -> Self {
        self.clone()
    }
}

impl<T: Shorten> Dated<T> {
    /// Which of two of the same id counts: it must not depend on which came first, nor on which was shortened before.
    fn content(&self) -> (Timestamp, String, String) {
        let text = |what: &T| serde_json::to_string(what).unwrap_or_default();
        (self.at, text(&self.what.shortened()), text(&self.what))
    }
}

/// Merges `from` into `into`, and keeps the earliest of them, the first one whole. What is kept depends on the set alone: one that
/// is not the first never will be again.
pub(super) fn unite<T: Shorten>(into: &mut Vec<Dated<T>>, from: Vec<Dated<T>>, max: usize) {
    for new in from {
        match into.iter_mut().find(|known| known.event_id == new.event_id) {
            None => into.push(new),
            Some(known) if known.what == new.what && known.at <= new.at => {}
            Some(known) if new.content() < known.content() => *known = new,
            Some(_) => {}
        }
    }
    into.sort_by(|a, b| (a.at, &a.event_id).cmp(&(b.at, &b.event_id)));
    into.truncate(max);
    for later in into.iter_mut().skip(1) {
        later.what = later.what.shortened();
    }
}
