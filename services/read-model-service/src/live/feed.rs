//! Every order's latest state, coalesced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sagaline_contracts::{OrderId, Timestamp};
use sagaline_saga::Clock;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::sse::frame;

/// How long states are collected before they are told, when there are few readers.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// And at most, when there are many: it then makes many small writes into fewer large ones.
const INTERVAL_MAX: Duration = Duration::from_millis(100);
/// Each so many readers add a millisecond.
const READERS_PER_MS: usize = 10;
/// Chunks that a reader may be behind before it is dropped; they are shared by all readers.
const BEHIND_MAX: usize = 256;
/// Orders that may be waiting to be told; beyond it they are told at once.
const DIRTY_MAX: usize = 20_000;

/// How a reader wants states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForm {
    /// One message per state.
    Each,
    /// One message for many states, which is an array.
    Batch,
}

/// Every order's latest state, coalesced: each state is rendered once, and each chunk of states is put together once for
/// all readers of a form. A reader that does not keep up is dropped.
#[derive(Debug)]
pub struct Feed {
    dirty: Mutex<HashMap<OrderId, Bytes, RandomState>>,
    wake: Notify,
    full: Notify,
    each: broadcast::Sender<Bytes>,
    batch: broadcast::Sender<Bytes>,
    readers: Arc<AtomicUsize>,
}

/// One reader of the feed.
#[derive(Debug)]
pub struct FeedReader {
    chunks: broadcast::Receiver<Bytes>,
    readers: Arc<AtomicUsize>,
}

/// A reader did not keep up, or the feed has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader did not keep up with the feed")]
pub struct Lagged;

impl Default for Feed {
    fn default() -> Self {
        Self {
            dirty: Mutex::default(),
            wake: Notify::new(),
            full: Notify::new(),
            each: broadcast::Sender::new(BEHIND_MAX),
            batch: broadcast::Sender::new(BEHIND_MAX),
            readers: Arc::default(),
        }
    }
}

impl Feed {
    /// A reader of what changes from now on.
    pub fn subscribe(&self, form: FeedForm) -> FeedReader {
        self.readers.fetch_add(1, Ordering::AcqRel);
        FeedReader {
            chunks: self.sender(form).subscribe(),
            readers: Arc::clone(&self.readers),
        }
    }

    fn sender(&self, form: FeedForm) -> &broadcast::Sender<Bytes> {
        match form {
            FeedForm::Each => &self.each,
            FeedForm::Batch => &self.batch,
        }
    }

    /// How many read it.
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Acquire)
    }

    /// Whether anyone reads it: otherwise states need not be rendered.
    pub fn has_readers(&self) -> bool {
        self.readers() > 0
    }

    /// This is an order's latest state now.
    pub fn publish(&self, id: &OrderId, state: Bytes) {
        let mut dirty = self.dirty.lock();
        dirty.insert(id.clone(), state);
        let waiting = dirty.len();
        drop(dirty);
        if waiting == 1 {
            self.wake.notify_one();
        } else if waiting >= DIRTY_MAX {
            self.full.notify_one();
        }
    }

    /// Tells states until `shutdown`: the first at once, the next ones together after a while.
    pub async fn run(&self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
            }
            self.flush(clock.now());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.full.notified() => {}
                () = tokio::time::sleep(self.interval()) => {}
            }
        }
    }

    fn interval(&self) -> Duration {
        let more = u64::try_from(self.readers() / READERS_PER_MS).unwrap_or(u64::MAX);
        INTERVAL_MIN
            .saturating_add(Duration::from_millis(more))
            .min(INTERVAL_MAX)
    }

    /// Tells what has changed since the last time.
    pub fn flush(&self, now: Timestamp) {
        let states: Vec<Bytes> = std::mem::take(&mut *self.dirty.lock())
            .into_values()
            .collect();
        if states.is_empty() {
            return;
        }
        for form in [FeedForm::Each, FeedForm::Batch] {
            let sender = self.sender(form);
            if sender.receiver_count() > 0 {
                // It fails when the last reader has just gone.
                let _ = sender.send(chunk(form, &states, now));
            }
        }
    }
}

/// States as messages; the last one has the id from which a reader resumes.
pub(crate) fn chunk(form: FeedForm, states: &[Bytes], now: Timestamp) -> Bytes {
    let size: usize = states.iter().map(|state| state.len() + 16).sum();
    let mut chunk = Vec::with_capacity(size + 64);
    let id = now.micros().to_string();
    match form {
        FeedForm::Each => {
            for state in states {
                frame(&mut chunk, None, Some(state));
            }
            frame(&mut chunk, Some(&id), None);
        }
        FeedForm::Batch => {
            let mut array = Vec::with_capacity(size);
            for state in states {
                array.push(if array.is_empty() { b'[' } else { b',' });
                array.extend_from_slice(state);
            }
            array.push(b']');
            frame(&mut chunk, Some(&id), Some(&array));
        }
    }
    chunk.into()
}

impl FeedReader {
    /// The next states.
    pub async fn next(&mut self) -> Result<Bytes, Lagged> {
        self.chunks.recv().await.map_err(|_| Lagged)
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::AcqRel);
    }
}
