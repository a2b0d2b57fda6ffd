//! What the broker has acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use sagaline_contracts::EventId;

const REMEMBERED_MAX: usize = 200_000;

/// Event ids that are known to be acknowledged; the next save of their record takes them out of its outbox. It forgets
/// the oldest beyond a limit: then they are published once more, with the same ids.
#[derive(Clone, Default)]
pub struct AckedSet {
    ids: Arc<Mutex<(HashSet<EventId>, VecDeque<EventId>)>>,
}

impl AckedSet {
    /// These are acknowledged.
    pub fn insert(&self, acknowledged: impl IntoIterator<Item = EventId>) {
        let mut ids = self.ids.lock();
        for id in acknowledged {
            if ids.0.insert(id.clone()) {
                ids.1.push_back(id);
            }
        }
        while ids.1.len() > REMEMBERED_MAX {
            if let Some(oldest) = ids.1.pop_front() {
                ids.0.remove(&oldest);
            }
        }
    }

    /// Whether this one is.
    pub fn contains(&self, id: &EventId) -> bool {
        self.ids.lock().0.contains(id)
    }
}
