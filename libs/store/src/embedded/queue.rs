//! How requests reach the writer.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::embedded::cell::EngineCell;
use crate::embedded::failure::Failure;
use crate::embedded::writer::Writer;
use crate::{SaveResult, Write};

/// Requests that may wait for the writer; beyond it, callers wait to hand theirs in.
const QUEUE_MAX: usize = 1024;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

pub(super) enum Request {
    Save(Save),
    Remove(Remove),
    Clear {
        collection: String,
        reply: Reply<()>,
    },
    Ping {
        reply: Reply<()>,
    },
}

pub(super) struct Save {
    pub(super) collection: String,
    pub(super) writes: Vec<Write>,
    pub(super) reply: Reply<Vec<SaveResult>>,
}

pub(super) struct Remove {
    pub(super) collection: String,
    /// Ids with their versions.
    pub(super) documents: Vec<(String, u64)>,
    pub(super) reply: Reply<Vec<SaveResult>>,
}

impl Request {
    /// Answers it with a failure; nobody minds when the caller has stopped waiting.
    pub(super) fn refuse(self, failure: Failure) {
        match self {
            Self::Save(save) => save.reply.send(Err(failure)).map_err(drop).ok(),
            Self::Remove(remove) => remove.reply.send(Err(failure)).map_err(drop).ok(),
            Self::Clear { reply, .. } | Self::Ping { reply } => reply.send(Err(failure)).ok(),
        };
    }
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
        let writer = Writer::new(engine, requests);
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

    pub(super) async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), Failure> {
        let collection = collection.to_owned();
        self.ask(|reply| {
            Request::Remove(Remove {
                collection,
                documents,
                reply,
            })
        })
        .await
        .map(drop)
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
