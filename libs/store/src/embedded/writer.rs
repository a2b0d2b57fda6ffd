//! The one writer: compares, sets, and commits what is waiting in one batch.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::sync::mpsc;

use crate::SaveResult;
use crate::embedded::batch::{Batch, Writing};
use crate::embedded::cell::EngineCell;
use crate::embedded::engine::Engine;
use crate::embedded::failure::{Chain, Failure};
use crate::embedded::queue::{Remove, Request, Save};

pub(super) struct Writer {
    engine: Arc<EngineCell>,
    requests: mpsc::Receiver<Request>,
    collections: HashMap<String, Writing, RandomState>,
    /// Batches so far.
    batches: u64,
    /// A commit failed: nothing is written until the engine is opened again.
    is_broken: bool,
}

impl Writer {
    pub(super) fn new(engine: Arc<EngineCell>, requests: mpsc::Receiver<Request>) -> Self {
        Self {
            engine,
            requests,
            collections: HashMap::default(),
            batches: 0,
            is_broken: false,
        }
    }

    /// Answers requests until nobody can send any more.
    pub(super) fn run(mut self) {
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
                Request::Remove(remove) => {
                    let engine = Arc::clone(&self.engine);
                    let removed = engine.read(|engine| {
                        self.remove(engine, remove);
                        Ok(())
                    });
                    self.is_broken |= removed.is_err();
                }
                Request::Save(save) => {
                    let engine = Arc::clone(&self.engine);
                    let committed = engine.read(|engine| {
                        let (batch, next) = self.gather(engine, save);
                        carried = next;
                        self.commit(batch);
                        Ok(())
                    });
                    // the request was dropped, and whoever waits for it learns so
                    self.is_broken |= committed.is_err();
                }
            }
        }
    }

    /// Puts `first` and what else is waiting into one batch. Also returns the request that must wait for the next one.
    fn gather(&mut self, engine: &Engine, first: Save) -> (Batch, Option<Request>) {
        self.batches += 1;
        let mut batch = Batch::new(self.batches, engine.batch());
        let mut next = Some(Request::Save(first));
        while let Some(request) = next.take() {
            let Request::Save(save) = request else {
                return (batch, Some(request));
            };
            if let Some(unfit) = self.add(engine, &mut batch, save) {
                return (batch, Some(Request::Save(unfit)));
            }
            if !batch.is_full() {
                next = self.requests.try_recv().ok();
            }
        }
        (batch, None)
    }

    /// Adds a request to the batch, or gives it back when it is about a document that the batch already writes.
    fn add(&mut self, engine: &Engine, batch: &mut Batch, save: Save) -> Option<Save> {
        let compared = self.writing(engine, &save.collection).and_then(|writing| {
            let results = writing.compare(&save.writes, batch)?;
            Ok((writing, results))
        });
        match compared {
            Ok((_, None)) => return Some(save),
            Ok((writing, Some(mut results))) => {
                for (write, result) in save.writes.iter().zip(&mut results) {
                    if *result == SaveResult::Saved {
                        *result = writing.set(write, batch);
                    }
                }
                batch.answers.push((save.reply, results));
            }
            Err(failure) => {
                save.reply.send(Err(failure)).ok();
            }
        }
        None
    }

    /// Removes documents, in a batch of their own.
    fn remove(&mut self, engine: &Engine, remove: Remove) {
        self.batches += 1;
        let mut batch = Batch::new(self.batches, engine.batch());
        let removed = self
            .writing(engine, &remove.collection)
            .and_then(|writing| {
                let documents = remove.documents.iter();
                documents
                    .map(|(id, version)| writing.remove(id, *version, &mut batch))
                    .collect()
            });
        match removed {
            Ok(results) => {
                batch.answers.push((remove.reply, results));
                self.commit(batch);
            }
            Err(failure) => {
                // What was put into the batch is dropped with it, and is not to be remembered as removed.
                self.collections.remove(&remove.collection);
                remove.reply.send(Err(failure)).ok();
            }
        }
    }

    fn writing(&mut self, engine: &Engine, name: &str) -> Result<&mut Writing, Failure> {
        if !self.collections.contains_key(name) {
            let writing = Writing::new(engine.collection_or_new(name)?);
            self.collections.insert(name.to_owned(), writing);
        }
        self.collections.get_mut(name).ok_or(Failure::Closed)
    }

    fn commit(&mut self, mut batch: Batch) {
        for writing in self.collections.values() {
            writing.before_commit(&mut batch);
        }
        let committed = batch.writes.commit();
        for writing in self.collections.values_mut() {
            writing.after_commit(committed.is_ok());
        }
        let failure = committed.err().map(Failure::from);
        if let Some(failure) = &failure {
            let error = Chain(failure);
            tracing::error!(%error, "a commit failed; the store is opened again before the next one");
            self.break_off();
        }
        for (reply, results) in batch.answers {
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
