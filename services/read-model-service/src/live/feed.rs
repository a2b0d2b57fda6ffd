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
/// How long states are collected for screens, which nobody reads faster.
const INTERVAL_SLOW: Duration = Duration::from_millis(250);
/// Chunks that a reader may be behind before it is dropped; they are shared by all readers.
const BEHIND_MAX: usize = 256;
/// The same of those that come four times a second, and hold so much more each.
const BEHIND_SLOW_MAX: usize = 32;
/// Orders that may be waiting to be told; beyond it they are told at once.
const DIRTY_MAX: usize = 20_000;

/// How a reader wants states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForm {
    /// One message per state.
    Each,
    /// One message for many states, which is an array.
    Batch,
    /// The same, four times a second at most. What an order went through in between is not told.
    Slow,
}

/// Every order's latest state, coalesced: each state is rendered once, and each chunk of states is put together once for
/// all readers of a form. A reader that does not keep up is dropped.
#[derive(Debug)]
pub struct Feed {
    quick: Waiting,
    slow: Waiting,
    each: broadcast::Sender<Bytes>,
    batch: broadcast::Sender<Bytes>,
    slow_batch: broadcast::Sender<Bytes>,
    readers: Arc<AtomicUsize>,
    /// Cuts off those who read it now.
    cut: Mutex<CancellationToken>,
}

/// States that are to be told together.
#[derive(Debug)]
struct Waiting {
    /// In these forms.
    forms: &'static [FeedForm],
    states: Mutex<HashMap<OrderId, Bytes, RandomState>>,
    wake: Notify,
    full: Notify,
}

impl Waiting {
    fn new(forms: &'static [FeedForm]) -> Self {
        Self {
            forms,
            states: Mutex::default(),
            wake: Notify::new(),
            full: Notify::new(),
        }
    }

    fn add(&self, id: &OrderId, state: Bytes) {
        let mut states = self.states.lock();
        states.insert(id.clone(), state);
        let waiting = states.len();
        drop(states);
        if waiting == 1 {
            self.wake.notify_one();
        } else if waiting >= DIRTY_MAX {
            self.full.notify_one();
        }
    }

    fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.states.lock())
            .into_values()
            .collect()
    }
}

/// One reader of the feed.
#[derive(Debug)]
pub struct FeedReader {
    chunks: broadcast::Receiver<Bytes>,
    readers: Arc<AtomicUsize>,
    cut: CancellationToken,
}

/// A reader did not keep up, the feed has ended, or nobody knows whether the reader has missed something: it has to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader did not keep up with the feed, or has to begin again")]
pub struct Lagged;

impl Default for Feed {
    fn default() -> Self {
        Self {
            quick: Waiting::new(&[FeedForm::Each, FeedForm::Batch]),
            slow: Waiting::new(&[FeedForm::Slow]),
            each: broadcast::Sender::new(BEHIND_MAX),
            batch: broadcast::Sender::new(BEHIND_MAX),
            slow_batch: broadcast::Sender::new(BEHIND_SLOW_MAX),
            readers: Arc::default(),
            cut: Mutex::default(),
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
            cut: self.cut.lock().clone(),
        }
    }

    /// Cuts off everyone who reads it now: they resume, and find what they may have missed.
    pub fn cut(&self) {
        std::mem::take(&mut *self.cut.lock()).cancel();
    }

    fn sender(&self, form: FeedForm) -> &broadcast::Sender<Bytes> {
        match form {
            FeedForm::Each => &self.each,
            FeedForm::Batch => &self.batch,
            FeedForm::Slow => &self.slow_batch,
        }
    }

    /// Whether anyone reads it in this form.
    fn is_read(&self, form: FeedForm) -> bool {
        self.sender(form).receiver_count() > 0
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
        if self.is_read(FeedForm::Slow) {
            self.slow.add(id, state.clone());
        }
        if self.is_read(FeedForm::Each) || self.is_read(FeedForm::Batch) {
            self.quick.add(id, state);
        }
    }

    /// Tells states until `shutdown`: the first at once, the next ones together after a while.
    pub async fn run(&self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let slow = || INTERVAL_SLOW;
        tokio::join!(
            self.tell(&self.quick, || self.interval(), &*clock, &shutdown),
            self.tell(&self.slow, slow, &*clock, &shutdown),
        );
    }

    async fn tell(
        &self,
        waiting: &Waiting,
        interval: impl Fn() -> Duration,
        clock: &dyn Clock,
        shutdown: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = waiting.wake.notified() => {}
            }
            self.flush_one(waiting, clock.now());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = waiting.full.notified() => {}
                () = tokio::time::sleep(interval()) => {}
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
        self.flush_one(&self.quick, now);
        self.flush_one(&self.slow, now);
    }

    fn flush_one(&self, waiting: &Waiting, now: Timestamp) {
        let states = waiting.take();
        if states.is_empty() {
            return;
        }
        for form in waiting.forms.iter().filter(|form| self.is_read(**form)) {
            // It fails when the last reader has just gone.
            let _ = self.sender(*form).send(chunk(*form, &states, now));
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
        FeedForm::Batch | FeedForm::Slow => {
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
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(Lagged),
            chunk = self.chunks.recv() => chunk.map_err(|_| Lagged),
        }
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::AcqRel);
    }
}
