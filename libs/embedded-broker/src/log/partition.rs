//! One partition: offsets, the readable end, its batches, and who waits for more.

use super::batch::BatchHeader;
use super::disk::DiskLog;
use super::outcome::{AppendError, Appended, Bounds, Read, ReadFault};
use super::producer_state::{ProducerStates, SequenceCheck};
use super::settings::LogSettings;
use super::tail::Tail;
use super::waiter::FetchWaiter;
use crate::journal::{
    Entry, IndexBlock, Journal, PendingBatch, Record, RecoveredPartition, RememberedProducer,
    Segment,
};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Where a partition of a durable broker is kept.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) journal: Arc<Journal>,
    pub(crate) tail_cache_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    log_start: i64,
    next_offset: i64,
    /// The readable end. Behind `next_offset` while batches are not durable yet.
    high_watermark: i64,
    tail: Tail,
    disk: DiskLog,
    producers: ProducerStates,
    waiters: Vec<Arc<FetchWaiter>>,
}

/// A partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    topic: u32,
    pub(crate) index: i32,
    home: Option<Home>,
    state: Mutex<State>,
}

impl Partition {
    pub(crate) fn new(topic: u32, index: i32, home: Option<Home>) -> Arc<Self> {
        Arc::new(Self {
            topic,
            index,
            home,
            state: Mutex::default(),
        })
    }

    pub(crate) fn restore(
        topic: u32,
        index: i32,
        home: Option<Home>,
        recovered: RecoveredPartition,
    ) -> Arc<Self> {
        let state = State {
            log_start: recovered.log_start,
            next_offset: recovered.next_offset,
            high_watermark: recovered.next_offset,
            disk: recovered.disk,
            producers: recovered.producers,
            ..State::default()
        };
        Arc::new(Self {
            topic,
            index,
            home,
            state: Mutex::new(state),
        })
    }

