//! A store that fails on demand.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use sagaline_contracts::OrderId;
use sagaline_saga::OrderRecord;
use sagaline_store::{ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};
use tokio::sync::Semaphore;

use crate::domain::{COLLECTION, Order};

/// A store in memory that fails, or holds saves back, on demand.
pub(crate) struct TestStore {
    pub(crate) inner: MemoryStore,
    pub(crate) down: AtomicBool,
    /// Whoever saves needs a permit.
    pub(crate) gate: Semaphore,
    pub(crate) saves: AtomicUsize,
    /// A save whose acknowledgement is lost: done, but reported as an outage.
    pub(crate) lose_ack: AtomicBool,
}

impl Default for TestStore {
    fn default() -> Self {
        Self {
            inner: MemoryStore::default(),
            down: AtomicBool::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            saves: AtomicUsize::default(),
            lose_ack: AtomicBool::default(),
        }
    }
}

fn store_outage() -> StoreError {
    StoreError::Unavailable {
        operation: "do as the test asks".into(),
        source: "it is down".into(),
    }
}

impl TestStore {
    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            Err(store_outage())
        } else {
            Ok(())
        }
    }

    pub(crate) async fn put(&self, id: &str, record: &OrderRecord<Order>) {
        let write = Write {
            id: id.to_owned(),
            expected: 0,
            body: serde_json::to_vec(record).unwrap().into(),
            index: sagaline_store::Index::default(),
        };
        let saved = self.inner.save(COLLECTION, vec![write]).await.unwrap();
        assert_eq!(saved, [SaveResult::Saved]);
    }

    pub(crate) async fn record(&self, id: &OrderId) -> Option<OrderRecord<Order>> {
        let stored = self.inner.load(COLLECTION, &[id.as_str()]).await.unwrap();
        stored[0]
            .as_ref()
            .map(|stored| serde_json::from_slice(&stored.body).unwrap())
    }
}

#[async_trait]
impl Store for TestStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.check()?;
        self.inner.load(collection, ids).await
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        let permit = self.gate.acquire().await.map_err(|_| store_outage())?;
        self.check()?;
        self.saves.fetch_add(1, Ordering::SeqCst);
        let mut ids: Vec<_> = writes.iter().map(|write| write.id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), writes.len(), "a save names an id once");
        let saved = self.inner.save(collection, writes).await;
        drop(permit);
        if self.lose_ack.swap(false, Ordering::SeqCst) {
            return Err(store_outage());
        }
        saved
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.check()?;
        self.inner.due(collection, now, limit).await
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        self.inner.list(collection, query).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.inner.scan(collection, after, limit).await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.inner.count(collection).await
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        self.inner.count_tagged(collection, tag).await
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        self.inner.remove(collection, documents).await
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        self.inner.clear(collection).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()
    }
}
