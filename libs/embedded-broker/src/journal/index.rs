//! Where the batches of a segment are. In memory while the segment is young; then in the segment's index file:
//! the entries of each partition as one block, a directory of the blocks, and a footer that finds the directory.

use super::segment::{Segment, storage, sync_directory};
use crate::error::BrokerError;
use bytes::{Buf, BufMut};
use std::fs::{self, File};
use std::io::{self, Write};

const MAGIC: u64 = 0x5347_4c49_4458_3031;
const ENTRY_LEN: usize = 32;
const DIRECTORY_ENTRY_LEN: usize = 56;
const FOOTER_LEN: usize = 24;

/// Where one batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) position: u32,
    pub(crate) length: u32,
}

/// Where the entries of one partition are in an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexBlock {
    position: u64,
    count: u32,
    checksum: u32,
}

impl IndexBlock {
    /// Reads the entries.
    pub(crate) fn load(&self, segment: &Segment) -> io::Result<Vec<Entry>> {
        let length = usize::try_from(self.count)
            .unwrap_or(usize::MAX)
            .saturating_mul(ENTRY_LEN);
        let bytes = segment.read_index(self.position, length)?;
        if crc32c::crc32c(&bytes) != self.checksum {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an index file is damaged",
            ));
        }
        let mut entries = Vec::with_capacity(bytes.len() / ENTRY_LEN);
        let mut bytes = bytes.as_slice();
        while bytes.remaining() >= ENTRY_LEN {
            entries.push(Entry {
                base_offset: bytes.get_i64_le(),
                last_offset: bytes.get_i64_le(),
                max_timestamp: bytes.get_i64_le(),
                position: bytes.get_u32_le(),
                length: bytes.get_u32_le(),
            });
        }
        Ok(entries)
    }
}

/// One partition's part of a segment, as its index file knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexedPartition {
    pub(crate) topic: u32,
    pub(crate) partition: u32,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
    pub(crate) block: IndexBlock,
}

/// Writes the index file of a segment; complete or not at all.
pub(super) fn write(
    segment: &Segment,
    partitions: &[(u32, u32, Vec<Entry>)],
) -> Result<Vec<IndexedPartition>, BrokerError> {
    let mut out = Vec::new();
    let mut indexed = Vec::with_capacity(partitions.len());
    for (topic, partition, entries) in partitions {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            continue;
        };
        let position = out.len();
        for entry in entries {
            out.put_i64_le(entry.base_offset);
            out.put_i64_le(entry.last_offset);
            out.put_i64_le(entry.max_timestamp);
            out.put_u32_le(entry.position);
            out.put_u32_le(entry.length);
        }
        indexed.push(IndexedPartition {
            topic: *topic,
            partition: *partition,
            first_offset: first.base_offset,
            last_offset: last.last_offset,
            max_timestamp: entries
                .iter()
                .map(|entry| entry.max_timestamp)
                .max()
                .unwrap_or(-1),
            bytes: entries.iter().map(|entry| u64::from(entry.length)).sum(),
            block: IndexBlock {
                position: position as u64,
                count: u32::try_from(entries.len()).unwrap_or(u32::MAX),
                checksum: crc32c::crc32c(&out[position..]),
            },
        });
    }
    let directory = out.len();
    for one in &indexed {
        out.put_u32_le(one.topic);
        out.put_u32_le(one.partition);
        out.put_i64_le(one.first_offset);
        out.put_i64_le(one.last_offset);
        out.put_i64_le(one.max_timestamp);
        out.put_u64_le(one.bytes);
        out.put_u64_le(one.block.position);
        out.put_u32_le(one.block.count);
        out.put_u32_le(one.block.checksum);
    }
    let checksum = crc32c::crc32c(&out[directory..]);
    out.put_u64_le(MAGIC);
    out.put_u64_le(directory as u64);
    out.put_u32_le(checksum);
    out.put_u32_le(u32::try_from(indexed.len()).unwrap_or(u32::MAX));
    replace_file(segment, &out)?;
    Ok(indexed)
}

/// Under another name first, so that an index file is always whole.
fn replace_file(segment: &Segment, bytes: &[u8]) -> Result<(), BrokerError> {
    let path = segment.index_path();
    let unfinished = path.with_extension("unfinished");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)
    };
    write().map_err(storage("write", &path))?;
    sync_directory(segment.directory())
}

/// The partitions in a segment's index file; `None` when there is none, or it is damaged: the segment is then scanned.
pub(super) fn read(segment: &Segment) -> Option<Vec<IndexedPartition>> {
    let size = usize::try_from(fs::metadata(segment.index_path()).ok()?.len()).ok()?;
    let footer_at = size.checked_sub(FOOTER_LEN)?;
    let footer = segment.read_index(footer_at as u64, FOOTER_LEN).ok()?;
    let mut footer = footer.as_slice();
    if footer.get_u64_le() != MAGIC {
        return None;
    }
    let directory_at = usize::try_from(footer.get_u64_le()).ok()?;
    let checksum = footer.get_u32_le();
    let count = usize::try_from(footer.get_u32_le()).ok()?;
    let length = footer_at.checked_sub(directory_at)?;
    let directory = segment.read_index(directory_at as u64, length).ok()?;
    if length != count.checked_mul(DIRECTORY_ENTRY_LEN)? || crc32c::crc32c(&directory) != checksum {
        return None;
    }
    let mut rest = directory.as_slice();
    let mut partitions = Vec::with_capacity(count);
    while rest.has_remaining() {
        partitions.push(IndexedPartition {
            topic: rest.get_u32_le(),
            partition: rest.get_u32_le(),
            first_offset: rest.get_i64_le(),
            last_offset: rest.get_i64_le(),
            max_timestamp: rest.get_i64_le(),
            bytes: rest.get_u64_le(),
            block: IndexBlock {
                position: rest.get_u64_le(),
                count: rest.get_u32_le(),
                checksum: rest.get_u32_le(),
            },
        });
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::segment::open_for_append;

    fn entry(offset: i64, position: u32) -> Entry {
        Entry {
            base_offset: offset,
            last_offset: offset + 4,
            max_timestamp: offset * 10,
            position,
            length: 100,
        }
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        open_for_append(directory.path(), 1, true).unwrap();
        let segment = Segment::open(directory.path(), 1).unwrap();
        assert_eq!(read(&segment), None);
        let entries = [vec![entry(0, 8), entry(5, 208)], vec![entry(70, 108)]];
        let written = write(
            &segment,
            &[(1, 0, entries[0].clone()), (1, 2, entries[1].clone())],
        )
        .unwrap();
        let found = read(&segment).unwrap();
        assert_eq!(found, written);
        assert_eq!(
            (found[0].first_offset, found[0].last_offset, found[0].bytes),
            (0, 9, 200)
        );
        assert_eq!(found[0].block.load(&segment).unwrap(), entries[0]);
        assert_eq!(found[1].block.load(&segment).unwrap(), entries[1]);
    }

    #[test]
    fn a_damaged_index_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        open_for_append(directory.path(), 1, true).unwrap();
        let segment = Segment::open(directory.path(), 1).unwrap();
        write(&segment, &[(1, 0, vec![entry(0, 8)])]).unwrap();
        let good = fs::read(segment.index_path()).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(segment.index_path(), bad).unwrap();
            let fresh = Segment::open(directory.path(), 1).unwrap();
            let believed = read(&fresh).is_some_and(|found| found[0].block.load(&fresh).is_ok());
            assert!(!believed, "byte {at}");
        }
    }
}
