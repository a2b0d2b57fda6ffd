//! The newest batches of a partition, in memory: all there is without a data directory, a cache for the consumers that
//! keep up with one.

use super::batch::BatchHeader;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// All batches carry this leader epoch: there is one leader, for ever.
const LEADER_EPOCH: i32 = 0;
const SMALLEST_CHUNK: usize = 16 << 10;
const LARGEST_CHUNK: usize = 256 << 10;

/// A batch with its offsets.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) base_offset: i64,
    pub(super) last_offset: i64,
    pub(super) max_timestamp: i64,
    pub(super) data: Bytes,
}

/// Batches without a gap up to the end of the log.
#[derive(Debug, Default)]
pub(super) struct Tail {
    batches: VecDeque<Stored>,
    bytes: u64,
    chunk: BytesMut,
}

impl Tail {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    pub(super) fn oldest(&self) -> Option<&Stored> {
        self.batches.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.batches.iter()
    }

    /// Copies the batch into the current chunk, so that a small batch does not pin the buffer that it was read into.
    pub(super) fn push(&mut self, batch: &[u8], header: &BatchHeader, base_offset: i64) -> &Stored {
        if self.chunk.capacity() < batch.len() {
            let size = usize::try_from(self.bytes / 8)
                .unwrap_or(LARGEST_CHUNK)
                .clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
            self.chunk = BytesMut::with_capacity(size.max(batch.len()));
        }
        self.chunk.extend_from_slice(batch);
        BatchHeader::assign(&mut self.chunk, base_offset, LEADER_EPOCH);
        self.bytes += batch.len() as u64;
        self.batches.push_back(Stored {
            base_offset,
            last_offset: base_offset + i64::from(header.last_offset_delta),
            max_timestamp: header.max_timestamp,
            data: self.chunk.split().freeze(),
        });
        &self.batches[self.batches.len() - 1]
    }

    pub(super) fn pop_oldest(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.data.len() as u64;
        }
    }

    /// Whole batches from the one that holds `offset`, up to the readable end.
    pub(super) fn read(
        &self,
        offset: i64,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> (Vec<Bytes>, usize) {
        let first = self
            .batches
            .partition_point(|batch| batch.last_offset < offset);
        let mut read = Vec::new();
        let mut bytes = 0;
        for batch in self.batches.range(first..) {
            let fits = bytes + batch.data.len() <= max_bytes || (at_least_one && read.is_empty());
            if batch.last_offset >= end || !fits {
                break;
            }
            bytes += batch.data.len();
            read.push(batch.data.clone());
        }
        (read, bytes)
    }
}
