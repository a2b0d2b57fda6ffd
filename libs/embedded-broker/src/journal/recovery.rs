//! From the files of an earlier run back to its state.
//!
//! The newest segment is replayed from its checkpoint on; a torn end is cut off, since nothing behind it was
//! acknowledged. Older segments only tell where batches are: by their index files, or by a scan where there is none yet.

use super::index::{self, Entry};
use super::queue::Journal;
use super::record::{BATCH_PREFIX, FRAME_HEADER, Record, TopicRecord};
use super::segment::{self, MAGIC, Segment, storage};
use crate::error::BrokerError;
use crate::group::CommittedOffset;
use crate::log::{BatchHeader, DiskLog, ProducerStates};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A partition as it was.
#[derive(Debug, Default)]
pub(crate) struct RecoveredPartition {
    pub(crate) log_start: i64,
    pub(crate) next_offset: i64,
    pub(crate) producers: ProducerStates,
    pub(crate) disk: DiskLog,
}

/// A topic as it was.
#[derive(Debug)]
pub(crate) struct RecoveredTopic {
    pub(crate) record: TopicRecord,
    pub(crate) partitions: Vec<RecoveredPartition>,
}

/// Offsets of a group, by topic and partition.
type GroupOffsets = HashMap<(String, i32), CommittedOffset>;

/// What was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) journal: Arc<Journal>,
    pub(crate) topics: BTreeMap<u32, RecoveredTopic>,
    pub(crate) next_topic: u32,
    pub(crate) offsets: HashMap<String, GroupOffsets>,
    pub(crate) segments: VecDeque<Arc<Segment>>,
    pub(crate) lock: File,
}

/// The entries of one segment, by topic and partition.
type Entries = HashMap<(u32, u32), Vec<Entry>>;

/// Opens a data directory, which is made if there is none.
pub(crate) fn open(directory: &Path) -> Result<Recovered, BrokerError> {
    fs::create_dir_all(directory).map_err(storage("create", directory))?;
    let lock = lock(directory)?;
    let mut recovered = Recovered {
        journal: Journal::new(),
        topics: BTreeMap::new(),
        next_topic: 1,
        offsets: HashMap::new(),
        segments: VecDeque::new(),
        lock,
    };
    let mut numbers = segment::list(directory)?;
    while let Some(newest) = numbers.pop() {
        if let Some(entries) = recovered.replay(directory, newest)? {
            for older in numbers {
                recovered.add_older(directory, older)?;
            }
            recovered.add_entries(directory, newest, entries)?;
            break;
        }
        set_aside(&segment::log_path(directory, newest))?;
    }
    recovered.settle();
    Ok(recovered)
}

fn lock(directory: &Path) -> Result<File, BrokerError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(storage("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BrokerError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(storage("lock", &path)(source)),
    }
}

/// A segment without a whole checkpoint was being started when the process died; nothing in it was acknowledged. It
/// is renamed rather than removed, in case a disk rather than a crash did it.
fn set_aside(path: &Path) -> Result<(), BrokerError> {
    let aside: PathBuf = path.with_extension("incomplete");
    tracing::warn!(path = %path.display(), "a log segment without a complete checkpoint is set aside");
    fs::rename(path, aside).map_err(storage("rename", path))
}

impl Recovered {
    /// The highest id of a producer that is remembered.
    pub(crate) fn highest_producer_id(&self) -> Option<i64> {
        let partitions = self.topics.values().flat_map(|topic| &topic.partitions);
        partitions
            .filter_map(|partition| partition.producers.highest_id())
            .max()
    }

    /// Replays the newest segment; `None` when it has no whole checkpoint.
    fn replay(&mut self, directory: &Path, number: u64) -> Result<Option<Entries>, BrokerError> {
        let path = segment::log_path(directory, number);
        let bytes = fs::read(&path).map_err(storage("read", &path))?;
        let mut entries = Entries::new();
        let mut has_checkpoint = false;
        let end = walk(&bytes, |position, record| {
            has_checkpoint |= matches!(record, Record::CheckpointEnd { .. });
            self.apply(position, record, &mut entries);
        });
        if !has_checkpoint {
            self.topics.clear();
            self.offsets.clear();
            return Ok(None);
        }
        if end < bytes.len() {
            tracing::info!(path = %path.display(), bytes = bytes.len() - end, "cutting off the torn end of the log");
            let file = segment::open_for_append(directory, number, false)?;
            file.set_len(end as u64)
                .and_then(|()| file.sync_all())
                .map_err(storage("truncate", &path))?;
        }
        Ok(Some(entries))
    }

