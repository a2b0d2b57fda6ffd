//! What waits to be written, and who waits for it to be durable.

use super::record::{BATCH_PREFIX, FRAME_HEADER, Record};
use crate::log::Partition;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Bytes that may wait to be written before producers are held back.
const MAX_BACKLOG: u64 = 64 << 20;

/// A batch that becomes readable once it is durable.
#[derive(Debug)]
pub(crate) struct PendingBatch {
    pub(crate) partition: Arc<Partition>,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) length: u32,
    /// Of the batch in the bytes that are written together with it.
    pub(crate) position: usize,
}

/// What is written together.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) bytes: Vec<u8>,
    pub(super) batches: Vec<PendingBatch>,
    /// Bytes enqueued since the start, up to the end of this.
    pub(super) end: u64,
}

#[derive(Debug, Default)]
struct Queue {
    work: Work,
    closed: bool,
}

/// How far the journal is durable.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    durable: u64,
    failed: bool,
}

/// The log cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be written: is the disk full?")]
pub(crate) struct JournalFailed;

/// The entrance to the journal, for all who change something.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: Mutex<Queue>,
    has_work: Condvar,
    progress: watch::Sender<Progress>,
    failed: AtomicBool,
}

impl Journal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            has_work: Condvar::new(),
            progress: watch::Sender::default(),
            failed: AtomicBool::new(false),
        })
    }

    /// Enqueues a change.
    pub(crate) fn record(&self, record: &Record<'_>) {
        self.enqueue(record, |_| None);
    }

    /// Enqueues a batch, which its partition is told of once it is durable.
    pub(crate) fn batch(&self, topic: u32, index: u32, batch: &[u8], pending: PendingBatch) {
        let record = Record::Batch {
            topic,
            partition: index,
            batch,
        };
        self.enqueue(&record, |start| {
            Some(PendingBatch {
                position: start + FRAME_HEADER + BATCH_PREFIX,
                ..pending
            })
        });
    }

    fn enqueue(&self, record: &Record<'_>, pending: impl FnOnce(usize) -> Option<PendingBatch>) {
        let mut queue = self.queue.lock();
        // While nothing can be written nothing may pile up: what is left out here is in the checkpoint that the writer goes on
        // with. A batch is in no checkpoint; there are few, since no more of them are admitted.
        if self.has_failed() && !matches!(record, Record::Batch { .. }) {
            return;
        }
        let start = queue.work.bytes.len();
        let length = record.write(&mut queue.work.bytes);
        queue.work.end += length as u64;
        queue.work.batches.extend(pending(start));
        drop(queue);
        if start == 0 {
            self.has_work.notify_one();
        }
    }

    /// The end of what is enqueued, for [`durable`](Self::durable).
    pub(crate) fn end(&self) -> u64 {
        self.queue.lock().work.end
    }

    pub(crate) fn is_durable(&self, end: u64) -> bool {
        self.progress.borrow().durable >= end
    }

    /// Resolves when everything up to `end` is durable.
    pub(crate) async fn durable(&self, end: u64) -> Result<(), JournalFailed> {
        let mut progress = self.progress.subscribe();
        let reached = progress
            .wait_for(|progress| progress.failed || progress.durable >= end)
            .await;
        match reached {
            Ok(progress) if progress.durable >= end => Ok(()),
            _ => Err(JournalFailed),
        }
    }

    /// Waits while too much is waiting to be written.
    pub(crate) async fn admit(&self) -> Result<(), JournalFailed> {
        let end = self.end();
        if end > MAX_BACKLOG && !self.is_durable(end - MAX_BACKLOG) {
            self.durable(end - MAX_BACKLOG).await?;
        }
        if self.has_failed() {
            Err(JournalFailed)
        } else {
            Ok(())
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Lets the writer end once all is written.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.has_work.notify_one();
    }

    /// For the writer: swaps what is queued for an empty `spare`; `false` when there is nothing and never will be.
    pub(super) fn take(&self, spare: &mut Work) -> bool {
        let mut queue = self.queue.lock();
        while queue.work.bytes.is_empty() {
            if queue.closed {
                return false;
            }
            self.has_work.wait(&mut queue);
        }
        spare.end = queue.work.end;
        std::mem::swap(&mut queue.work, spare);
        true
    }

    /// For the writer: everything up to `end` is durable and readable.
    pub(super) fn completed(&self, end: u64) {
        self.progress.send_modify(|progress| progress.durable = end);
    }

    /// For the writer: nothing can be written just now. Whoever waits for it is told so.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.progress.send_modify(|progress| progress.failed = true);
    }

    /// For the writer: a checkpoint that is taken from now on has everything that was left out.
    pub(super) fn take_in_again(&self) {
        // Under the lock, so that whoever leaves something out has done so before.
        let queue = self.queue.lock();
        self.failed.store(false, Ordering::Release);
        drop(queue);
    }

    /// For the writer: such a checkpoint is durable.
    pub(super) fn recovered(&self) {
        self.progress
            .send_modify(|progress| progress.failed = false);
    }

    /// For the writer: waits for the next try; `false` when nobody will need it any more.
    pub(super) fn wait_before_retry(&self, pause: Duration) -> bool {
        let mut queue = self.queue.lock();
        let mut timed_out = false;
        while !queue.closed && !timed_out {
            timed_out = self.has_work.wait_for(&mut queue, pause).timed_out();
        }
        !queue.closed
    }
}
