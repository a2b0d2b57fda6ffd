//! What a ledger holds at most, and why it may fail.

use sagaline_contracts::Sku;
use sagaline_runtime::Outage;
use sagaline_store::StoreError;

/// Lost races for the same SKUs before a call gives up: whoever wins each of them gets on, so somebody always does.
pub(super) const ROUNDS_MAX: usize = 64;

/// What a [`Ledger`](super::Ledger) holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Operations on one SKU that are not settled. Beyond, the service waits as in an outage until they are.
    pub marks_max: usize,
    /// Documents that are kept in memory.
    pub cached_max: usize,
    /// Orders that are known to be saved and whose operations are not settled yet. Beyond, the sweep finds them.
    pub judged_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            marks_max: 10_000,
            cached_max: 10_000,
            judged_max: 50_000,
        }
    }
}

/// Why stock could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store is down.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others write the same SKUs all the time.
    #[error(
        "the race for the same stock documents was lost {ROUNDS_MAX} times: too many instances write them"
    )]
    Contended,
    /// Too many operations wait for their orders' documents.
    #[error("{sku} has {marks_max} operations whose orders are not saved yet: waiting for them")]
    Full {
        /// The SKU.
        sku: Sku,
        /// The limit.
        marks_max: usize,
    },
}

impl From<LedgerError> for Outage {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            other @ (LedgerError::Contended | LedgerError::Full { .. }) => {
                Self::new("store", other)
            }
        }
    }
}

/// Why units could not be added.
#[derive(Debug, thiserror::Error)]
pub enum RestockError {
    /// There is no such SKU.
    #[error("there is no product {0}")]
    Unknown(Sku),
    /// Its document must not be calculated with.
    #[error("the stock document is damaged: {0}")]
    Damaged(String),
    /// It could not be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
