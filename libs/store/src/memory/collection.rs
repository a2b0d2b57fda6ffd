//! One collection: its documents and the sorted sets that they are found by.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::memory::finder::Finder;
use crate::{Index, ListQuery, SaveResult, Stored, Write};

/// An id, shared by the document and every index entry that points at it.
pub(super) type Id = Arc<str>;

/// Stale entries that the settled queue may hold before it is worth sweeping them out.
const STALE_ENTRIES_MIN: usize = 1024;

#[derive(Debug)]
pub(super) struct Document {
    pub(super) id: Id,
    version: u64,
    body: Bytes,
    pub(super) due: Option<i64>,
    pub(super) rank: Option<i64>,
    pub(super) tag: Option<Arc<str>>,
    /// Which entry of the settled queue stands for this document, while it is settled.
    settled_as: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Collection {
    documents: HashMap<Id, Document, RandomState>,
    finder: Finder,
    settled: SettledQueue,
}

impl Collection {
    pub(super) fn new(settled_max: usize) -> Self {
        Self {
            documents: HashMap::default(),
            finder: Finder::default(),
            settled: SettledQueue::new(settled_max),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn load(&self, ids: &[&str]) -> Vec<Option<Stored>> {
        ids.iter().map(|id| self.get(id)).collect()
    }

    /// Applies the writes; bodies that are not needed any more go to `replaced`.
    pub(super) fn save(
        &mut self,
        writes: Vec<Write>,
        replaced: &mut Vec<Bytes>,
    ) -> Vec<SaveResult> {
        let results = writes
            .into_iter()
            .map(|write| self.save_one(write, replaced))
            .collect();
        self.forget_oldest_settled(replaced);
        results
    }

    fn save_one(&mut self, write: Write, replaced: &mut Vec<Bytes>) -> SaveResult {
        if write.expected > 0 {
            let Some(document) = self.documents.get_mut(write.id.as_str()) else {
                return SaveResult::Conflict;
            };
            if document.version != write.expected {
                return SaveResult::Conflict;
            }
            document.version += 1;
            replaced.push(std::mem::replace(&mut document.body, write.body));
            if document.moves(&write.index) {
                self.finder.reindex(document, &write.index);
                self.settled.follow(document, write.index.settled);
            }
            return SaveResult::Saved;
        }
        let id = Id::from(write.id);
        let Entry::Vacant(vacant) = self.documents.entry(Arc::clone(&id)) else {
            return SaveResult::Conflict;
        };
        let document = vacant.insert(Document {
            id,
            version: 1,
            body: write.body,
            due: None,
            rank: None,
            tag: None,
            settled_as: None,
        });
        self.finder.reindex(document, &write.index);
        self.settled.follow(document, write.index.settled);
        SaveResult::Saved
    }

    fn forget_oldest_settled(&mut self, replaced: &mut Vec<Bytes>) {
        while self.settled.is_over_limit() {
            let Some((entry, id)) = self.settled.queue.pop_front() else {
                return;
            };
            let stands_for = |document: &Document| document.settled_as == Some(entry);
            if !self.documents.get(&id).is_some_and(stands_for) {
                continue;
            }
            if let Some(mut document) = self.documents.remove(&id) {
                self.finder.reindex(&mut document, &Index::default());
                self.settled.live -= 1;
                replaced.push(document.body);
            }
        }
        self.settled.sweep(&self.documents);
    }

    /// Removes the documents that have these versions; gives their bodies.
    pub(super) fn remove(&mut self, documents: &[(String, u64)]) -> Vec<Bytes> {
        let mut bodies = Vec::new();
        for (id, version) in documents {
            let Entry::Occupied(found) = self.documents.entry(Id::from(id.as_str())) else {
                continue;
            };
            if found.get().version != *version {
                continue;
            }
            let mut document = found.remove();
            self.finder.reindex(&mut document, &Index::default());
            self.settled.follow(&mut document, false);
            bodies.push(document.body);
        }
        bodies
    }

    pub(super) fn tagged(&self, tag: &str) -> usize {
        self.finder.tagged.get(tag).map_or(0, BTreeSet::len)
    }

    pub(super) fn due(&self, now: i64, limit: usize) -> Vec<Stored> {
        let entries = self.finder.due.iter();
        self.fetch(entries.take_while(|(due, _)| *due <= now).take(limit))
    }

    pub(super) fn list(&self, query: &ListQuery) -> Vec<Stored> {
        let ordered = match &query.tag {
            None => &self.finder.ranked,
            Some(tag) => match self.finder.tagged.get(tag.as_str()) {
                Some(ordered) => ordered,
                None => return Vec::new(),
            },
        };
        let end = match &query.after {
            None => Bound::Unbounded,
            Some(after) => Bound::Excluded((after.rank, Id::from(after.id.as_str()))),
        };
        let page = ordered.range((Bound::Unbounded, end)).rev();
        self.fetch(page.take(query.limit))
    }

    /// Looks at every id: a sorted set of ids would make each insert dearer for the sake of a rare question.
    pub(super) fn scan(&self, after: Option<&str>, limit: usize) -> Vec<Stored> {
        let mut lowest: BinaryHeap<&str> = BinaryHeap::new();
        for id in self.documents.keys().map(|id| &**id) {
            if after.is_some_and(|after| id <= after) {
                continue;
            }
            if lowest.len() < limit {
                lowest.push(id);
            } else if let Some(mut highest) = lowest.peek_mut()
                && id < *highest
            {
                *highest = id;
            }
        }
        let ids = lowest.into_sorted_vec();
        ids.into_iter().filter_map(|id| self.get(id)).collect()
    }

    fn get(&self, id: &str) -> Option<Stored> {
        self.documents.get(id).map(|document| Stored {
            id: id.to_owned(),
            version: document.version,
            body: document.body.clone(),
        })
    }

    fn fetch<'a>(&self, entries: impl Iterator<Item = &'a (i64, Id)>) -> Vec<Stored> {
        entries.filter_map(|(_, id)| self.get(id)).collect()
    }
}

impl Document {
    fn moves(&self, to: &Index) -> bool {
        self.due != to.due
            || self.rank != to.rank
            || self.settled_as.is_some() != to.settled
            || self.tag.as_deref() != to.tag.as_deref()
    }
}

/// Settled documents, the one that settled first in front. A document that is unsettled again leaves a stale entry.
#[derive(Debug)]
struct SettledQueue {
    queue: VecDeque<(u64, Id)>,
    live: usize,
    live_max: usize,
    next_entry: u64,
}

impl SettledQueue {
    fn new(live_max: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            live: 0,
            live_max,
            next_entry: 0,
        }
    }

