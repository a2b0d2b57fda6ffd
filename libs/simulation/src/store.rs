//! The store that all processes share, and what one process sees of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sagaline_store::{ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};

use crate::checker::is_conserved;
use crate::env::Env;
use crate::life::Life;
use crate::weather::{Climate, Dependency};

/// How long a call waits for a store that is down.
const PATIENCE_MS: u64 = 2_000;
/// When a save that was given up happens after all.
const LATE_MS: u64 = 3_000;

/// What one process sees of the store.
pub(crate) struct SimStore {
    pub(crate) shelf: Arc<MemoryStore>,
    pub(crate) env: Arc<Env>,
    pub(crate) life: Arc<Life>,
}

/// What becomes of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Partial,
    AckLost,
    Late,
    FalseConflict,
}

fn unavailable(operation: &str, why: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation: operation.to_owned(),
        source: why.into(),
    }
}

impl SimStore {
    /// The way to the store; the call may be lost on it.
    async fn arrive(&self, operation: &str) -> Result<(), StoreError> {
        self.life.before().await;
        let (latency, lost) = self.env.weather.read(|now| (now.store_ms, now.store_lost));
        self.env.take_time(&self.env.store_dice, latency).await;
        if self
            .env
            .fails_because_down(Dependency::Store, PATIENCE_MS)
            .await
        {
            self.life.after().await;
            return Err(unavailable(operation, "it is down"));
        }
        if self.env.store_dice.chance(lost) {
            self.env.fault("store call lost");
            self.life.after().await;
            return Err(unavailable(operation, "the connection broke"));
        }
        // Whoever was paused or died on the way did not arrive.
        self.life.before().await;
        Ok(())
    }

    fn fate(&self) -> Fate {
        let dice = &self.env.store_dice;
        self.env.weather.read(|now: &Climate| {
            if dice.chance(now.save_partial) {
                Fate::Partial
            } else if dice.chance(now.save_ack_lost) {
                Fate::AckLost
            } else if dice.chance(now.save_late) {
                Fate::Late
            } else if dice.chance(now.save_conflict) {
                Fate::FalseConflict
            } else {
                Fate::Fine
            }
        })
    }

    async fn apply(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        apply(&self.shelf, &self.env, self.life.id, collection, writes).await
    }
}

async fn apply(
    shelf: &MemoryStore,
    env: &Env,
    by: u64,
    collection: &str,
    writes: Vec<Write>,
) -> Result<Vec<SaveResult>, StoreError> {
    let mut seen = Vec::with_capacity(writes.len());
    for write in &writes {
        seen.push((write.id.clone(), write.expected + 1, write.body.clone()));
    }
    let results = shelf.save(collection, writes).await?;
    for ((id, version, body), result) in seen.iter().zip(&results) {
        let saved = *result == SaveResult::Saved;
        if saved && collection == inventory_service::STOCK && !is_conserved(body) {
            env.broken(format!(
                "stock: what is saved of {id} as version {version} does not add up: {}",
                String::from_utf8_lossy(body)
            ));
        }
        env.trace.note(
            (1_u8, by, collection, id, version, &body[..], saved),
            || {
                let what = if saved { "saves" } else { "loses" };
                let text = String::from_utf8_lossy(body);
                format!("#{by} {what} {collection}/{id} v{version} {text}")
            },
        );
    }
    Ok(results)
}

#[async_trait]
impl Store for SimStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.arrive("load").await?;
        let loaded = self.shelf.load(collection, ids).await;
        self.life.after().await;
        loaded
    }

    async fn save(
        &self,
        collection: &str,
        mut writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        self.arrive("save").await?;
        for write in &mut writes {
            write.body = self.life.version.writes(std::mem::take(&mut write.body));
        }
        let fate = self.fate();
        let result = match fate {
            Fate::Fine => self.apply(collection, writes).await,
            Fate::FalseConflict => {
                let mut results = self.apply(collection, writes).await?;
                let at = self.env.store_dice.index(results.len());
                if let Some(result) = results.get_mut(at) {
                    self.env.fault("save repeated by the driver");
                    *result = SaveResult::Conflict;
                }
                Ok(results)
            }
            Fate::Partial => {
                self.env.fault("save partly done");
                let some = writes
                    .into_iter()
                    .filter(|_| self.env.store_dice.chance(500))
                    .collect();
                self.apply(collection, some).await?;
                Err(unavailable("save", "the connection broke in the middle"))
            }
            Fate::AckLost => {
                self.env.fault("save done, answer lost");
                self.apply(collection, writes).await?;
                Err(unavailable("save", "the answer was lost"))
            }
            Fate::Late => {
                self.env.fault("save done later");
                let (kept, env) = (Arc::clone(&self.shelf), Arc::clone(&self.env));
                let (collection, by) = (collection.to_owned(), self.life.id);
                let delay = Duration::from_millis(1 + self.env.store_dice.up_to(LATE_MS));
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    // A store in memory does not fail.
                    let _ = apply(&kept, &env, by, &collection, writes).await;
                });
                Err(unavailable("save", "no answer came in time"))
            }
        };
        self.life.after().await;
        result
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.arrive("look for what is due").await?;
        let due = self.shelf.due(collection, now, limit).await;
        self.life.after().await;
        due
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        self.arrive("list").await?;
        let listed = self.shelf.list(collection, query).await;
        self.life.after().await;
        listed
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.arrive("scan").await?;
        let scanned = self.shelf.scan(collection, after, limit).await;
        self.life.after().await;
        scanned
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.arrive("count").await?;
        let count = self.shelf.count(collection).await;
        self.life.after().await;
        count
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        self.arrive("count").await?;
        let count = self.shelf.count_tagged(collection, tag).await;
        self.life.after().await;
        count
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        self.arrive("remove").await?;
        let removed = self.shelf.remove(collection, documents).await;
        self.life.after().await;
        removed
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        self.arrive("clear").await?;
        let cleared = self.shelf.clear(collection).await;
        self.life.after().await;
        cleared
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.arrive("ping").await?;
        self.life.after().await;
        Ok(())
    }
}