    fn apply(&mut self, position: usize, record: Record<'_>, entries: &mut Entries) {
        match record {
            Record::Batch {
                topic,
                partition,
                batch,
            } => {
                let Some((header, entry)) = batch_entry(position, batch) else {
                    return;
                };
                let Some(known) = self.partition(topic, partition) else {
                    return;
                };
                known.next_offset = known.next_offset.max(entry.last_offset + 1);
                if header.is_idempotent() {
                    known.producers.record(&header, header.base_offset);
                }
                entries.entry((topic, partition)).or_default().push(entry);
            }
            Record::Topic(topic) => self.put_topic(topic),
            Record::TopicDeleted { topic } => {
                if let Some(deleted) = self.topics.remove(&topic) {
                    for offsets in self.offsets.values_mut() {
                        offsets.retain(|(topic, _), _| *topic != deleted.record.name);
                    }
                }
            }
            Record::LogStart {
                topic,
                partition,
                offset,
            } => {
                if let Some(known) = self.partition(topic, partition) {
                    known.log_start = known.log_start.max(offset);
                }
            }
            Record::Offset {
                group,
                topic,
                partition,
                offset,
                leader_epoch,
                metadata,
            } => {
                let metadata = metadata.to_owned();
                let committed = CommittedOffset {
                    offset,
                    leader_epoch,
                    metadata,
                };
                let offsets = self.offsets.entry(group.to_owned()).or_default();
                offsets.insert((topic.to_owned(), partition), committed);
            }
            Record::OffsetDeleted {
                group,
                topic,
                partition,
            } => {
                if let Some(offsets) = self.offsets.get_mut(group) {
                    offsets.remove(&(topic.to_owned(), partition));
                }
            }
            Record::GroupDeleted { group } => {
                self.offsets.remove(group);
            }
            Record::Partition {
                topic,
                partition,
                log_start,
                high_watermark,
                producers,
            } => {
                if let Some(known) = self.partition(topic, partition) {
                    known.log_start = log_start;
                    known.next_offset = known.next_offset.max(high_watermark);
                    for producer in producers {
                        for batch in producer.batches {
                            known.producers.restore(producer.id, producer.epoch, batch);
                        }
                    }
                }
            }
            Record::CheckpointEnd { next_topic } => {
                self.next_topic = self.next_topic.max(next_topic);
            }
        }
    }

    fn put_topic(&mut self, record: TopicRecord) {
        self.next_topic = self.next_topic.max(record.number + 1);
        let count = usize::try_from(record.partitions).unwrap_or(0);
        let topic = self
            .topics
            .entry(record.number)
            .or_insert_with(|| RecoveredTopic {
                record: record.clone(),
                partitions: Vec::new(),
            });
        topic.record = record;
        topic
            .partitions
            .resize_with(count, RecoveredPartition::default);
    }

    fn partition(&mut self, topic: u32, partition: u32) -> Option<&mut RecoveredPartition> {
        let index = usize::try_from(partition).ok()?;
        self.topics.get_mut(&topic)?.partitions.get_mut(index)
    }

    /// Adds the batches of a segment that was not the newest.
    fn add_older(&mut self, directory: &Path, number: u64) -> Result<(), BrokerError> {
        let segment = Arc::new(Segment::open(directory, number)?);
        if let Some(indexed) = index::read(&segment) {
            for part in indexed {
                if let Some(known) = self.partition(part.topic, part.partition) {
                    known.disk.add_sealed(&segment, &part);
                }
            }
            self.segments.push_back(segment);
            return Ok(());
        }
        let path = segment::log_path(directory, number);
        let bytes = fs::read(&path).map_err(storage("read", &path))?;
        let mut entries = Entries::new();
        let end = walk(&bytes, |position, record| {
            if let Record::Batch {
                topic,
                partition,
                batch,
            } = record
                && let Some((_, entry)) = batch_entry(position, batch)
            {
                entries.entry((topic, partition)).or_default().push(entry);
            }
        });
        if end < bytes.len() {
            let position = end as u64;
            return Err(BrokerError::Corrupt { path, position });
        }
        drop(segment);
        self.add_entries(directory, number, entries)
    }

    fn add_entries(
        &mut self,
        directory: &Path,
        number: u64,
        entries: Entries,
    ) -> Result<(), BrokerError> {
        let segment = Arc::new(Segment::open(directory, number)?);
        for ((topic, partition), entries) in entries {
            if let Some(known) = self.partition(topic, partition) {
                for entry in entries {
                    known.disk.push(&segment, entry);
                }
            }
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Makes the parts agree: a log starts where its first batch is, and no producer is remembered for a batch that
    /// did not make it to the disk.
    fn settle(&mut self) {
        for partition in self
            .topics
            .values_mut()
            .flat_map(|topic| &mut topic.partitions)
        {
            let first = partition
                .disk
                .first_offset()
                .unwrap_or(partition.next_offset);
            partition.log_start = partition.log_start.max(first).min(partition.next_offset);
            partition.disk.drop_before(partition.log_start);
            partition.producers.forget_from(partition.next_offset);
        }
    }
}

/// Visits the records up to the first place where there is none; that place. Positions are those of the records.
fn walk<'a>(bytes: &'a [u8], mut visit: impl FnMut(usize, Record<'a>)) -> usize {
    if !bytes.starts_with(MAGIC) {
        return 0;
    }
    let mut position = MAGIC.len();
    while let Some((record, taken)) = Record::read(&bytes[position..]) {
        visit(position, record);
        position += taken;
    }
    position
}

fn batch_entry(record_position: usize, batch: &[u8]) -> Option<(BatchHeader, Entry)> {
    let header = BatchHeader::parse(batch)?;
    let entry = Entry {
        base_offset: header.base_offset,
        last_offset: header.base_offset + i64::from(header.last_offset_delta),
        max_timestamp: header.max_timestamp,
        position: u32::try_from(record_position + FRAME_HEADER + BATCH_PREFIX).ok()?,
        length: u32::try_from(batch.len()).ok()?,
    };
    Some((header, entry))
}