    /// Stores a validated batch and gives it its offset. In memory it can be read at once; on disk once it is durable.
    pub(crate) fn append(
        self: &Arc<Self>,
        batch: &[u8],
        header: &BatchHeader,
        settings: &LogSettings,
    ) -> Result<Appended, AppendError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let appended = |base_offset, log_start| Appended {
            base_offset,
            log_start,
        };
        if header.is_idempotent() {
            match state.producers.check(header) {
                SequenceCheck::Next => {}
                SequenceCheck::Duplicate(base_offset) => {
                    return Ok(appended(base_offset, state.log_start));
                }
                SequenceCheck::OutOfOrder => return Err(AppendError::OutOfOrder),
                SequenceCheck::Fenced => return Err(AppendError::Fenced),
            }
        }
        let base_offset = state.next_offset;
        let stored = state.tail.push(batch, header, base_offset);
        state.next_offset = stored.last_offset + 1;
        if header.is_idempotent() {
            state.producers.record(header, base_offset);
        }
        if let Some(home) = &self.home {
            let pending = PendingBatch {
                partition: Arc::clone(self),
                base_offset,
                last_offset: stored.last_offset,
                max_timestamp: stored.max_timestamp,
                length: u32::try_from(batch.len()).unwrap_or(u32::MAX),
                position: 0,
            };
            home.journal
                .batch(self.topic, self.number(), &stored.data, pending);
        } else {
            state.high_watermark = state.next_offset;
            state.wake(batch.len());
            state.keep_newest_in_memory(settings.retention_bytes);
        }
        Ok(appended(base_offset, state.log_start))
    }

    /// A batch is durable: it can be read from now on.
    pub(crate) fn committed(&self, segment: &Arc<Segment>, entry: Entry) {
        let limit = self.home.as_ref().map_or(0, |home| home.tail_cache_bytes);
        let mut state = self.state.lock();
        state.high_watermark = entry.last_offset + 1;
        state.disk.push(segment, entry);
        let end = state.high_watermark;
        while state.tail.bytes() > limit
            && state
                .tail
                .oldest()
                .is_some_and(|batch| batch.last_offset < end)
        {
            state.tail.pop_oldest();
        }
        state.wake(usize::try_from(entry.length).unwrap_or(usize::MAX));
    }

    /// Whole batches from the one that holds `offset`, at most `max_bytes` of them, or a single larger one when
    /// `at_least_one`.
    pub(crate) fn read(&self, offset: i64, max_bytes: usize, at_least_one: bool) -> Read {
        let state = self.state.lock();
        let mut read = Read {
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            ..Read::default()
        };
        let end = state.high_watermark;
        if offset < state.log_start || offset > state.next_offset {
            read.fault = Some(ReadFault::OutOfRange);
        } else if offset < end {
            if state
                .tail
                .oldest()
                .is_some_and(|oldest| oldest.base_offset <= offset)
            {
                (read.batches, read.bytes) = state.tail.read(offset, end, max_bytes, at_least_one);
            } else if max_bytes > 0 || at_least_one {
                read.from_disk = state.disk.plan(offset, end, max_bytes, at_least_one);
            }
        }
        read
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let state = self.state.lock();
        let bytes = if self.home.is_some() {
            state.disk.bytes()
        } else {
            state.tail.bytes()
        };
        Bounds {
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            bytes,
        }
    }

    /// The first record at or after a time, as (offset, timestamp). May block on the disk.
    pub(crate) fn find_timestamp(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        let state = self.state.lock();
        let log_start = state.log_start;
        let found = if self.home.is_some() {
            let plan = state.disk.plan_timestamp(timestamp);
            drop(state);
            plan.map_or(Ok(None), |plan| plan.run())?
        } else {
            let batch = state
                .tail
                .iter()
                .find(|batch| batch.max_timestamp >= timestamp);
            batch.and_then(|batch| {
                BatchHeader::parse(&batch.data)?.find_timestamp(&batch.data, timestamp)
            })
        };
        Ok(found.map(|(offset, at)| (offset.max(log_start), at)))
    }

    /// The record with the latest timestamp, as (offset, timestamp). May block on the disk.
    pub(crate) fn latest_timestamp(&self) -> io::Result<Option<(i64, i64)>> {
        let latest = {
            let state = self.state.lock();
            let in_memory = state.tail.iter().map(|batch| batch.max_timestamp).max();
            if self.home.is_some() {
                state.disk.max_timestamp()
            } else {
                in_memory
            }
        };
        latest.map_or(Ok(None), |timestamp| self.find_timestamp(timestamp))
    }

    /// Drops everything before `offset` (-1: everything readable); `None` when that is beyond the end.
    pub(crate) fn delete_before(&self, offset: i64) -> Option<i64> {
        let mut state = self.state.lock();
        let offset = if offset == -1 {
            state.high_watermark
        } else {
            offset
        };
        if offset < 0 || offset > state.high_watermark {
            return None;
        }
        state.advance_start(offset);
        if let Some(home) = &self.home {
            home.journal.record(&Record::LogStart {
                topic: self.topic,
                partition: self.number(),
                offset,
            });
        }
        Some(state.log_start)
    }

    /// Drops what is older than a time, and on disk the oldest beyond a size.
    pub(crate) fn retain(&self, oldest: Option<i64>, limit: u64) {
        let mut state = self.state.lock();
        if let Some(oldest) = oldest {
            let first = if self.home.is_some() {
                state.disk.first_not_older(oldest)
            } else {
                let mut batches = state.tail.iter();
                batches
                    .find(|batch| batch.max_timestamp >= oldest)
                    .map(|batch| batch.base_offset)
            };
            let start = first.unwrap_or(state.high_watermark);
            state.advance_start(start);
        }
        while let Some(start) = state.disk.surplus(limit) {
            state.advance_start(start);
        }
    }

    /// A segment is about to be deleted, and with it all before it.
    pub(crate) fn drop_through(&self, segment: u64) {
        let mut state = self.state.lock();
        if let Some(start) = state.disk.drop_through(segment) {
            state.advance_start(start);
        }
    }

    /// The first segment that this partition still needs.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.state.lock().disk.oldest_segment()
    }

    /// Segments before the newest whose entries are still in memory.
    pub(crate) fn unsealed_before(&self, newest: u64) -> Vec<(Arc<Segment>, Vec<Entry>)> {
        self.state.lock().disk.unsealed_before(newest)
    }

    /// The entries of a segment are in its index file now.
    pub(crate) fn seal(&self, segment: u64, block: IndexBlock) {
        self.state.lock().disk.seal(segment, block);
    }

    /// What a checkpoint says: start, durable end, producers.
    pub(crate) fn checkpoint(&self) -> (i64, i64, Vec<RememberedProducer>) {
        let state = self.state.lock();
        (
            state.log_start,
            state.high_watermark,
            state.producers.remembered(),
        )
    }

    /// Adds a waiter for data beyond `seen`, the readable end that it knows.
    pub(crate) fn register(&self, waiter: &Arc<FetchWaiter>, seen: i64) {
        let mut state = self.state.lock();
        if state.high_watermark > seen {
            waiter.arrived(usize::MAX);
        }
        state.waiters.push(Arc::clone(waiter));
    }

    pub(crate) fn deregister(&self, waiter: &Arc<FetchWaiter>) {
        let mut state = self.state.lock();
        if let Some(position) = state
            .waiters
            .iter()
            .position(|one| Arc::ptr_eq(one, waiter))
        {
            state.waiters.swap_remove(position);
        }
    }

    /// Wakes everyone who waits, for example because the topic is gone.
    pub(crate) fn wake_all(&self) {
        self.state.lock().wake(usize::MAX);
    }

    /// The index as it is on disk.
    fn number(&self) -> u32 {
        self.index.cast_unsigned()
    }
}

impl State {
    fn wake(&self, bytes: usize) {
        for waiter in &self.waiters {
            waiter.arrived(bytes);
        }
    }

    /// Drops the oldest batches beyond a size; the newest always stays.
    fn keep_newest_in_memory(&mut self, limit: u64) {
        while self.tail.bytes() > limit && self.tail.len() > 1 {
            self.tail.pop_oldest();
            if let Some(oldest) = self.tail.oldest() {
                self.log_start = self.log_start.max(oldest.base_offset);
            }
        }
    }

    fn advance_start(&mut self, offset: i64) {
        self.log_start = self.log_start.max(offset);
        while self
            .tail
            .oldest()
            .is_some_and(|batch| batch.last_offset < self.log_start)
        {
            self.tail.pop_oldest();
        }
        self.disk.drop_before(self.log_start);
    }
}
