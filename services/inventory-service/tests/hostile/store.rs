//! A store that gives way to the others before every single write, and fails at times.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_service::{ORDERS, STOCK};
use sagaline_store::{ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};

use super::dice::Dice;
use super::world::World;

/// What one instance sees of the store that all share.
pub(crate) struct HostileStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) world: Arc<World>,
    pub(crate) dice: Arc<Dice>,
    /// Per mille of calls.
    pub(crate) faults: usize,
}

impl HostileStore {
    /// Gives way, then fails at times.
    async fn turn(&self, operation: &str) -> Result<(), StoreError> {
        futures::pending!();
        if self.dice.per_mille(self.faults) {
            return Err(self.fault(operation));
        }
        Ok(())
    }

    fn fault(&self, operation: &str) -> StoreError {
        self.world.tally(|tally| tally.faults += 1);
        StoreError::Unavailable {
            operation: operation.to_owned(),
            source: "a fault on purpose".into(),
        }
    }
}

#[async_trait]
impl Store for HostileStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.turn("load").await?;
        self.inner.load(collection, ids).await
    }

    /// One document at a time, as a sharded store does it.
    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        let mut results = Vec::new();
        for write in writes {
            self.turn("save").await?;
            let (id, body) = (write.id.clone(), write.body.clone());
            let saved = self.inner.save(collection, vec![write]).await?;
            if saved == [SaveResult::Saved] {
                match collection {
                    STOCK => self.world.stock_is_saved(&body),
                    ORDERS => self.world.order_is_saved(&id, &body),
                    other => panic!("nobody writes {other}"),
                }
            } else {
                self.world.tally(|tally| match collection {
                    STOCK => tally.stock_conflicts += 1,
                    _ => tally.order_conflicts += 1,
                });
            }
            results.extend(saved);
        }
        // The answer is lost although it happened.
        if self.dice.per_mille(self.faults) {
            return Err(self.fault("save"));
        }
        Ok(results)
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.turn("due").await?;
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
        Ok(())
    }
}
