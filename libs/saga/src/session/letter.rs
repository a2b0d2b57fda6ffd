//! A session's dead letters.

use sagaline_contracts::{Event, EventType, Timestamp};

use super::Session;
use crate::{Deceased, Emission, Held, Participant, message_id};

impl<P: Participant> Session<P> {
    pub(super) fn letter(
        &mut self,
        participant: &P,
        held: &Held,
        event: Option<&Event>,
        attempts: u32,
        error: &str,
        now: Timestamp,
    ) -> Option<Emission> {
        let letter = Deceased {
            source: &held.source,
            message: &held.message,
            event_id: event.map(|event| &event.id),
            order_id: Some(self.record.order_id.clone()),
            consumer: participant.name(),
            attempts,
            error,
        }
        .letter();
        // A later try of the same message is another dead letter event, for the same dead letter.
        let place = message_id(
            &held.source.topic,
            held.source.partition,
            held.source.offset,
        );
        let cause = crate::derived_event_id(
            &place,
            participant.name(),
            EventType::DeadLetter,
            attempts as usize,
        );
        self.record
            .emissions(participant.name(), &cause, event, vec![letter.into()], now)
            .pop()
    }
}
