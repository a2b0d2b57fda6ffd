//! The one thread that writes: takes what is queued, writes it, makes it durable, then makes it visible.

use super::checkpoint;
use super::index::{self, Entry};
use super::queue::{Journal, Work};
use super::segment::{MAGIC, Segment, log_path, open_for_append, storage, sync_directory};
use crate::error::BrokerError;
use crate::group::GroupCoordinator;
use crate::log::{Partition, TopicRegistry};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Buffers that a burst has grown beyond this are given back.
const KEPT_BUFFER: usize = 4 << 20;

/// How long the writer waits before it tries to write again what could not be written.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The journal was closed before everything could be written.
#[derive(Debug)]
struct Closed;

/// How the journal is written.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) directory: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) fsync: bool,
}

/// The segments on disk, oldest first; the last one is written to.
pub(crate) type Segments = Mutex<VecDeque<Arc<Segment>>>;

/// What the writing thread owns.
#[derive(Debug)]
pub(crate) struct Writer {
    journal: Arc<Journal>,
    options: Options,
    topics: Arc<TopicRegistry>,
    groups: Arc<GroupCoordinator>,
    segments: Arc<Segments>,
    file: File,
    segment: Arc<Segment>,
    length: u64,
    /// Held as long as this process writes to the directory.
    _lock: File,
}

impl Writer {
    /// Goes on behind what was recovered, or starts the first segment.
    pub(crate) fn new(
        journal: Arc<Journal>,
        options: Options,
        topics: Arc<TopicRegistry>,
        groups: Arc<GroupCoordinator>,
        segments: Arc<Segments>,
        lock: File,
    ) -> Result<Self, BrokerError> {
        let newest = segments.lock().back().cloned();
        let (file, segment, length) = if let Some(segment) = newest {
            let file = open_for_append(&options.directory, segment.number, false)?;
            let length = segment
                .log_bytes()
                .map_err(storage("read", &segment.log_path()))?;
            (file, segment, length)
        } else {
            let started = start_segment(&options, 1, &topics, &groups)?;
            segments.lock().push_back(Arc::clone(&started.1));
            started
        };
        Ok(Self {
            journal,
            options,
            topics,
            groups,
            segments,
            file,
            segment,
            length,
            _lock: lock,
        })
    }

    /// Writes until the journal is closed and empty.
    pub(crate) fn run(mut self) {
        let mut work = Work::default();
        while self.journal.take(&mut work) {
            if self.persist(&mut work).is_err() {
                return;
            }
            self.journal.completed(work.end);
            work.bytes.clear();
            work.bytes.shrink_to(KEPT_BUFFER);
        }
        if let Err(error) = self.file.sync_all() {
            tracing::error!(%error, "the log could not be flushed at the end");
        }
    }

    /// Commits, as soon as that is possible: a full disk is waited out.
    fn persist(&mut self, work: &mut Work) -> Result<(), Closed> {
        let Err(error) = self.commit(work) else {
            return Ok(());
        };
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the log cannot be written: nothing is accepted until it can");
        self.journal.fail();
        self.until_possible(|writer| writer.commit(work))?;
        // What was left out meanwhile is in the checkpoint that a new segment begins with.
        self.until_possible(|writer| {
            writer.journal.take_in_again();
            writer.roll().inspect_err(|_| writer.journal.fail())
        })?;
        self.journal.recovered();
        tracing::info!("the log can be written again");
        Ok(())
    }

    fn until_possible(
        &mut self,
        mut step: impl FnMut(&mut Self) -> Result<(), BrokerError>,
    ) -> Result<(), Closed> {
        loop {
            if !self.journal.wait_before_retry(RETRY_PAUSE) {
                return Err(Closed);
            }
            if self.cut_off().and_then(|()| step(self)).is_ok() {
                return Ok(());
            }
        }
    }

    /// Removes what a failed write has left behind the end.
    fn cut_off(&mut self) -> Result<(), BrokerError> {
        self.file
            .set_len(self.length)
            .map_err(storage("truncate", &self.segment.log_path()))
    }

