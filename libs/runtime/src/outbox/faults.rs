//! Failures on purpose.

use std::sync::atomic::{AtomicBool, Ordering};

use sagaline_contracts::EventType;
use sagaline_saga::Emission;

/// Failures on purpose, to rehearse what the relay does about them.
#[derive(Debug, Default)]
pub struct RelayFaults {
    /// The very first publish fails.
    pub fail_once: AtomicBool,
    /// Every publish of this type fails.
    pub fail_type: Option<EventType>,
    /// An event's first publishes fail, until the attempt of this number.
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
