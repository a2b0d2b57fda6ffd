//! The sorted sets that documents are found by.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::Index;
use crate::memory::collection::{Document, Id};

/// Documents by a number: a due time or a rank.
pub(super) type Ordered = BTreeSet<(i64, Id)>;

/// The sorted sets.
#[derive(Debug, Default)]
pub(super) struct Finder {
    pub(super) due: Ordered,
    pub(super) ranked: Ordered,
    pub(super) tagged: HashMap<Arc<str>, Ordered, RandomState>,
}

impl Finder {
    /// Moves the document's entries to where `to` says; an entry that stays is not touched.
    pub(super) fn reindex(&mut self, document: &mut Document, to: &Index) {
        let id = &document.id;
        move_entry(&mut self.due, id, document.due, to.due);
        document.due = to.due;

        let same_tag = document.tag.as_deref() == to.tag.as_deref();
        if document.rank == to.rank && same_tag {
            return;
        }
        move_entry(&mut self.ranked, id, document.rank, to.rank);
        if let (Some(tag), Some(rank)) = (&document.tag, document.rank) {
            self.untag(tag, rank, id);
        }
        if let (Some(tag), Some(rank)) = (&to.tag, to.rank) {
            self.tag(tag, rank, id);
        }
        document.rank = to.rank;
        if !same_tag {
            document.tag = to.tag.as_deref().map(|tag| self.shared_tag(tag));
        }
    }

    fn tag(&mut self, tag: &str, rank: i64, id: &Id) {
        let entry = (rank, Arc::clone(id));
        if let Some(ordered) = self.tagged.get_mut(tag) {
            ordered.insert(entry);
        } else {
            self.tagged.insert(tag.into(), Ordered::from([entry]));
        }
    }

    fn untag(&mut self, tag: &str, rank: i64, id: &Id) {
        let Some(ordered) = self.tagged.get_mut(tag) else {
            return;
        };
        ordered.remove(&(rank, Arc::clone(id)));
        if ordered.is_empty() {
            self.tagged.remove(tag);
        }
    }

    fn shared_tag(&self, tag: &str) -> Arc<str> {
        match self.tagged.get_key_value(tag) {
            Some((shared, _)) => Arc::clone(shared),
            None => tag.into(),
        }
    }
}

fn move_entry(ordered: &mut Ordered, id: &Id, from: Option<i64>, to: Option<i64>) {
    if from == to {
        return;
    }
    if let Some(at) = from {
        ordered.remove(&(at, Arc::clone(id)));
    }
    if let Some(at) = to {
        ordered.insert((at, Arc::clone(id)));
    }
}
