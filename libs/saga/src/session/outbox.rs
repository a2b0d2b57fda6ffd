//! What no redelivery would bring back.

use std::time::Duration;

use sagaline_contracts::{EventId, Timestamp};

use super::Session;
use crate::{Emission, OutboxEntry, Parked, ParkedReason, Participant};

/// How long the sweep leaves an emission alone that was just handed to the producer.
pub const OUTBOX_GRACE: Duration = Duration::from_secs(2);

impl<P: Participant> Session<P> {
    /// The message of an event that was kept here is long committed: a redelivery will not bring back what it caused,
    /// so the outbox must.
    pub(super) fn keep_in_outbox(&mut self, emitted: &[Emission], now: Timestamp) {
        let due = now + OUTBOX_GRACE;
        let entries = emitted
            .iter()
            .map(|emission| OutboxEntry::new(emission.clone(), due));
        self.record.outbox.extend(entries);
    }

    pub(super) fn keep_letter_in_outbox(&mut self, dead: &Parked, now: Timestamp) {
        if let ParkedReason::DeadLetter { letter, .. } = &dead.reason {
            self.keep_in_outbox(std::slice::from_ref(letter), now);
        }
    }

    /// Takes acknowledged emissions out of the outbox.
    pub fn forget_acknowledged(&mut self, acknowledged: impl Fn(&EventId) -> bool) {
        let before = self.record.outbox.len();
        self.record
            .outbox
            .retain(|entry| !acknowledged(&entry.emission.id));
        self.changed |= self.record.outbox.len() != before;
    }
}
