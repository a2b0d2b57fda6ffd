//! Events that wait in the record: for a retry, for an operator, or behind those that do.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagaline_contracts::{Event, EventType, OrderId, Payload, Rejected, Timestamp};

use super::{Current, Session, Status};
use crate::clock::believed;
use crate::record::{WAITING_BYTES_MAX, WAITING_MAX, raw_json};
use crate::{Applied, Held, Message, Parked, ParkedReason, Participant};

/// How long the others leave an intended effect to who has it in hand: longer than a call of the world should take.
const INTENT_GRACE: Duration = Duration::from_secs(10);

impl<P: Participant> Session<P> {
    pub(super) fn front_is_ready(&self, now: Timestamp) -> bool {
        match self.record.parked.front().map(|parked| &parked.reason) {
            Some(ParkedReason::Behind) => true,
            Some(ParkedReason::Retry { due, .. }) => *due <= now,
            Some(ParkedReason::DeadLetter { .. }) | None => false,
        }
    }

    /// The event at the head of the queue, whose turn has come.
    pub(super) fn run_front(&mut self, participant: &P, now: Timestamp) -> Option<P::Effect> {
        let parked = self.record.parked.pop_front()?;
        self.changed = true;
        match parse(&parked.held, &self.record.order_id, now) {
            Ok(event) if self.is_another_names_event(&parked.held, &event) => {
                self.forget(parked.held);
                None
            }
            Ok(Event {
                id,
                timestamp,
                payload: Payload::RedriveRequested(redrive),
                ..
            }) => {
                self.record.follow(timestamp);
                let source = parked.held.source.clone();
                self.forget(parked.held);
                self.carry_out(participant, &source, id, &redrive);
                None
            }
            Ok(event) => {
                let current = Current {
                    held: parked.held,
                    event,
                    attempts: parked.attempts,
                    delivered: false,
                    kept: true,
                    intended: false,
                };
                self.decide(participant, current, now)
            }
            Err(rejected) => {
                let attempts = parked.attempts.saturating_add(1);
                let dead = self.entomb(
                    participant,
                    parked.held,
                    None,
                    attempts,
                    &rejected.reason,
                    now,
                );
                if let Some(dead) = dead {
                    self.keep_letter_in_outbox(&dead, now);
                    self.record.parked.push_front(dead);
                }
                None
            }
        }
    }

    /// Whether no more may wait in the record: nobody could save it.
    pub(super) fn is_full(&self) -> bool {
        let parked = &self.record.parked;
        let size = |parked: &Parked| match &parked.reason {
            ParkedReason::DeadLetter { letter, .. } => {
                parked.held.message.size() + letter.event.get().len()
            }
            ParkedReason::Behind | ParkedReason::Retry { .. } => parked.held.message.size(),
        };
        parked.len() >= WAITING_MAX || parked.iter().map(size).sum::<usize>() >= WAITING_BYTES_MAX
    }

    /// Whether a message that an operator brought along or edited, under its dead letter's id, was handled under its own id
    /// meanwhile, or waits here under it: once is enough.
    fn is_another_names_event(&self, held: &Held, event: &Event) -> bool {
        event.id != held.id && self.record.knows(&event.id)
    }

    /// There is nothing to do about a kept message: not now, and not when it comes again.
    fn forget(&mut self, held: Held) {
        self.record.applied.push(Applied {
            id: held.id,
            emitted: Vec::new(),
        });
    }

    /// Puts an event behind those that wait.
    pub(super) fn queue(&mut self, participant: &P, current: Current, now: Timestamp) {
        let topic = current.held.source.topic.clone();
        if self.is_full() {
            self.refuse(
                participant,
                current,
                "too many events wait behind a parked one of this order",
                now,
            );
            return;
        }
        let held = keep(current.held, &current.event);
        self.record.parked.push_back(Parked {
            held,
            reason: ParkedReason::Behind,
            attempts: 0,
        });
        self.changed = true;
        self.note(topic, Status::Parked);
    }

