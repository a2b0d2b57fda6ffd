//! What an operator decided about a dead letter.

use sagaline_contracts::payload::{RedriveAction, RedriveRequested};
use sagaline_contracts::{EventId, EventType};
use serde_json::Value;

use super::{Session, Status};
use crate::record::raw_json;
use crate::{Applied, Held, Message, Parked, ParkedReason, Participant, Source, message_id};

impl<P: Participant> Session<P> {
    /// A decision came.
    pub(super) fn redrive(
        &mut self,
        participant: &P,
        source: Source,
        command: &EventId,
        redrive: &RedriveRequested,
    ) {
        self.carry_out(participant, &source, command.clone(), redrive);
        self.note(source.topic, Status::Ok);
    }

    /// Carries out what an operator decided about a dead letter.
    pub(super) fn carry_out(
        &mut self,
        participant: &P,
        source: &Source,
        command: EventId,
        redrive: &RedriveRequested,
    ) {
        let name = participant.name();
        if redrive.consumers.is_empty() || redrive.consumers.iter().any(|consumer| consumer == name)
        {
            let held_at = self.record.parked.iter().position(|parked| {
                let place = &parked.held.source;
                matches!(parked.reason, ParkedReason::DeadLetter { .. })
                    && message_id(&place.topic, place.partition, place.offset).as_str()
                        == redrive.dead_letter_id
            });
            match held_at {
                Some(at) => self.redrive_held(at, redrive),
                None => self.redrive_unheld(participant, source, redrive),
            }
        }
        self.record.applied.push(Applied {
            id: command,
            emitted: Vec::new(),
        });
        self.changed = true;
    }

    fn redrive_held(&mut self, at: usize, redrive: &RedriveRequested) {
        match redrive.action {
            RedriveAction::Discard => {
                if crate::planted!("discard drops the queue") {
                    self.record.parked.truncate(at + 1);
                }
                if let Some(parked) = self.record.parked.remove(at) {
                    self.record.applied.push(Applied {
                        id: parked.held.id,
                        emitted: Vec::new(),
                    });
                }
            }
            RedriveAction::Redrive => {
                if let Some(parked) = self.record.parked.get_mut(at) {
                    if let Some((_, message)) = redrive.event.as_ref().and_then(edited_message) {
                        parked.held.message = message;
                    }
                    parked.reason = ParkedReason::Behind;
                }
            }
        }
    }

    /// A dead letter that parked nobody, because no order could be made out or nothing could be kept: the event that the
    /// decision brings along is handled as new. It may be a decision itself.
    fn redrive_unheld(&mut self, participant: &P, command: &Source, redrive: &RedriveRequested) {
        if redrive.action != RedriveAction::Redrive || redrive.consumers.is_empty() {
            return;
        }
        let edited = redrive.event.as_ref().and_then(edited_message);
        let Some((kind, message)) = edited.filter(|(kind, _)| {
            *kind == EventType::RedriveRequested || participant.subscriptions().contains(kind)
        }) else {
            return;
        };
        let Ok(id) = EventId::new(&redrive.dead_letter_id) else {
            return;
        };
        if !self.record.knows(&id) {
            let source = Source {
                topic: kind.as_str().to_owned(),
                ..command.clone()
            };
            let held = Held {
                source,
                id,
                message,
            };
            self.record.parked.push_back(Parked {
                held,
                reason: ParkedReason::Behind,
                attempts: 0,
            });
        }
    }
}

fn edited_message(event: &Value) -> Option<(EventType, Message)> {
    let kind = EventType::parse(event.get("type")?.as_str()?)?;
    let json = serde_json::to_vec(event).ok()?;
    Some((kind, Message::Json(raw_json(json))))
}
