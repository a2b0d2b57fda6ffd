//! Topics and their partitions: record batches stored verbatim, one lock per partition.

mod batch;
mod partition;
mod producer_state;
mod topics;
mod waiter;

pub(crate) use batch::{BatchError, BatchHeader};
pub(crate) use partition::{AppendError, Partition, Read};
pub(crate) use topics::{
    MAX_MESSAGE_BYTES, REPORTED_ONLY, RETENTION_BYTES, RETENTION_MS, Topic, TopicError, TopicRegistry,
};
pub(crate) use waiter::{FetchWaiter, Registration};