    fn follow(&mut self, document: &mut Document, settled: bool) {
        if document.settled_as.is_some() == settled {
            return;
        }
        if settled {
            document.settled_as = Some(self.next_entry);
            let id = Arc::clone(&document.id);
            self.queue.push_back((self.next_entry, id));
            self.next_entry += 1;
            self.live += 1;
        } else {
            document.settled_as = None;
            self.live -= 1;
        }
    }

    fn is_over_limit(&self) -> bool {
        self.live > self.live_max
    }

    /// Drops the stale entries once they are the greater part, so that each is paid for by one write.
    fn sweep(&mut self, documents: &HashMap<Id, Document, RandomState>) {
        if self.queue.len() <= 2 * self.live + STALE_ENTRIES_MIN {
            return;
        }
        self.queue.retain(|(entry, id)| {
            documents
                .get(id)
                .is_some_and(|document| document.settled_as == Some(*entry))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(id: &str, expected: u64, settled: bool) -> Write {
        Write {
            id: id.to_owned(),
            expected,
            body: Bytes::from_static(b"{}"),
            index: Index {
                settled,
                ..Index::default()
            },
        }
    }

    #[test]
    fn stale_entries_of_the_settled_queue_are_bounded() {
        let mut collection = Collection::new(10);
        let mut version = 0;
        for _ in 0..5_000 {
            for settled in [true, false] {
                let results = collection.save(vec![write("a", version, settled)], &mut Vec::new());
                assert_eq!(results, [SaveResult::Saved]);
                version += 1;
            }
        }
        assert_eq!(collection.settled.live, 0);
        assert!(collection.settled.queue.len() <= STALE_ENTRIES_MIN);
    }

    #[test]
    fn forgetting_a_document_leaves_no_index_entry_behind() {
        let mut collection = Collection::new(0);
        let mut gone = write("a", 0, true);
        gone.index.due = Some(1);
        gone.index.rank = Some(2);
        gone.index.tag = Some("t".to_owned());
        collection.save(vec![gone], &mut Vec::new());
        assert_eq!(collection.len(), 0);
        assert!(collection.finder.due.is_empty());
        assert!(collection.finder.ranked.is_empty());
        assert!(collection.finder.tagged.is_empty());
        assert!(collection.settled.queue.is_empty());
    }
}
