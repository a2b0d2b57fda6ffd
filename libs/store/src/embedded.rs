//! An embedded durable store: one process, one folder, nothing to install.
//!
//! Saves of all callers go to one writer thread, which applies whatever is waiting as one batch with one fsync (group
//! commit). A batch holds the documents and their index entries, so both agree after any crash. Reads do not wait for
//! the writer.

mod batch;
mod cell;
mod due_floor;
mod engine;
mod failure;
mod queue;
mod record;
mod versions;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::embedded::cell::EngineCell;
use crate::embedded::engine::Engine;
use crate::embedded::failure::Failure;
use crate::embedded::queue::WriterHandle;
use crate::{ListQuery, SaveResult, Store, StoreError, Stored, Write, port};

/// More documents than this are read on a thread that may block.
const INLINE_LOADS_MAX: usize = 64;
/// A disk that takes longer than this for a commit counts as an outage.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(30);

/// How an [`EmbeddedStore`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Whether a save is answered only when it is on the disk. Without it a save survives the end of the process,
    /// but not the loss of power.
    pub fsync: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { fsync: true }
    }
}

/// Documents in a folder of this machine.
#[derive(Debug)]
pub struct EmbeddedStore {
    // before the engine, because it works on it until the last request is answered
    writer: WriterHandle,
    engine: Arc<EngineCell>,
    folder: PathBuf,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, which is created when it is not there. Blocks while what was not yet in the
    /// tables is replayed (up to half a second).
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(folder, EmbeddedOptions::default())
    }

    /// The same, with options.
    pub fn open_with(
        folder: impl AsRef<Path>,
        options: EmbeddedOptions,
    ) -> Result<Self, StoreError> {
        let folder = folder.as_ref().to_path_buf();
        let open = || {
            let engine = Arc::new(EngineCell::open(&folder, options)?);
            let writer = WriterHandle::start(Arc::clone(&engine))?;
            Ok(Self {
                writer,
                engine,
                folder: folder.clone(),
            })
        };
        open().map_err(|failure: Failure| {
            let folder = folder.display();
            failure.into_error("", || {
                format!("open {folder} (does another process have it open?)")
            })
        })
    }

    /// Reads on this thread.
    fn read_here<T>(
        &self,
        collection: &str,
        operation: &str,
        read: impl FnOnce(&Engine) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.engine.read(read).map_err(|failure| {
            failure.into_error(collection, || format!("{operation} {collection}"))
        })
    }

    /// Reads on a thread that may block.
    async fn read_aside<T: Send + 'static>(
        &self,
        collection: &str,
        operation: &'static str,
        read: impl FnOnce(&Engine) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let engine = Arc::clone(&self.engine);
        tokio::task::spawn_blocking(move || engine.read(read))
            .await
            .unwrap_or(Err(Failure::Stopped))
            .map_err(|failure| {
                failure.into_error(collection, || format!("{operation} {collection}"))
            })
    }

    /// Bounds the wait for the writer.
    async fn wait<T>(
        &self,
        collection: &str,
        operation: impl FnOnce() -> String,
        reply: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(REPLY_WAIT_MAX, reply)
            .await
            .unwrap_or(Err(Failure::TooSlow))
            .map_err(|failure| failure.into_error(collection, operation))
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        if ids.len() <= INLINE_LOADS_MAX {
            return self.read_here(collection, "load documents of", |engine| {
                engine.load(collection, ids.iter().copied())
            });
        }
        let name = collection.to_owned();
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        self.read_aside(collection, "load documents of", move |engine| {
            engine.load(&name, ids.iter().map(String::as_str))
        })
        .await
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        port::check(collection, &writes)?;
        let count = writes.len();
        let reply = self.writer.save(collection, writes);
        let operation = || format!("save {count} documents of {collection}");
        self.wait(collection, operation, reply).await
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let name = collection.to_owned();
        self.read_aside(collection, "find due documents of", move |engine| {
            engine.due(&name, now, limit)
        })
        .await
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        let name = collection.to_owned();
        self.read_aside(collection, "list", move |engine| engine.list(&name, &query))
            .await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let name = collection.to_owned();
        let after = after.map(str::to_owned);
        self.read_aside(collection, "scan", move |engine| {
            engine.scan(&name, after.as_deref(), limit)
        })
        .await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.read_here(collection, "count", |engine| Ok(engine.count(collection)))
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        let (name, tag) = (collection.to_owned(), tag.to_owned());
        self.read_aside(collection, "count documents of", move |engine| {
            engine.count_tagged(&name, &tag)
        })
        .await
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        let operation = || format!("remove documents of {collection}");
        let reply = self.writer.remove(collection, documents);
        self.wait(collection, operation, reply).await
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        let operation = || format!("clear {collection}");
        let reply = self.writer.clear(collection);
        self.wait(collection, operation, reply).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let operation = || format!("write to {}", self.folder.display());
        self.wait("", operation, self.writer.ping()).await
    }
}
