//! Failures on purpose.

use std::sync::atomic::{AtomicBool, Ordering};

use sagaline_contracts::EventType;
use sagaline_saga::Emission;

/// Failures on purpose, to rehearse what the relay does about them.
#[derive(Debug, Default)]
pub struct RelayFaults {
    /// The very first event is not published.
    pub fail_once: AtomicBool,
    /// No event of this type is published.
    pub fail_type: Option<EventType>,
    /// No event is published before its attempt of this number.
    pub fail_until_attempt: u32,
}

impl RelayFaults {
    pub(super) fn strikes(&self, emission: &Emission, attempt: u32) -> bool {
        self.fail_once.swap(false, Ordering::Relaxed)
            || self
                .fail_type
                .is_some_and(|kind| kind.as_str() == emission.topic)
            || attempt < self.fail_until_attempt
    }
}
