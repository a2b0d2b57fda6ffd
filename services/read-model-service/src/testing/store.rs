//! A store in memory that counts, can be down, and lets others be faster.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_store::{ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};

/// What the store does before the next save.
type BeforeSave = Box<dyn FnOnce() -> futures::future::BoxFuture<'static, ()> + Send>;

/// A store in memory that counts, can be down, and lets others be faster.
#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) memory: MemoryStore,
    pub(crate) is_down: AtomicBool,
    /// The next save happens, and is not answered.
    pub(crate) loses_answer: AtomicBool,
    pub(crate) loads: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    /// The document that cannot be saved.
    pub(crate) refuses: Mutex<Option<String>>,
    pub(crate) before_save: Mutex<Option<BeforeSave>>,
    /// How many more saves go through, if that is limited.
    saves_left: Mutex<Option<usize>>,
}

fn down() -> StoreError {
    StoreError::Unavailable {
        operation: "do anything".to_owned(),
        source: "it is down".into(),
    }
}

impl FakeStore {
    /// So many saves more go through; the others fail.
    pub(crate) fn fail_after(&self, saves: usize) {
        *self.saves_left.lock() = Some(saves);
    }

    fn take_save(&self) -> Result<(), StoreError> {
        match &mut *self.saves_left.lock() {
            Some(0) => Err(down()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            Err(down())
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.check()?;
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.memory.load(collection, ids).await
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        self.check()?;
        self.take_save()?;
        if let Some(id) = self.refuses.lock().clone()
            && collection == crate::collections::ORDERS
            && writes.iter().any(|write| write.id == id)
        {
            return Err(StoreError::Unusable {
                collection: collection.to_owned(),
                id,
                source: "it is too large".into(),
            });
        }
        let before = self.before_save.lock().take();
        if let Some(before) = before {
            before().await;
        }
        self.writes.fetch_add(writes.len(), Ordering::Relaxed);
        let results = self.memory.save(collection, writes).await;
        if self.loses_answer.swap(false, Ordering::Relaxed) {
            return Err(down());
        }
        results
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.check()?;
        self.memory.due(collection, now, limit).await
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        self.check()?;
        self.memory.list(collection, query).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.check()?;
        self.memory.scan(collection, after, limit).await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.check()?;
        self.memory.count(collection).await
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        self.check()?;
        self.memory.count_tagged(collection, tag).await
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        self.check()?;
        self.memory.remove(collection, documents).await
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        self.check()?;
        self.memory.clear(collection).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()
    }
}