    /// Makes a dead letter of an event and parks the order with it.
    pub(super) fn bury(&mut self, participant: &P, current: Current, error: &str, now: Timestamp) {
        let topic = current.held.source.topic.clone();
        let held = keep(current.held, &current.event);
        let attempts = current.attempts.saturating_add(1);
        let dead = self.entomb(
            participant,
            held,
            Some(&current.event),
            attempts,
            error,
            now,
        );
        if let Some(dead) = dead {
            if current.kept {
                self.keep_letter_in_outbox(&dead, now);
            }
            self.record.parked.push_front(dead);
        }
        self.note_if(current.delivered, topic, Status::Dead);
    }

    /// Makes a dead letter of an event without keeping it: the record is full, and stays as it is but for what no redelivery brings back. It counts as never tried,
    /// which tells a redrive to bring the event along.
    pub(super) fn refuse(
        &mut self,
        participant: &P,
        current: Current,
        error: &str,
        now: Timestamp,
    ) {
        let topic = current.held.source.topic.clone();
        let held = keep(current.held, &current.event);
        let letter = self.letter(participant, &held, Some(&current.event), 0, error, now);
        if current.kept {
            self.keep_in_outbox(letter.as_slice(), now);
        }
        self.publish.extend(letter);
        self.note_if(current.delivered, topic, Status::Dead);
    }

    /// Makes a dead letter, publishes it, and gives what is to be parked.
    pub(super) fn entomb(
        &mut self,
        participant: &P,
        held: Held,
        event: Option<&Event>,
        attempts: u32,
        error: &str,
        now: Timestamp,
    ) -> Option<Parked> {
        let letter = self.letter(participant, &held, event, attempts, error, now)?;
        self.publish.push(letter.clone());
        self.changed = true;
        let reason = ParkedReason::DeadLetter {
            error: error.to_owned(),
            letter,
        };
        Some(Parked {
            held,
            reason,
            attempts,
        })
    }

    /// Takes what an event intends into the record, to be saved before its effect is carried out. The event stands in front of all
    /// that wait: should nobody come back with an outcome, it is tried again, and nothing overtakes it.
    pub(super) fn intend(&mut self, mut current: Current, state: P::State, now: Timestamp) {
        if !crate::planted!("effect before its intent") {
            let reason = ParkedReason::Retry {
                due: now + INTENT_GRACE,
                error: "its effect is being carried out".to_owned(),
            };
            self.record.parked.push_front(Parked {
                held: keep(current.held.clone(), &current.event),
                reason,
                attempts: current.attempts,
            });
            current.kept = true;
            current.intended = true;
        }
        self.record.state = state;
        self.changed = true;
        self.current = Some(current);
    }

    /// Parks the order until the event's next try.
    pub(super) fn postpone(
        &mut self,
        participant: &P,
        current: Current,
        error: String,
        now: Timestamp,
    ) {
        if crate::planted!("failed effect dropped") {
            self.forget(current.held);
            self.changed = true;
            return;
        }
        let attempts = current.attempts.saturating_add(1);
        if attempts >= self.retry.attempts_max {
            let error = format!("given up after {attempts} tries: {error}");
            self.bury(participant, current, &error, now);
            return;
        }
        let due = now + self.retry.delay(&current.event.id, attempts);
        let topic = current.held.source.topic.clone();
        let held = keep(current.held, &current.event);
        let reason = ParkedReason::Retry { due, error };
        self.record.parked.push_front(Parked {
            held,
            reason,
            attempts,
        });
        self.changed = true;
        self.note_if(current.delivered, topic, Status::Parked);
    }
}

pub(super) fn keep(mut held: Held, event: &Event) -> Held {
    held.message = Message::Json(raw_json(event.encode()));
    held
}

/// The event that was kept. An operator may have edited it, so it may say anything, the time included.
pub(super) fn parse(held: &Held, order_id: &OrderId, now: Timestamp) -> Result<Event, Rejected> {
    let kind = EventType::parse(&held.source.topic).unwrap_or(EventType::DeadLetter);
    let value = match &held.message {
        Message::Json(json) => Some(json.get().as_bytes().to_vec()),
        Message::Base64(text) => BASE64_STANDARD.decode(text).ok(),
        Message::Missing => None,
    };
    // The key that this order was made out by: an edit must still be about it.
    let key = Some(order_id.as_str().as_bytes());
    Event::decode(kind, key, value.as_deref()).map(|event| believed(event, now))
}
