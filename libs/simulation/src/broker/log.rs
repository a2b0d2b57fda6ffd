//! Topics: what was written, in order, by partition.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use sagaline_contracts::EventType;
use sagaline_runtime::Inbound;

/// A message as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    /// The process that wrote it; 0 for anybody else.
    pub(crate) by: u64,
}

/// Every topic with its partitions. A partition of a topic is a slot: topic × partitions + partition.
pub(crate) struct Topics {
    names: Vec<Arc<str>>,
    by_name: HashMap<&'static str, usize, FixedState>,
    slots: Vec<Vec<Record>>,
    /// The first message of each slot that can still be read. What was before is kept for those who check.
    starts: Vec<usize>,
    /// Partitions that each topic has room for.
    partitions: usize,
    /// Partitions that each topic has now.
    open: usize,
}

impl Topics {
    /// Topics of `open` partitions, which may become `most`.
    pub(crate) fn new(open: usize, most: usize) -> Self {
        let open = open.max(1);
        let partitions = most.max(open);
        let names: Vec<&'static str> = EventType::topics().collect();
        let by_name = names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, at))
            .collect();
        Self {
            slots: names
                .iter()
                .flat_map(|_| (0..partitions).map(|_| Vec::new()))
                .collect(),
            starts: vec![0; names.len() * partitions],
            names: names.into_iter().map(Arc::from).collect(),
            by_name,
            partitions,
            open,
        }
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// Partitions that each topic has now.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Gives each topic more partitions, as far as there is room.
    pub(super) fn grow(&mut self, partitions: usize) {
        self.open = self.open.max(partitions.min(self.partitions));
    }

    /// The first message of a slot that can still be read.
    pub(super) fn start(&self, slot: usize) -> usize {
        self.starts[slot]
    }

    /// Drops what is before a message; says whether that is anything.
    pub(super) fn trim(&mut self, slot: usize, start: usize) -> bool {
        let more = start > self.starts[slot];
        self.starts[slot] = self.starts[slot].max(start);
        more
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn topic_of(&self, slot: usize) -> usize {
        slot / self.partitions
    }

    pub(crate) fn name_of(&self, slot: usize) -> &Arc<str> {
        &self.names[slot / self.partitions]
    }

    pub(crate) fn partition_of(&self, slot: usize) -> usize {
        slot % self.partitions
    }

    pub(crate) fn slot(&self, topic: &str, partition: i32) -> Option<usize> {
        let partition = usize::try_from(partition).ok()?;
        Some(self.topic(topic)? * self.partitions + partition)
    }

    pub(crate) fn log(&self, slot: usize) -> &[Record] {
        &self.slots[slot]
    }

    /// The messages of a slot from `from` to before `to`, as a client gets them.
    pub(super) fn inbound(
        &self,
        slot: usize,
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = Inbound> {
        let records = self.log(slot).iter().enumerate();
        records
            .skip(from)
            .take(to.saturating_sub(from))
            .map(move |(at, record)| Inbound {
                topic: Arc::clone(self.name_of(slot)),
                partition: i32::try_from(self.partition_of(slot)).unwrap_or(0),
                offset: i64::try_from(at).unwrap_or(0),
                key: record.key.clone(),
                value: record.value.clone(),
            })
    }

    /// Writes a message; gives its place.
    pub(super) fn append(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        by: u64,
    ) -> Option<(usize, usize)> {
        let topic = self.topic(topic)?;
        let slot = topic * self.partitions + self.place(key);
        let log = self.slots.get_mut(slot)?;
        log.push(Record {
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            by,
        });
        Some((slot, log.len() - 1))
    }

    /// Every topic's messages by its name, partition by partition.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, usize, usize, &Record)> {
        self.slots.iter().enumerate().flat_map(move |(slot, log)| {
            let place = (&*self.names[slot / self.partitions], slot % self.partitions);
            log.iter()
                .enumerate()
                .map(move |(offset, record)| (place.0, place.1, offset, record))
        })
    }

    fn place(&self, key: Option<&[u8]>) -> usize {
        let mut hasher = FixedState::with_seed(7).build_hasher();
        hasher.write(key.unwrap_or_default());
        let partitions = u64::try_from(self.open).unwrap_or(1);
        usize::try_from(hasher.finish() % partitions).unwrap_or(0)
    }
}
