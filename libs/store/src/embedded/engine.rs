//! The database on disk: its collections, and how they are read.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode,
    Readable, Snapshot,
};
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::embedded::EmbeddedOptions;
use crate::embedded::due_floor::DueFloor;
use crate::embedded::failure::Failure;
use crate::embedded::record::{self, Record};
use crate::{ListQuery, Stored};

const MIB: u64 = 1024 * 1024;
/// What is not yet in tables is replayed at the next start: less of it makes a quicker start.
const JOURNAL_BYTES_MAX: u64 = 128 * MIB;
const CACHE_BYTES: u64 = 64 * MIB;
const DOCUMENT_BUFFER_BYTES: u64 = 32 * MIB;
const INDEX_BUFFER_BYTES: u64 = 8 * MIB;
/// Bodies above this are kept apart from the sorted tables, so that merging tables does not copy them.
const APART_BYTES_MIN: u32 = 512;
/// With several, one of them spins while another merges tables, which halves what a small machine can write.
const BACKGROUND_THREADS: usize = 1;
/// An open database.
pub(super) struct Engine {
    database: Database,
    /// By collection, which generation of its keyspaces is in use: clearing a collection is a step to the next one.
    generations: Keyspace,
    collections: RwLock<HashMap<Box<str>, Arc<Collection>, RandomState>>,
    persist: PersistMode,
}

/// A collection's documents and their index.
pub(super) struct Collection {
    pub(super) documents: Keyspace,
    pub(super) index: Keyspace,
    pub(super) count: AtomicU64,
    pub(super) due_floor: DueFloor,
    generation: u64,
}

impl Engine {
    pub(super) fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, Failure> {
        let database = Database::builder(folder)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .cache_size(CACHE_BYTES)
            .worker_threads(BACKGROUND_THREADS)
            .open()?;
        let generations = database.keyspace("generations", KeyspaceCreateOptions::default)?;
        let engine = Self {
            database,
            generations,
            collections: RwLock::default(),
            persist: if options.fsync {
                PersistMode::SyncAll
            } else {
                PersistMode::Buffer
            },
        };
        for name in engine.database.list_keyspace_names() {
            let Some((generation, collection, _)) = parse_keyspace_name(&name) else {
                continue;
            };
            if generation == engine.generation(collection)? {
                engine.collection_or_new(collection)?;
            } else {
                // left over from a clear that was cut short
                engine.delete_keyspace(&name)?;
            }
        }
        Ok(engine)
    }

    fn generation(&self, collection: &str) -> Result<u64, Failure> {
        let generation = self.generations.get(collection)?;
        Ok(generation.as_deref().map_or(0, number))
    }

    pub(super) fn collection(&self, name: &str) -> Option<Arc<Collection>> {
        self.collections.read().get(name).cloned()
    }

    pub(super) fn collection_or_new(&self, name: &str) -> Result<Arc<Collection>, Failure> {
        if let Some(collection) = self.collection(name) {
            return Ok(collection);
        }
        let generation = self.generation(name)?;
        let collection = Arc::new(self.open_collection(name, generation)?);
        let mut collections = self.collections.write();
        collections.insert(name.into(), Arc::clone(&collection));
        Ok(collection)
    }

    fn open_collection(&self, name: &str, generation: u64) -> Result<Collection, Failure> {
        let open = |kind, options| {
            let name = keyspace_name(generation, name, kind);
            self.database.keyspace(&name, || options)
        };
        let apart = KvSeparationOptions::default().separation_threshold(APART_BYTES_MIN);
        let documents = KeyspaceCreateOptions::default()
            .max_memtable_size(DOCUMENT_BUFFER_BYTES)
            .with_kv_separation(Some(apart));
        let documents = open("documents", documents)?;
        let index = KeyspaceCreateOptions::default().max_memtable_size(INDEX_BUFFER_BYTES);
        let index = open("index", index)?;
        let count = index.get(record::COUNT_KEY)?;
        Ok(Collection {
            documents,
            index,
            count: AtomicU64::new(count.as_deref().map_or(0, number)),
            due_floor: DueFloor::new(),
            generation,
        })
    }

    fn delete_keyspace(&self, name: &str) -> Result<(), Failure> {
        let keyspace = self
            .database
            .keyspace(name, KeyspaceCreateOptions::default)?;
        Ok(self.database.delete_keyspace(keyspace)?)
    }

    /// Empties a collection at once: all of it is gone, or nothing.
    pub(super) fn clear(&self, name: &str) -> Result<(), Failure> {
        let Some(full) = self.collection(name) else {
            return Ok(());
        };
        let empty = self.open_collection(name, full.generation + 1)?;
        let mut batch = self.batch();
        batch.insert(&self.generations, name, empty.generation.to_be_bytes());
        batch.commit()?;
        self.collections
            .write()
            .insert(name.into(), Arc::new(empty));
        for kind in ["documents", "index"] {
            self.delete_keyspace(&keyspace_name(full.generation, name, kind))?;
        }
        Ok(())
    }

