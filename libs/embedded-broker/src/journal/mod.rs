//! One append-only log on disk for everything: batches of all partitions, topics, committed offsets.
//!
//! Whoever changes something enqueues a record of it in the same critical section; one thread takes all that is
//! queued, writes it with one write and one fsync, and only then makes the batches readable and lets the
//! acknowledgements go. So a commit cycle costs one fsync, whatever the number of partitions and clients.
//!
//! The log is cut into segments. Each begins with a checkpoint of everything but the batches, so that older segments
//! can be deleted as wholes; a sealed segment has an index file, so that opening reads no more than the newest segment.
//!
//! Enqueueing never waits; [`Journal::admit`] is where a producer that is faster than the disk is held back.

mod checkpoint;
mod index;
mod queue;
mod record;
mod recovery;
mod segment;
mod writer;

pub(crate) use index::{Entry, IndexBlock, IndexedPartition};
pub(crate) use queue::{Journal, JournalFailed, PendingBatch};
pub(crate) use record::{Record, RememberedProducer, TopicRecord};
pub(crate) use recovery::{Recovered, RecoveredPartition, RecoveredTopic, open};
pub(crate) use segment::Segment;
pub(crate) use writer::{Options, Segments, Writer, seal_waiting};
