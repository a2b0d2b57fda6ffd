//! One partition: offsets, the readable end, the newest batches in memory, and who waits for more.

use super::batch::BatchHeader;
use super::producer_state::{ProducerStates, SequenceCheck};
use super::waiter::FetchWaiter;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// All batches carry this leader epoch: there is one leader, for ever.
pub(crate) const LEADER_EPOCH: i32 = 0;
const SMALLEST_CHUNK: usize = 16 << 10;
const LARGEST_CHUNK: usize = 256 << 10;

/// The limits that apply to a topic's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) retention_bytes: u64,
    pub(crate) retention: Option<Duration>,
    pub(crate) message_max_bytes: usize,
}

/// A batch that is kept in memory.
#[derive(Debug, Clone)]
struct Stored {
    base_offset: i64,
    last_offset: i64,
    max_timestamp: i64,
    data: Bytes,
}

#[derive(Debug, Default)]
struct State {
    log_start: i64,
    next_offset: i64,
    high_watermark: i64,
    batches: VecDeque<Stored>,
    bytes: u64,
    chunk: BytesMut,
    producers: ProducerStates,
    waiters: Vec<Arc<FetchWaiter>>,
}

/// A partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    state: Mutex<State>,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) log_start: i64,
}

/// Why an idempotent producer's batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the sequence number does not follow the last one")]
    OutOfOrder,
    #[error("a newer instance of this producer has taken over")]
    Fenced,
}

/// What a fetch of one partition finds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) out_of_range: bool,
    pub(crate) batches: Vec<Bytes>,
    pub(crate) bytes: usize,
}

/// The bounds of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) bytes: u64,
}

impl Partition {
    pub(crate) fn new(index: i32) -> Arc<Self> {
        Arc::new(Self {
            index,
            state: Mutex::default(),
        })
    }

    /// Stores a validated batch and gives it its offset.
    pub(crate) fn append(
        &self,
        batch: &[u8],
        header: &BatchHeader,
        settings: &LogSettings,
    ) -> Result<Appended, AppendError> {
        let mut state = self.state.lock();
        if header.is_idempotent() {
            match state.producers.check(header) {
                SequenceCheck::Next => {}
                SequenceCheck::Duplicate(base_offset) => {
                    return Ok(Appended {
                        base_offset,
                        log_start: state.log_start,
                    });
                }
                SequenceCheck::OutOfOrder => return Err(AppendError::OutOfOrder),
                SequenceCheck::Fenced => return Err(AppendError::Fenced),
            }
        }
        let base_offset = state.push(batch, header);
        if header.is_idempotent() {
            state.producers.record(header, base_offset);
        }
        state.high_watermark = state.next_offset;
        for waiter in &state.waiters {
            waiter.arrived(batch.len());
        }
        state.retain_bytes(settings.retention_bytes);
        Ok(Appended {
            base_offset,
            log_start: state.log_start,
        })
    }

    /// Whole batches from the one that holds `offset`, at most `max_bytes` of them, or a single larger one when
    /// `at_least_one`.
    pub(crate) fn read(&self, offset: i64, max_bytes: usize, at_least_one: bool) -> Read {
        let state = self.state.lock();
        let mut read = Read {
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            out_of_range: offset < state.log_start || offset > state.next_offset,
            ..Read::default()
        };
        if read.out_of_range || offset >= state.high_watermark {
            return read;
        }
        let first = state.batches.partition_point(|batch| batch.last_offset < offset);
        for batch in state.batches.range(first..) {
            let fits = read.bytes + batch.data.len() <= max_bytes;
            let forced = at_least_one && read.batches.is_empty();
            if batch.last_offset >= state.high_watermark || !(fits || forced) {
                break;
            }
            read.bytes += batch.data.len();
            read.batches.push(batch.data.clone());
        }
        read
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let state = self.state.lock();
        Bounds {
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            bytes: state.bytes,
        }
    }

    /// The first record at or after a time, as (offset, timestamp).
    pub(crate) fn find_timestamp(&self, timestamp: i64) -> Option<(i64, i64)> {
        let state = self.state.lock();
        state
            .batches
            .iter()
            .take_while(|batch| batch.last_offset < state.high_watermark)
            .find(|batch| batch.max_timestamp >= timestamp)
            .and_then(|batch| BatchHeader::parse(&batch.data)?.find_timestamp(&batch.data, timestamp))
            .map(|(offset, at)| (offset.max(state.log_start), at))
    }

    /// The record with the latest timestamp, as (offset, timestamp).
    pub(crate) fn latest_timestamp(&self) -> Option<(i64, i64)> {
        let latest = {
            let state = self.state.lock();
            state.batches.iter().map(|batch| batch.max_timestamp).max()
        };
        latest.and_then(|timestamp| self.find_timestamp(timestamp))
    }

    /// Drops everything before `offset` (-1: everything readable); `None` when that is beyond the end.
    pub(crate) fn delete_before(&self, offset: i64) -> Option<i64> {
        let mut state = self.state.lock();
        let offset = if offset == -1 { state.high_watermark } else { offset };
        if offset < 0 || offset > state.high_watermark {
            return None;
        }
        state.advance_start(offset);
        Some(state.log_start)
    }

    /// Drops batches whose newest record is older than `oldest`.
    pub(crate) fn delete_older_than(&self, oldest: i64) {
        let mut state = self.state.lock();
        let keep = state
            .batches
            .iter()
            .find(|batch| batch.max_timestamp >= oldest || batch.last_offset >= state.high_watermark)
            .map_or(state.high_watermark, |batch| batch.base_offset);
        state.advance_start(keep);
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
        if let Some(position) = state.waiters.iter().position(|one| Arc::ptr_eq(one, waiter)) {
            state.waiters.swap_remove(position);
        }
    }

    /// Wakes everyone who waits, for example because the topic is gone.
    pub(crate) fn wake_all(&self) {
        for waiter in &self.state.lock().waiters {
            waiter.arrived(usize::MAX);
        }
    }
}

impl State {
    /// Copies the batch into the partition's current chunk, so that a small batch does not pin the buffer that it was
    /// read into.
    fn push(&mut self, batch: &[u8], header: &BatchHeader) -> i64 {
        let base_offset = self.next_offset;
        if self.chunk.capacity() - self.chunk.len() < batch.len() {
            let size = usize::try_from(self.bytes / 8)
                .unwrap_or(LARGEST_CHUNK)
                .clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
            self.chunk = BytesMut::with_capacity(size.max(batch.len()));
        }
        self.chunk.extend_from_slice(batch);
        BatchHeader::assign(&mut self.chunk, base_offset, LEADER_EPOCH);
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        self.batches.push_back(Stored {
            base_offset,
            last_offset,
            max_timestamp: header.max_timestamp,
            data: self.chunk.split().freeze(),
        });
        self.bytes += batch.len() as u64;
        self.next_offset = last_offset + 1;
        base_offset
    }

    /// Drops the oldest batches beyond a size; the newest always stays.
    fn retain_bytes(&mut self, limit: u64) {
        while self.bytes > limit && self.batches.len() > 1 {
            self.drop_oldest();
            if let Some(oldest) = self.batches.front() {
                self.log_start = self.log_start.max(oldest.base_offset);
            }
        }
    }

    fn advance_start(&mut self, offset: i64) {
        self.log_start = self.log_start.max(offset);
        while self.batches.front().is_some_and(|batch| batch.last_offset < self.log_start) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.data.len() as u64;
        }
    }
}