    pub(super) fn batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(self.persist))
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        let collection = self.collection(name);
        collection.map_or(0, |collection| collection.count.load(Ordering::Acquire))
    }

    pub(super) fn load<'a>(
        &self,
        name: &str,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Option<Stored>>, Failure> {
        let Some(collection) = self.collection(name) else {
            return Ok(ids.map(|_| None).collect());
        };
        ids.map(|id| match collection.documents.get(id)? {
            Some(bytes) => stored(id, &bytes).map(Some),
            None => Ok(None),
        })
        .collect()
    }

    pub(super) fn due(&self, name: &str, now: i64, limit: usize) -> Result<Vec<Stored>, Failure> {
        let Some(collection) = self.collection(name).filter(|_| limit > 0) else {
            return Ok(Vec::new());
        };
        let after_now = now.saturating_add(1);
        collection.due_floor.search(|floor| {
            if now < floor {
                return Ok((Vec::new(), floor));
            }
            let snapshot = self.database.snapshot();
            let mut found = Vec::new();
            let mut first = None;
            let range = record::due_key(floor, "")..record::due_key(after_now, "");
            for entry in snapshot.range(&collection.index, range).take(limit) {
                let key = entry.key()?;
                let Some((due, id)) = record::parse_due_key(&key) else {
                    continue;
                };
                first.get_or_insert(due);
                found.extend(collection.get(&snapshot, id)?);
            }
            Ok((found, first.unwrap_or(after_now)))
        })
    }

    pub(super) fn list(&self, name: &str, query: &ListQuery) -> Result<Vec<Stored>, Failure> {
        let Some(collection) = self.collection(name) else {
            return Ok(Vec::new());
        };
        let tag = query.tag.as_deref();
        let prefix = record::ranked_prefix(tag);
        let end = match &query.after {
            Some(after) => record::ranked_key(tag, after.rank, &after.id),
            None => after_prefix(prefix.clone()),
        };
        let snapshot = self.database.snapshot();
        let mut page = Vec::new();
        let entries = snapshot.range(&collection.index, prefix.clone()..end);
        for entry in entries.rev().take(query.limit) {
            let key = entry.key()?;
            if let Some(id) = record::parse_ranked_key(&key, &prefix) {
                page.extend(collection.get(&snapshot, id)?);
            }
        }
        Ok(page)
    }

    pub(super) fn count_tagged(&self, name: &str, tag: &str) -> Result<u64, Failure> {
        let Some(collection) = self.collection(name) else {
            return Ok(0);
        };
        let prefix = record::ranked_prefix(Some(tag));
        let end = after_prefix(prefix.clone());
        let snapshot = self.database.snapshot();
        let mut count = 0;
        for entry in snapshot.range(&collection.index, prefix..end) {
            entry.key()?;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn scan(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, Failure> {
        let Some(collection) = self.collection(name) else {
            return Ok(Vec::new());
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let snapshot = self.database.snapshot();
        let documents = snapshot.range::<&str, _>(&collection.documents, (start, Bound::Unbounded));
        documents
            .take(limit)
            .map(|document| {
                let (id, bytes) = document.into_inner()?;
                stored(&String::from_utf8_lossy(&id), &bytes)
            })
            .collect()
    }
}

impl Collection {
    fn get(&self, snapshot: &Snapshot, id: &str) -> Result<Option<Stored>, Failure> {
        let bytes = snapshot.get(&self.documents, id)?;
        bytes.map(|bytes| stored(id, &bytes)).transpose()
    }
}

fn stored(id: &str, bytes: &[u8]) -> Result<Stored, Failure> {
    let record = Record::decode(bytes).map_err(|error| Failure::Document {
        id: id.to_owned(),
        source: Arc::new(error),
    })?;
    Ok(Stored {
        id: id.to_owned(),
        version: record.version,
        body: Bytes::copy_from_slice(record.body),
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn keyspace_name(generation: u64, collection: &str, kind: &str) -> String {
    format!("{generation}/{collection}/{kind}")
}

fn parse_keyspace_name(name: &str) -> Option<(u64, &str, &str)> {
    let (generation, rest) = name.split_once('/')?;
    let (collection, kind) = rest.rsplit_once('/')?;
    Some((generation.parse().ok()?, collection, kind))
}

/// The lowest key above all that have the prefix; prefixes here never end in 0xFF.
fn after_prefix(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last = last.saturating_add(1);
    }
    prefix
}
