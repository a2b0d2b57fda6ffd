//! The part of a partition that is on disk: which segments hold it, and where in them its batches are.

use super::batch::BatchHeader;
use crate::journal::{Entry, IndexBlock, IndexedPartition, Segment};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Where the entries of a range are.
#[derive(Debug, Clone)]
enum Entries {
    Memory(Vec<Entry>),
    /// In the segment's index file.
    Sealed(IndexBlock),
}

/// One partition's batches in one segment.
#[derive(Debug, Clone)]
struct Range {
    segment: Arc<Segment>,
    first_offset: i64,
    last_offset: i64,
    max_timestamp: i64,
    bytes: u64,
    entries: Entries,
}

/// One partition's batches on disk, oldest first.
#[derive(Debug, Default)]
pub(crate) struct DiskLog {
    ranges: VecDeque<Range>,
    bytes: u64,
}

/// A read that has been decided on under the partition's lock, to be done without it.
#[derive(Debug)]
pub(crate) struct DiskRead {
    segment: Arc<Segment>,
    entries: Entries,
    offset: i64,
    end: i64,
    max_bytes: usize,
    at_least_one: bool,
}

impl DiskLog {
    pub(crate) fn push(&mut self, segment: &Arc<Segment>, entry: Entry) {
        self.bytes += u64::from(entry.length);
        if let Some(newest) = self.ranges.back_mut()
            && newest.segment.number == segment.number
            && let Entries::Memory(entries) = &mut newest.entries
        {
            newest.last_offset = entry.last_offset;
            newest.max_timestamp = newest.max_timestamp.max(entry.max_timestamp);
            newest.bytes += u64::from(entry.length);
            entries.push(entry);
            return;
        }
        self.ranges.push_back(Range {
            segment: Arc::clone(segment),
            first_offset: entry.base_offset,
            last_offset: entry.last_offset,
            max_timestamp: entry.max_timestamp,
            bytes: u64::from(entry.length),
            entries: Entries::Memory(vec![entry]),
        });
    }

    pub(crate) fn add_sealed(&mut self, segment: &Arc<Segment>, indexed: &IndexedPartition) {
        self.bytes += indexed.bytes;
        self.ranges.push_back(Range {
            segment: Arc::clone(segment),
            first_offset: indexed.first_offset,
            last_offset: indexed.last_offset,
            max_timestamp: indexed.max_timestamp,
            bytes: indexed.bytes,
            entries: Entries::Sealed(indexed.block),
        });
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn first_offset(&self) -> Option<i64> {
        self.ranges.front().map(|range| range.first_offset)
    }

    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.ranges.front().map(|range| range.segment.number)
    }

    /// Lets go of ranges that end before `offset`.
    pub(crate) fn drop_before(&mut self, offset: i64) {
        while self
            .ranges
            .front()
            .is_some_and(|range| range.last_offset < offset)
        {
            self.drop_oldest();
        }
    }

    /// Lets go of a segment and all before it; the offset behind it, if there was anything.
    pub(crate) fn drop_through(&mut self, segment: u64) -> Option<i64> {
        let mut behind = None;
        while self
            .ranges
            .front()
            .is_some_and(|range| range.segment.number <= segment)
        {
            behind = self.drop_oldest();
        }
        behind
    }

    /// The offset behind the oldest range, if others follow and the log is over `limit` bytes even without it.
    pub(crate) fn surplus(&self, limit: u64) -> Option<i64> {
        let oldest = self.ranges.front()?;
        (self.ranges.len() > 1 && self.bytes - oldest.bytes >= limit)
            .then_some(oldest.last_offset + 1)
    }

    /// The offset of the first batch that is not older than a time, as far as that is known without reading the disk.
    pub(crate) fn first_not_older(&self, oldest: i64) -> Option<i64> {
        let range = self
            .ranges
            .iter()
            .find(|range| range.max_timestamp >= oldest)?;
        match &range.entries {
            Entries::Sealed(_) => Some(range.first_offset),
            Entries::Memory(entries) => {
                let entry = entries.iter().find(|entry| entry.max_timestamp >= oldest);
                entry.map(|entry| entry.base_offset)
            }
        }
    }

    pub(crate) fn max_timestamp(&self) -> Option<i64> {
        self.ranges.iter().map(|range| range.max_timestamp).max()
    }

    fn drop_oldest(&mut self) -> Option<i64> {
        let range = self.ranges.pop_front()?;
        self.bytes -= range.bytes;
        Some(range.last_offset + 1)
    }

