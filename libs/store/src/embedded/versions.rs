//! What the writer remembers of documents, to compare without reading them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::Index;

/// Documents remembered per collection, twice over.
const GENERATION_MAX: usize = 32_768;

/// A document as of the last write.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) version: u64,
    pub(super) index: Index,
    /// The batch that wrote it, or 0.
    pub(super) batch: u64,
}

type Generation = HashMap<Box<str>, Known, RandomState>;

/// The documents used most recently, in two generations: a full one replaces the one before.
#[derive(Debug, Default)]
pub(super) struct Versions {
    young: Generation,
    old: Generation,
}

impl Versions {
    /// What is remembered of a document.
    pub(super) fn get(&mut self, id: &str) -> Option<&mut Known> {
        if !self.young.contains_key(id)
            && let Some((id, known)) = self.old.remove_entry(id)
        {
            self.young.insert(id, known);
        }
        self.young.get_mut(id)
    }

    /// Remembers a document.
    pub(super) fn put(&mut self, id: &str, known: Known) {
        self.young.insert(id.into(), known);
    }

    /// Forgets the older generation when the younger one is full. Not to be called in the middle of a batch, whose
    /// documents are known from here alone until it is committed.
    pub(super) fn age(&mut self) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(version: u64) -> Known {
        Known {
            version,
            index: Index::default(),
            batch: 0,
        }
    }

    #[test]
    fn a_document_in_use_stays_and_one_that_is_not_goes() {
        let mut versions = Versions::default();
        versions.put("used", known(7));
        versions.put("unused", known(8));
        for round in 0..3 {
            for n in 0..GENERATION_MAX {
                versions.put(&format!("{round}-{n}"), known(1));
            }
            versions.age();
            assert_eq!(versions.get("used").map(|known| known.version), Some(7));
        }
        assert!(versions.get("unused").is_none());
        assert!(versions.young.len() + versions.old.len() <= 2 * GENERATION_MAX + 2);
    }
}
