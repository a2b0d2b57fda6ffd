//! What goes into one batch: the writes whose documents are at the expected version, and their index entries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fjall::OwnedWriteBatch;

use crate::embedded::engine::Collection;
use crate::embedded::failure::Failure;
use crate::embedded::queue::Reply;
use crate::embedded::record::{self, Change, Record};
use crate::embedded::versions::{Known, Versions};
use crate::{Index, SaveResult, Write};

/// A batch takes no further request once it has so many documents or bytes.
const BATCH_DOCUMENTS_MAX: usize = 4096;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The batch that is being put together, and who waits for it.
pub(super) struct Batch {
    /// Batches are numbered from 1 on.
    pub(super) number: u64,
    pub(super) writes: OwnedWriteBatch,
    pub(super) answers: Vec<(Reply<Vec<SaveResult>>, Vec<SaveResult>)>,
    documents: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(number: u64, writes: OwnedWriteBatch) -> Self {
        Self {
            number,
            writes,
            answers: Vec::new(),
            documents: 0,
            bytes: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.documents >= BATCH_DOCUMENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

/// A collection, and what the batch changes in it.
pub(super) struct Writing {
    collection: Arc<Collection>,
    versions: Versions,
    count: u64,
    lowest_due: i64,
    is_in_batch: bool,
}

impl Writing {
    pub(super) fn new(collection: Arc<Collection>) -> Self {
        Self {
            count: collection.count.load(Ordering::Acquire),
            collection,
            versions: Versions::default(),
            lowest_due: i64::MAX,
            is_in_batch: false,
        }
    }

    /// What becomes of each write, or nothing when this batch already writes one of the documents.
    pub(super) fn compare(
        &mut self,
        writes: &[Write],
        batch: &Batch,
    ) -> Result<Option<Vec<SaveResult>>, Failure> {
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            let version = match self.versions.get(&write.id) {
                Some(known) if known.batch == batch.number => return Ok(None),
                Some(known) => known.version,
                None => self.look_up(&write.id)?,
            };
            results.push(if version == write.expected {
                SaveResult::Saved
            } else {
                SaveResult::Conflict
            });
        }
        Ok(Some(results))
    }

    /// The version of a document that is not remembered; 0 when there is none.
    fn look_up(&mut self, id: &str) -> Result<u64, Failure> {
        let Some(bytes) = self.collection.documents.get(id)? else {
            return Ok(0);
        };
        let record = Record::decode(&bytes).and_then(|record| {
            let index = record.index()?;
            Ok((record.version, index))
        });
        let (version, index) = record.map_err(|error| Failure::Document {
            id: id.to_owned(),
            source: Arc::new(error),
        })?;
        let known = Known {
            version,
            index,
            batch: 0,
        };
        self.versions.put(id, known);
        Ok(version)
    }

    /// Puts a write whose document is at the expected version into the batch, unless the batch wrote it already.
    pub(super) fn set(&mut self, write: &Write, batch: &mut Batch) -> SaveResult {
        let known = self.versions.get(&write.id);
        if known.as_ref().is_some_and(|k| k.batch == batch.number) {
            return SaveResult::Conflict;
        }
        let Collection {
            documents, index, ..
        } = &*self.collection;
        let version = write.expected + 1;
        let document = record::encode(version, &write.index, &write.body);
        batch.documents += 1;
        batch.bytes += document.len();
        batch.writes.insert(documents, write.id.as_str(), document);

        let unlisted = Index::default();
        let before = known.as_ref().map_or(&unlisted, |known| &known.index);
        record::reindex(&write.id, before, &write.index, |change| match change {
            Change::Remove(key) => batch.writes.remove(index, key),
            Change::Insert(key) => batch.writes.insert(index, key, []),
        });
        if let Some(due) = write.index.due
            && before.due != write.index.due
        {
            self.lowest_due = self.lowest_due.min(due);
        }
        self.is_in_batch = true;
        self.count += u64::from(write.expected == 0);
        if let Some(known) = known {
            known.version = version;
            known.batch = batch.number;
            known.index.clone_from(&write.index);
        } else {
            let known = Known {
                version,
                index: write.index.clone(),
                batch: batch.number,
            };
            self.versions.put(&write.id, known);
        }
        SaveResult::Saved
    }

    /// Puts the removal of a document that has this version into the batch.
    pub(super) fn remove(
        &mut self,
        id: &str,
        version: u64,
        batch: &mut Batch,
    ) -> Result<SaveResult, Failure> {
        if self.versions.get(id).is_none() {
            self.look_up(id)?;
        }
        let Some(known) = self.versions.get(id).filter(|k| k.version == version) else {
            return Ok(SaveResult::Conflict);
        };
        if version == 0 {
            return Ok(SaveResult::Conflict);
        }
        let Collection {
            documents, index, ..
        } = &*self.collection;
        batch.writes.remove(documents, id);
        let unlisted = Index::default();
        record::reindex(id, &known.index, &unlisted, |change| {
            if let Change::Remove(key) = change {
                batch.writes.remove(index, key);
            }
        });
        *known = Known {
            version: 0,
            index: unlisted,
            batch: batch.number,
        };
        self.is_in_batch = true;
        self.count -= 1;
        Ok(SaveResult::Saved)
    }

    /// Adds what is written once per batch.
    pub(super) fn before_commit(&self, batch: &mut Batch) {
        if !self.is_in_batch {
            return;
        }
        let Collection { index, count, .. } = &*self.collection;
        if count.load(Ordering::Acquire) != self.count {
            let count = self.count.to_be_bytes();
            batch.writes.insert(index, record::COUNT_KEY, count);
        }
        self.collection.due_floor.committing(self.lowest_due);
    }

    pub(super) fn after_commit(&mut self, is_committed: bool) {
        if !std::mem::take(&mut self.is_in_batch) {
            return;
        }
        self.collection.due_floor.committed();
        if is_committed {
            let count = &self.collection.count;
            count.store(self.count, Ordering::Release);
        }
        self.lowest_due = i64::MAX;
        self.versions.age();
    }
}
