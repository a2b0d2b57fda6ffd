//! Time as an input.

use sagaline_contracts::Timestamp;

/// Where the shell reads the time; nothing pure calls it.
pub trait Clock: Send + Sync + 'static {
    /// The time now, as this machine believes it.
    fn now(&self) -> Timestamp;
}
