//! The records of the journal and their bytes: length, checksum, kind, fields (little-endian).
//!
//! Every record sets a state rather than changing one, so that a checkpoint which is a little newer than its place in
//! the log does no harm: replaying what it already contains leads to the same end.

use crate::log::RememberedBatch;
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Length and checksum in front of a record.
pub(super) const FRAME_HEADER: usize = 8;
/// Bytes of a batch record before the batch: kind, topic, partition.
pub(super) const BATCH_PREFIX: usize = 9;

const BATCH: u8 = 1;
const TOPIC: u8 = 2;
const TOPIC_DELETED: u8 = 3;
const LOG_START: u8 = 4;
const OFFSET: u8 = 5;
const OFFSET_DELETED: u8 = 6;
const GROUP_DELETED: u8 = 7;
const PARTITION: u8 = 8;
const CHECKPOINT_END: u8 = 9;

/// A topic as it is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: u32,
    pub(crate) overrides: BTreeMap<String, String>,
}

/// What a partition remembers of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RememberedProducer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) batches: Vec<RememberedBatch>,
}

/// A change, or a part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Batch {
        topic: u32,
        partition: u32,
        batch: &'a [u8],
    },
    Topic(TopicRecord),
    TopicDeleted {
        topic: u32,
    },
    LogStart {
        topic: u32,
        partition: u32,
        offset: i64,
    },
    Offset {
        group: &'a str,
        topic: &'a str,
        partition: i32,
        offset: i64,
        leader_epoch: i32,
        metadata: &'a str,
    },
    OffsetDeleted {
        group: &'a str,
        topic: &'a str,
        partition: i32,
    },
    GroupDeleted {
        group: &'a str,
    },
    Partition {
        topic: u32,
        partition: u32,
        log_start: i64,
        high_watermark: i64,
        producers: Vec<RememberedProducer>,
    },
    /// Closes a checkpoint; with the number for the next new topic.
    CheckpointEnd {
        next_topic: u32,
    },
}

impl Record<'_> {
    /// Appends the record with its frame; the number of bytes it took.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.put_bytes(0, FRAME_HEADER);
        self.write_fields(out);
        let payload = start + FRAME_HEADER;
        let checksum = crc32c::crc32c(&out[payload..]);
        // Records are at most a few MiB: a batch is bounded by message.max.bytes, strings by the protocol.
        let length = u32::try_from(out.len() - payload).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..payload].copy_from_slice(&checksum.to_le_bytes());
        out.len() - start
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::Batch {
                topic,
                partition,
                batch,
            } => {
                out.put_u8(BATCH);
                out.put_u32_le(*topic);
                out.put_u32_le(*partition);
                out.put_slice(batch);
            }
            Self::Topic(topic) => {
                out.put_u8(TOPIC);
                out.put_u32_le(topic.number);
                put_text(out, &topic.name);
                out.put_slice(topic.id.as_bytes());
                out.put_u32_le(topic.partitions);
                put_count(out, topic.overrides.len());
                for (key, value) in &topic.overrides {
                    put_text(out, key);
                    put_text(out, value);
                }
            }
            Self::TopicDeleted { topic } => {
                out.put_u8(TOPIC_DELETED);
                out.put_u32_le(*topic);
            }
            Self::LogStart {
                topic,
                partition,
                offset,
            } => {
                out.put_u8(LOG_START);
                out.put_u32_le(*topic);
                out.put_u32_le(*partition);
                out.put_i64_le(*offset);
            }
            Self::Offset {
                group,
                topic,
                partition,
                offset,
                leader_epoch,
                metadata,
            } => {
                out.put_u8(OFFSET);
                put_text(out, group);
                put_text(out, topic);
                out.put_i32_le(*partition);
                out.put_i64_le(*offset);
                out.put_i32_le(*leader_epoch);
                put_text(out, metadata);
            }
            Self::OffsetDeleted {
                group,
                topic,
                partition,
            } => {
                out.put_u8(OFFSET_DELETED);
                put_text(out, group);
                put_text(out, topic);
                out.put_i32_le(*partition);
            }
            Self::GroupDeleted { group } => {
                out.put_u8(GROUP_DELETED);
                put_text(out, group);
            }
            Self::Partition {
                topic,
                partition,
                log_start,
                high_watermark,
                producers,
            } => {
                out.put_u8(PARTITION);
                out.put_u32_le(*topic);
                out.put_u32_le(*partition);
                out.put_i64_le(*log_start);
                out.put_i64_le(*high_watermark);
                put_producers(out, producers);
            }
            Self::CheckpointEnd { next_topic } => {
                out.put_u8(CHECKPOINT_END);
                out.put_u32_le(*next_topic);
            }
        }
    }
}

