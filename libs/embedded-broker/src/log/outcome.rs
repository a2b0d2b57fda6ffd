//! What appending to a partition and reading from it come to.

use super::disk::DiskRead;
use bytes::Bytes;

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) log_start: i64,
}

/// Why an idempotent producer's batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the sequence number does not follow the last one")]
    OutOfOrder,
    #[error("a newer instance of this producer has taken over")]
    Fenced,
}

/// Why a fetch of one partition fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFault {
    OutOfRange,
    Storage,
}

/// What a fetch of one partition finds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) fault: Option<ReadFault>,
    pub(crate) batches: Vec<Bytes>,
    pub(crate) bytes: usize,
    /// To be carried out without the partition's lock; it fills the two above.
    pub(crate) from_disk: Option<DiskRead>,
}

/// The bounds of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) bytes: u64,
}
