//! Messages as they come: new, known already, or poison.

use sagaline_contracts::{Event, EventId, Payload, Rejected, Timestamp};

use super::{Current, Session};
use crate::clock::believed;
use crate::record::EVENTS_MAX;
use crate::{Held, Message, ParkedReason, Participant, Source, message_id};

/// A message for one order.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every delivery is the large variant"
)]
pub enum Delivery {
    /// A valid event.
    Event {
        /// Where it stood.
        source: Source,
        /// What it says.
        event: Event,
    },
    /// A message with an order's key that is no valid event.
    Poison {
        /// Where it stood.
        source: Source,
        /// The message's value.
        value: Option<Vec<u8>>,
        /// What is wrong with it.
        rejected: Rejected,
    },
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Handled now.
    Ok,
    /// Handled before: what it caused is published again.
    Duplicate,
    /// It waits in the record.
    Parked,
    /// It became a dead letter.
    Dead,
}

impl Status {
    /// The status as a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Duplicate => "duplicate",
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// Its topic.
    pub topic: String,
    /// What became of it.
    pub status: Status,
}

impl<P: Participant> Session<P> {
    pub(super) fn receive(
        &mut self,
        participant: &P,
        delivery: Delivery,
        now: Timestamp,
    ) -> Option<P::Effect> {
        match delivery {
            Delivery::Event { source, event } => {
                if self.replay(&event.id, &source.topic) {
                    return None;
                }
                let event = believed(event, now);
                if let Payload::RedriveRequested(redrive) = &event.payload {
                    self.record.follow(event.timestamp);
                    self.redrive(participant, source, &event.id, redrive);
                    return None;
                }
                // The message is filled in only if the event has to be kept.
                let held = Held {
                    id: event.id.clone(),
                    message: Message::Missing,
                    source,
                };
                let current = Current {
                    held,
                    event,
                    attempts: 0,
                    delivered: true,
                    kept: false,
                    intended: false,
                };
                if self.record.parked.is_empty() || crate::planted!("parked order overtaken") {
                    if self.record.applied.len() >= EVENTS_MAX {
                        self.refuse(
                            participant,
                            current,
                            "the order has had too many events; discard this one",
                            now,
                        );
                        return None;
                    }
                    self.decide(participant, current, now)
                } else {
                    self.queue(participant, current, now);
                    None
                }
            }
            Delivery::Poison {
                source,
                value,
                rejected,
            } => {
                if crate::planted!("poison dropped") {
                    return None;
                }
                let id = message_id(&source.topic, source.partition, source.offset);
                if !self.replay(&id, &source.topic) {
                    let topic = source.topic.clone();
                    let held = Held {
                        source,
                        id,
                        message: Message::of(value),
                    };
                    if self.is_full() {
                        // As an event for which there is no room: the letter is all that is left of it here.
                        let letter =
                            self.letter(participant, &held, None, 1, &rejected.reason, now);
                        self.publish.extend(letter);
                    } else {
                        // Behind those that wait already: nothing overtakes.
                        let dead = self.entomb(participant, held, None, 1, &rejected.reason, now);
                        self.record.parked.extend(dead);
                    }
                    self.note(topic, Status::Dead);
                }
                None
            }
        }
    }

    /// Publishes again what a message caused, when it was handled before.
    pub(super) fn replay(&mut self, id: &EventId, topic: &str) -> bool {
        if crate::planted!("no dedup") {
            return false;
        }
        let forgotten = if crate::planted!("dedup by count") {
            self.record.applied.len().saturating_sub(2)
        } else {
            0
        };
        let mut known = self.record.applied.iter().skip(forgotten);
        if let Some(applied) = known.find(|applied| applied.id == *id) {
            if !crate::planted!("redelivery publishes nothing") {
                self.publish.extend(applied.emitted.iter().cloned());
            }
        } else if let Some(parked) = self
            .record
            .parked
            .iter()
            .find(|parked| parked.held.id == *id)
        {
            if let ParkedReason::DeadLetter { letter, .. } = &parked.reason {
                self.publish.push(letter.clone());
            }
        } else if !self.record.early.iter().any(|held| held.id == *id) {
            return false;
        }
        self.note(topic.to_owned(), Status::Duplicate);
        true
    }

    pub(super) fn note(&mut self, topic: String, status: Status) {
        self.handled.push(Handled { topic, status });
    }

    pub(super) fn note_if(&mut self, delivered: bool, topic: String, status: Status) {
        if delivered {
            self.note(topic, status);
        }
    }
}