impl<'a> Record<'a> {
    /// Takes the next record off the bytes, with the bytes that it took; `None` where no whole record is.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut header = bytes.get(..FRAME_HEADER)?;
        let length = usize::try_from(header.get_u32_le()).ok()?;
        let checksum = header.get_u32_le();
        let payload = bytes.get(FRAME_HEADER..FRAME_HEADER.checked_add(length)?)?;
        if payload.is_empty() || crc32c::crc32c(payload) != checksum {
            return None;
        }
        Some((Self::read_fields(payload)?, FRAME_HEADER + length))
    }

    fn read_fields(mut from: &'a [u8]) -> Option<Self> {
        let from = &mut from;
        Some(match from.try_get_u8().ok()? {
            BATCH => Self::Batch {
                topic: from.try_get_u32_le().ok()?,
                partition: from.try_get_u32_le().ok()?,
                batch: from,
            },
            TOPIC => Self::Topic(read_topic(from)?),
            TOPIC_DELETED => Self::TopicDeleted {
                topic: from.try_get_u32_le().ok()?,
            },
            LOG_START => Self::LogStart {
                topic: from.try_get_u32_le().ok()?,
                partition: from.try_get_u32_le().ok()?,
                offset: from.try_get_i64_le().ok()?,
            },
            OFFSET => Self::Offset {
                group: take_text(from)?,
                topic: take_text(from)?,
                partition: from.try_get_i32_le().ok()?,
                offset: from.try_get_i64_le().ok()?,
                leader_epoch: from.try_get_i32_le().ok()?,
                metadata: take_text(from)?,
            },
            OFFSET_DELETED => Self::OffsetDeleted {
                group: take_text(from)?,
                topic: take_text(from)?,
                partition: from.try_get_i32_le().ok()?,
            },
            GROUP_DELETED => Self::GroupDeleted {
                group: take_text(from)?,
            },
            PARTITION => Self::Partition {
                topic: from.try_get_u32_le().ok()?,
                partition: from.try_get_u32_le().ok()?,
                log_start: from.try_get_i64_le().ok()?,
                high_watermark: from.try_get_i64_le().ok()?,
                producers: read_producers(from)?,
            },
            CHECKPOINT_END => Self::CheckpointEnd {
                next_topic: from.try_get_u32_le().ok()?,
            },
            _ => return None,
        })
    }
}

fn read_topic(from: &mut &[u8]) -> Option<TopicRecord> {
    let number = from.try_get_u32_le().ok()?;
    let name = take_text(from)?.to_owned();
    let id = Uuid::from_slice(from.split_off(..16)?).ok()?;
    let partitions = from.try_get_u32_le().ok()?;
    let mut overrides = BTreeMap::new();
    for _ in 0..from.try_get_u32_le().ok()? {
        overrides.insert(take_text(from)?.to_owned(), take_text(from)?.to_owned());
    }
    Some(TopicRecord {
        number,
        name,
        id,
        partitions,
        overrides,
    })
}

fn put_producers(out: &mut Vec<u8>, producers: &[RememberedProducer]) {
    put_count(out, producers.len());
    for producer in producers {
        out.put_i64_le(producer.id);
        out.put_i16_le(producer.epoch);
        put_count(out, producer.batches.len());
        for batch in &producer.batches {
            out.put_i32_le(batch.base_sequence);
            out.put_i32_le(batch.last_sequence);
            out.put_i64_le(batch.base_offset);
        }
    }
}

fn read_producers(from: &mut &[u8]) -> Option<Vec<RememberedProducer>> {
    let mut producers = Vec::new();
    for _ in 0..from.try_get_u32_le().ok()? {
        let id = from.try_get_i64_le().ok()?;
        let epoch = from.try_get_i16_le().ok()?;
        let mut batches = Vec::new();
        for _ in 0..from.try_get_u32_le().ok()? {
            batches.push(RememberedBatch {
                base_sequence: from.try_get_i32_le().ok()?,
                last_sequence: from.try_get_i32_le().ok()?,
                base_offset: from.try_get_i64_le().ok()?,
            });
        }
        producers.push(RememberedProducer { id, epoch, batches });
    }
    Some(producers)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.put_slice(text.as_bytes());
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    std::str::from_utf8(from.split_off(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_kinds() -> Vec<Record<'static>> {
        let batches = vec![RememberedBatch {
            base_sequence: 1,
            last_sequence: 2,
            base_offset: 3,
        }];
        vec![
            Record::Batch {
                topic: 1,
                partition: 2,
                batch: b"batch",
            },
            Record::Topic(TopicRecord {
                number: 1,
                name: "orders".to_owned(),
                id: Uuid::from_u64_pair(1, 2),
                partitions: 4,
                overrides: BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]),
            }),
            Record::TopicDeleted { topic: 1 },
            Record::LogStart {
                topic: 1,
                partition: 2,
                offset: 3,
            },
            Record::Offset {
                group: "g",
                topic: "t",
                partition: 1,
                offset: 2,
                leader_epoch: -1,
                metadata: "",
            },
            Record::OffsetDeleted {
                group: "g",
                topic: "t",
                partition: 1,
            },
            Record::GroupDeleted { group: "g" },
            Record::Partition {
                topic: 1,
                partition: 2,
                log_start: 3,
                high_watermark: 4,
                producers: vec![RememberedProducer {
                    id: 9,
                    epoch: 1,
                    batches,
                }],
            },
            Record::CheckpointEnd { next_topic: 7 },
        ]
    }

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        for record in all_kinds() {
            record.write(&mut bytes);
        }
        let mut rest = bytes.as_slice();
        for record in all_kinds() {
            let (read, taken) = Record::read(rest).unwrap();
            assert_eq!(read, record);
            rest = &rest[taken..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_cut_or_changed_record_is_no_record() {
        for record in all_kinds() {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            for length in 0..bytes.len() {
                assert_eq!(Record::read(&bytes[..length]), None);
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 0x10;
                assert_ne!(
                    Record::read(&changed).map(|(read, _)| read),
                    Some(record.clone())
                );
            }
        }
        assert_eq!(Record::read(&[0; 64]), None);
    }
}
