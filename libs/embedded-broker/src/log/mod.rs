//! Topics and their partitions: record batches stored verbatim, one lock per partition.

mod batch;
mod disk;
mod outcome;
mod partition;
mod producer_state;
mod settings;
mod tail;
mod topic;
mod topics;
mod waiter;

pub(crate) use batch::{BatchError, BatchHeader};
pub(crate) use disk::{DiskLog, DiskRead};
pub(crate) use outcome::{AppendError, Read, ReadFault};
pub(crate) use partition::{Home, Partition};
pub(crate) use producer_state::{ProducerStates, RememberedBatch};
pub(crate) use settings::{MAX_MESSAGE_BYTES, REPORTED_ONLY, RETENTION_BYTES, RETENTION_MS};
pub(crate) use topic::{Topic, TopicError};
pub(crate) use topics::TopicRegistry;
pub(crate) use waiter::{FetchWaiter, Registration};
