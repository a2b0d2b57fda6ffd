//! A store in memory: as fast as it gets, gone with the process, and bounded by forgetting settled documents.

mod collection;
mod finder;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::memory::collection::Collection;
use crate::{ListQuery, SaveResult, Store, StoreError, Stored, Write, port};

/// How much a [`MemoryStore`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Settled documents kept per collection; beyond it, those that settled first are forgotten.
    pub settled_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            settled_max: 100_000,
        }
    }
}

/// Documents in memory. Every collection has one lock, held for a batch at a time and never across an await.
#[derive(Debug)]
pub struct MemoryStore {
    limits: MemoryLimits,
    collections: RwLock<HashMap<Box<str>, Arc<RwLock<Collection>>, RandomState>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            collections: RwLock::default(),
        }
    }

    /// The collection, if anything was ever saved to it.
    fn existing(&self, name: &str) -> Option<Arc<RwLock<Collection>>> {
        self.collections.read().get(name).cloned()
    }

    fn existing_or_new(&self, name: &str) -> Arc<RwLock<Collection>> {
        if let Some(collection) = self.existing(name) {
            return collection;
        }
        let mut collections = self.collections.write();
        let collection = collections.entry(name.into()).or_insert_with(|| {
            let empty = Collection::new(self.limits.settled_max);
            Arc::new(RwLock::new(empty))
        });
        Arc::clone(collection)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(MemoryLimits::default())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        Ok(match self.existing(collection) {
            Some(collection) => collection.read().load(ids),
            None => vec![None; ids.len()],
        })
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        port::check(collection, &writes)?;
        let collection = self.existing_or_new(collection);
        let mut replaced = Vec::with_capacity(writes.len());
        let results = collection.write().save(writes, &mut replaced);
        // what was replaced is freed here, after the lock
        drop(replaced);
        Ok(results)
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        Ok(match self.existing(collection) {
            Some(collection) => collection.read().due(now, limit),
            None => Vec::new(),
        })
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        Ok(match self.existing(collection) {
            Some(collection) => collection.read().list(&query),
            None => Vec::new(),
        })
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        Ok(match self.existing(collection) {
            Some(collection) => collection.read().scan(after, limit),
            None => Vec::new(),
        })
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        Ok(match self.existing(collection) {
            Some(collection) => collection.read().len() as u64,
            None => 0,
        })
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        Ok(match self.existing(collection) {
            Some(collection) => collection.read().tagged(tag) as u64,
            None => 0,
        })
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        if let Some(collection) = self.existing(collection) {
            let removed = collection.write().remove(&documents);
            drop(removed);
        }
        Ok(())
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        if let Some(collection) = self.existing(collection) {
            let empty = Collection::new(self.limits.settled_max);
            let full = std::mem::replace(&mut *collection.write(), empty);
            drop(full);
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