    fn commit(&mut self, work: &mut Work) -> Result<(), BrokerError> {
        if self.length + work.bytes.len() as u64 > self.options.segment_bytes {
            self.roll()?;
        }
        let path = || self.segment.log_path();
        self.file
            .write_all(&work.bytes)
            .map_err(storage("write", &path()))?;
        if self.options.fsync {
            self.file.sync_data().map_err(storage("sync", &path()))?;
        }
        for batch in work.batches.drain(..) {
            let position = self.length + batch.position as u64;
            batch.partition.committed(
                &self.segment,
                Entry {
                    base_offset: batch.base_offset,
                    last_offset: batch.last_offset,
                    max_timestamp: batch.max_timestamp,
                    position: u32::try_from(position).unwrap_or(u32::MAX),
                    length: batch.length,
                },
            );
        }
        self.length += work.bytes.len() as u64;
        Ok(())
    }

    /// Goes on in a new segment. The old one is durable first, also without fsync per commit, so that only the newest
    /// segment can have a torn end.
    fn roll(&mut self) -> Result<(), BrokerError> {
        self.file
            .sync_all()
            .map_err(storage("sync", &self.segment.log_path()))?;
        let number = self.segment.number + 1;
        (self.file, self.segment, self.length) =
            start_segment(&self.options, number, &self.topics, &self.groups)?;
        self.segments.lock().push_back(Arc::clone(&self.segment));
        Ok(())
    }
}

fn start_segment(
    options: &Options,
    number: u64,
    topics: &TopicRegistry,
    groups: &GroupCoordinator,
) -> Result<(File, Arc<Segment>, u64), BrokerError> {
    write_checkpoint(options, number, topics, groups).inspect_err(|_| {
        // A part of a checkpoint is of no use, and the next try shall not go on behind it.
        let path = log_path(&options.directory, number);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "a segment that was begun could not be removed");
        }
    })
}

fn write_checkpoint(
    options: &Options,
    number: u64,
    topics: &TopicRegistry,
    groups: &GroupCoordinator,
) -> Result<(File, Arc<Segment>, u64), BrokerError> {
    let mut file = open_for_append(&options.directory, number, true)?;
    let segment = Segment::open(&options.directory, number)?;
    let mut bytes = MAGIC.to_vec();
    checkpoint::write(topics, groups, &mut bytes);
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .map_err(storage("write", &segment.log_path()))?;
    sync_directory(&options.directory)?;
    Ok((file, Arc::new(segment), bytes.len() as u64))
}

/// A segment without an index file: its entries by topic and partition, and the partitions that hold them.
type Unsealed = (
    Arc<Segment>,
    Vec<(u32, u32, Vec<Entry>)>,
    Vec<Arc<Partition>>,
);

/// Writes the index files of segments that are no longer written to, and lets go of their entries in memory.
pub(crate) fn seal_waiting(topics: &TopicRegistry, segments: &Segments) -> Result<(), BrokerError> {
    let Some(newest) = segments.lock().back().map(|segment| segment.number) else {
        return Ok(());
    };
    let mut waiting: BTreeMap<u64, Unsealed> = BTreeMap::new();
    for topic in topics.all() {
        for (partition, index) in topic.partitions().into_iter().zip(0_u32..) {
            for (segment, entries) in partition.unsealed_before(newest) {
                let unsealed = waiting
                    .entry(segment.number)
                    .or_insert_with(|| (segment, Vec::new(), Vec::new()));
                unsealed.1.push((topic.number, index, entries));
                unsealed.2.push(Arc::clone(&partition));
            }
        }
    }
    for (number, (segment, entries, partitions)) in waiting {
        let blocks = index::write(&segment, &entries)?;
        for (partition, indexed) in partitions.iter().zip(&blocks) {
            partition.seal(number, indexed.block);
        }
    }
    Ok(())
}
