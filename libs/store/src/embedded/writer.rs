//! The one writer: compares, sets, and commits what is waiting in one batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use fjall::OwnedWriteBatch;
use foldhash::fast::RandomState;
use tokio::sync::{mpsc, oneshot};

use crate::embedded::engine::{Collection, Engine, EngineCell, Failure};
use crate::embedded::record::{self, Record};
use crate::embedded::versions::{Known, Versions};
use crate::{Index, SaveResult, Write};

/// Requests that may wait for the writer; beyond it, callers wait to hand theirs in.
const QUEUE_MAX: usize = 1024;
/// A batch takes no further request once it has so many documents or bytes.
const BATCH_DOCUMENTS_MAX: usize = 4096;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

type Reply<T> = oneshot::Sender<Result<T, Failure>>;

enum Request {
    Save(Save),
    Clear {
        collection: String,
        reply: Reply<()>,
    },
    Ping {
        reply: Reply<()>,
    },
}

struct Save {
    collection: String,
    writes: Vec<Write>,
    reply: Reply<Vec<SaveResult>>,
}

/// Hands requests to the writer; dropping it waits until every request in the queue is answered.
#[derive(Debug)]
pub(super) struct WriterHandle {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    pub(super) fn start(engine: Arc<EngineCell>) -> Result<Self, Failure> {
        let (sender, requests) = mpsc::channel(QUEUE_MAX);
        let writer = Writer {
            engine,
            requests,
            collections: HashMap::default(),
            batch: 0,
            is_broken: false,
        };
        let thread = std::thread::Builder::new()
            .name("store writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            requests: Some(sender),
            thread: Some(thread),
        })
    }

    pub(super) async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, Failure> {
        let collection = collection.to_owned();
        self.ask(|reply| {
            Request::Save(Save {
                collection,
                writes,
                reply,
            })
        })
        .await
    }

    pub(super) async fn clear(&self, collection: &str) -> Result<(), Failure> {
        let collection = collection.to_owned();
        self.ask(|reply| Request::Clear { collection, reply }).await
    }

    pub(super) async fn ping(&self) -> Result<(), Failure> {
        self.ask(|reply| Request::Ping { reply }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(Failure::Stopped)?;
        let sent = requests.send(request(reply)).await;
        sent.map_err(|_| Failure::Stopped)?;
        answer.await.unwrap_or(Err(Failure::Stopped))
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Writer {
    engine: Arc<EngineCell>,
    requests: mpsc::Receiver<Request>,
    collections: HashMap<String, Writing, RandomState>,
    /// The number of the batch that is being put together.
    batch: u64,
    /// A commit failed: nothing is written until the engine is opened again.
    is_broken: bool,
}

/// A collection, and what the batch changes in it.
struct Writing {
    collection: Arc<Collection>,
    versions: Versions,
    count: u64,
    lowest_due: i64,
    is_in_batch: bool,
}

/// The batch that is being put together, and who waits for it.
struct Group {
    batch: OwnedWriteBatch,
    answers: Vec<(Reply<Vec<SaveResult>>, Vec<SaveResult>)>,
    documents: usize,
    bytes: usize,
}

impl Writer {
    fn run(mut self) {
        let mut carried = None;
        while let Some(request) = carried.take().or_else(|| self.requests.blocking_recv()) {
            if self.is_broken
                && let Err(failure) = self.recover()
            {
                request.refuse(failure);
                continue;
            }
            match request {
                Request::Ping { reply } => {
                    reply.send(Ok(())).ok();
                }
                Request::Clear { collection, reply } => {
                    reply.send(self.clear(&collection)).ok();
                }
                Request::Save(save) => {
                    let engine = Arc::clone(&self.engine);
                    let committed = engine.read(|engine| {
                        let (group, next) = self.gather(engine, save);
                        carried = next;
                        self.commit(group);
                        Ok(())
                    });
                    // the request was dropped, and whoever waits for it learns so
                    self.is_broken |= committed.is_err();
                }
            }
        }
    }

    /// Puts `first` and what else is waiting into one batch. Also returns the request that must wait for the next one.
    fn gather(&mut self, engine: &Engine, first: Save) -> (Group, Option<Request>) {
        self.batch += 1;
        let mut group = Group {
            batch: engine.batch(),
            answers: Vec::new(),
            documents: 0,
            bytes: 0,
        };
        let mut next = Some(Request::Save(first));
        while let Some(request) = next.take() {
            let Request::Save(save) = request else {
                return (group, Some(request));
            };
            if let Some(unfit) = self.add(engine, &mut group, save) {
                return (group, Some(Request::Save(unfit)));
            }
            if !group.is_full() {
                next = self.requests.try_recv().ok();
            }
        }
        (group, None)
    }

    /// Adds a request to the group, or gives it back when it is about a document that the group already writes.
    fn add(&mut self, engine: &Engine, group: &mut Group, save: Save) -> Option<Save> {
        let batch = self.batch;
        let writing = match self.writing(engine, &save.collection) {
            Ok(writing) => writing,
            Err(failure) => {
                save.reply.send(Err(failure)).ok();
                return None;
            }
        };
        match writing.compare(&save.writes, batch) {
            Err(failure) => {
                save.reply.send(Err(failure)).ok();
            }
            Ok(None) => return Some(save),
            Ok(Some(mut results)) => {
                for (write, result) in save.writes.iter().zip(&mut results) {
                    if *result == SaveResult::Saved {
                        *result = writing.set(write, batch, group);
                    }
                }
                group.answers.push((save.reply, results));
            }
        }
        None
    }

    fn writing(&mut self, engine: &Engine, name: &str) -> Result<&mut Writing, Failure> {
        if !self.collections.contains_key(name) {
            let collection = engine.collection_or_new(name)?;
            let count = collection.count.load(Ordering::Acquire);
            let writing = Writing {
                collection,
                versions: Versions::default(),
                count,
                lowest_due: i64::MAX,
                is_in_batch: false,
            };
            self.collections.insert(name.to_owned(), writing);
        }
        self.collections.get_mut(name).ok_or(Failure::Closed)
    }

    fn commit(&mut self, mut group: Group) {
        let in_batch = |writing: &&mut Writing| writing.is_in_batch;
        for writing in self.collections.values_mut().filter(in_batch) {
            let Collection { index, count, .. } = &*writing.collection;
            if count.load(Ordering::Acquire) != writing.count {
                let count = writing.count.to_be_bytes();
                group.batch.insert(index, record::COUNT_KEY, count);
            }
            writing.collection.due_floor.committing(writing.lowest_due);
        }
        let committed = group.batch.commit();
        for writing in self.collections.values_mut().filter(in_batch) {
            let Collection {
                count, due_floor, ..
            } = &*writing.collection;
            due_floor.committed();
            if committed.is_ok() {
                count.store(writing.count, Ordering::Release);
            }
            writing.is_in_batch = false;
            writing.lowest_due = i64::MAX;
            writing.versions.age();
        }
        let failure = committed.err().map(Failure::from);
        if let Some(failure) = &failure {
            tracing::error!(error = %Chain(failure), "a commit failed; reopening the store before the next one");
            self.break_off();
        }
        for (reply, results) in group.answers {
            // a caller that stopped waiting does not mind
            reply.send(failure.clone().map_or(Ok(results), Err)).ok();
        }
    }

    fn clear(&mut self, name: &str) -> Result<(), Failure> {
        self.collections.remove(name);
        let engine = Arc::clone(&self.engine);
        engine
            .read(|engine| engine.clear(name))
            .inspect_err(|_| self.break_off())
    }

    /// What is remembered may be ahead of what is stored.
    fn break_off(&mut self) {
        self.collections.clear();
        self.is_broken = true;
    }

    fn recover(&mut self) -> Result<(), Failure> {
        self.engine.recover()?;
        self.is_broken = false;
        tracing::info!("the store is open for writing again");
        Ok(())
    }
}

impl Writing {
    /// What becomes of each write, or nothing when this batch already writes one of the documents.
    fn compare(
        &mut self,
        writes: &[Write],
        batch: u64,
    ) -> Result<Option<Vec<SaveResult>>, Failure> {
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            let version = match self.versions.get(&write.id) {
                Some(known) if known.batch == batch => return Ok(None),
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
    fn set(&mut self, write: &Write, number: u64, group: &mut Group) -> SaveResult {
        let Collection {
            documents, index, ..
        } = &*self.collection;
        let known = self.versions.get(&write.id);
        if known.as_ref().is_some_and(|known| known.batch == number) {
            return SaveResult::Conflict;
        }
        let version = write.expected + 1;
        let document = record::encode(version, &write.index, &write.body);
        group.documents += 1;
        group.bytes += document.len();
        group.batch.insert(documents, write.id.as_str(), document);

        let unlisted = Index::default();
        let before = known.as_ref().map_or(&unlisted, |known| &known.index);
        let (mut removed, mut inserted) = (Vec::new(), Vec::new());
        record::reindex(
            &write.id,
            before,
            &write.index,
            |key| removed.push(key),
            |key| inserted.push(key),
        );
        for key in removed {
            group.batch.remove(index, key);
        }
        for key in inserted {
            group.batch.insert(index, key, []);
        }
        if let Some(due) = write.index.due
            && before.due != write.index.due
        {
            self.lowest_due = self.lowest_due.min(due);
        }
        self.is_in_batch = true;
        match known {
            Some(known) => {
                known.version = version;
                known.batch = number;
                known.index.clone_from(&write.index);
            }
            None => self.versions.put(
                &write.id,
                Known {
                    version,
                    index: write.index.clone(),
                    batch: number,
                },
            ),
        }
        if write.expected == 0 {
            self.count += 1;
        }
        SaveResult::Saved
    }
}

impl Group {
    fn is_full(&self) -> bool {
        self.documents >= BATCH_DOCUMENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

impl Request {
    fn refuse(self, failure: Failure) {
        match self {
            Self::Save(save) => save.reply.send(Err(failure)).map_err(drop).ok(),
            Self::Clear { reply, .. } | Self::Ping { reply } => reply.send(Err(failure)).ok(),
        };
    }
}

/// An error with its causes, on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