    /// Segments whose entries are still in memory though a newer segment is being written.
    pub(crate) fn unsealed_before(&self, newest: u64) -> Vec<(Arc<Segment>, Vec<Entry>)> {
        let unsealed = self.ranges.iter().filter_map(|range| match &range.entries {
            Entries::Memory(entries) if range.segment.number < newest => {
                Some((Arc::clone(&range.segment), entries.clone()))
            }
            _ => None,
        });
        unsealed.collect()
    }

    /// The entries of this segment are in its index file now.
    pub(crate) fn seal(&mut self, segment: u64, block: IndexBlock) {
        if let Some(range) = self
            .ranges
            .iter_mut()
            .find(|range| range.segment.number == segment)
        {
            range.entries = Entries::Sealed(block);
        }
    }

    /// Decides what to read for a fetch: from `offset` on, not beyond `end`.
    pub(crate) fn plan(
        &self,
        offset: i64,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<DiskRead> {
        let at = self
            .ranges
            .partition_point(|range| range.last_offset < offset);
        let range = self.ranges.get(at)?;
        let entries = match &range.entries {
            Entries::Sealed(block) => Entries::Sealed(*block),
            Entries::Memory(entries) => {
                let wanted = select(entries, offset, end, max_bytes, at_least_one);
                Entries::Memory(wanted.to_vec())
            }
        };
        Some(DiskRead {
            segment: Arc::clone(&range.segment),
            entries,
            offset,
            end,
            max_bytes,
            at_least_one,
        })
    }

    /// Decides where to look for the first record at or after a time.
    pub(crate) fn plan_timestamp(&self, timestamp: i64) -> Option<TimestampRead> {
        let range = self
            .ranges
            .iter()
            .find(|range| range.max_timestamp >= timestamp)?;
        Some(TimestampRead {
            segment: Arc::clone(&range.segment),
            entries: range.entries.clone(),
            timestamp,
        })
    }
}

/// The entries that a fetch takes.
fn select(
    entries: &[Entry],
    offset: i64,
    end: i64,
    max_bytes: usize,
    at_least_one: bool,
) -> &[Entry] {
    let first = entries.partition_point(|entry| entry.last_offset < offset);
    let mut bytes = 0_usize;
    let mut count = 0;
    for entry in &entries[first..] {
        bytes = bytes.saturating_add(usize::try_from(entry.length).unwrap_or(usize::MAX));
        if entry.last_offset >= end || (bytes > max_bytes && !(at_least_one && count == 0)) {
            break;
        }
        count += 1;
    }
    &entries[first..first + count]
}

impl DiskRead {
    /// Bytes that it may read, unless a single batch is larger.
    pub(crate) fn at_most(&self) -> usize {
        self.max_bytes.max(1)
    }

    /// Reads the batches. Blocks on the disk.
    pub(crate) fn run(&self) -> io::Result<Vec<Bytes>> {
        match &self.entries {
            Entries::Memory(entries) => read_all(&self.segment, entries),
            Entries::Sealed(block) => {
                let entries = block.load(&self.segment)?;
                let wanted = select(
                    &entries,
                    self.offset,
                    self.end,
                    self.max_bytes,
                    self.at_least_one,
                );
                read_all(&self.segment, wanted)
            }
        }
    }
}

/// A search by time that has been decided on under the partition's lock.
#[derive(Debug)]
pub(crate) struct TimestampRead {
    segment: Arc<Segment>,
    entries: Entries,
    timestamp: i64,
}

impl TimestampRead {
    /// The first record at or after the time, as (offset, timestamp). Blocks on the disk.
    pub(crate) fn run(&self) -> io::Result<Option<(i64, i64)>> {
        let loaded;
        let entries = match &self.entries {
            Entries::Memory(entries) => entries,
            Entries::Sealed(block) => {
                loaded = block.load(&self.segment)?;
                &loaded
            }
        };
        let Some(entry) = entries
            .iter()
            .find(|entry| entry.max_timestamp >= self.timestamp)
        else {
            return Ok(None);
        };
        let batch = read_one(&self.segment, entry)?;
        Ok(BatchHeader::parse(&batch)
            .and_then(|header| header.find_timestamp(&batch, self.timestamp)))
    }
}

fn read_all(segment: &Segment, entries: &[Entry]) -> io::Result<Vec<Bytes>> {
    entries
        .iter()
        .map(|entry| read_one(segment, entry))
        .collect()
}

/// Reads a batch and makes sure that it is the one that was looked for.
fn read_one(segment: &Segment, entry: &Entry) -> io::Result<Bytes> {
    let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
    let bytes = segment.read(entry.position.into(), length)?;
    match BatchHeader::parse(&bytes) {
        Some(header) if header.base_offset == entry.base_offset && header.size == length => {
            Ok(Bytes::from(bytes))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a batch in the log is damaged",
        )),
    }
}
