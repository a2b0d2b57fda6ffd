//! What the participant says of an event, and what follows from it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sagaline_contracts::{Event, EventId, Timestamp};

use super::parking::{keep, parse};
use super::{Current, Session, Status};
use crate::record::{EMISSION_BYTES_MAX, WAITING_MAX};
use crate::{Applied, Decision, Emission, Participant, Transition};

impl<P: Participant> Session<P> {
    pub(super) fn decide(
        &mut self,
        participant: &P,
        current: Current,
        now: Timestamp,
    ) -> Option<P::Effect> {
        match guarded_decide(participant, &self.record.state, &current.event) {
            Decision::Apply(transition) => self.apply(participant, current, transition, now),
            Decision::Ignore(_) => {
                self.record.applied.push(Applied {
                    id: current.held.id,
                    emitted: Vec::new(),
                });
                self.changed = true;
                self.note_if(current.delivered, current.held.source.topic, Status::Ok);
            }
            Decision::Early(_) if crate::planted!("early event forgotten") => {
                self.record.applied.push(Applied {
                    id: current.held.id,
                    emitted: Vec::new(),
                });
                self.changed = true;
            }
            Decision::Early(_) if self.record.early.len() >= WAITING_MAX => {
                self.refuse(
                    participant,
                    current,
                    "too many events of this order came too early; discard this one",
                    now,
                );
            }
            Decision::Early(_) => {
                let topic = current.held.source.topic.clone();
                self.record.early.push(keep(current.held, &current.event));
                self.changed = true;
                self.note_if(current.delivered, topic, Status::Parked);
            }
            Decision::Reject(reason) => self.bury(participant, current, &reason, now),
            Decision::Effect(effect) => {
                if self.rests_on_an_outcome {
                    // Somebody else's record may win, and this effect would have had no reason.
                    let state = self.record.state.clone();
                    self.intend(current, state, now);
                } else {
                    self.current = Some(current);
                }
                return Some(effect);
            }
            Decision::Intend { state, effect } => {
                self.intend(current, state, now);
                return Some(effect);
            }
        }
        None
    }

    pub(super) fn apply(
        &mut self,
        participant: &P,
        current: Current,
        transition: Transition<P::State>,
        now: Timestamp,
    ) {
        let emitted = self.record.emissions(
            participant.name(),
            &current.event.id,
            Some(&current.event),
            transition.emit,
            now,
        );
        if let Some(error) = too_large(&emitted) {
            self.bury(participant, current, &error, now);
            return;
        }
        if current.kept && !crate::planted!("no outbox for what was kept") {
            self.keep_in_outbox(&emitted, now);
        }
        self.publish.extend(emitted.iter().cloned());
        if current.event.id != current.held.id {
            // An operator's edit gave it another id: neither may come again.
            self.record.applied.push(Applied {
                id: current.event.id.clone(),
                emitted: Vec::new(),
            });
        }
        self.record.applied.push(Applied {
            id: current.held.id,
            emitted,
        });
        self.record.state = transition.state;
        self.changed = true;
        self.recheck_early = !self.record.early.is_empty();
        self.note_if(current.delivered, current.held.source.topic, Status::Ok);
    }

    /// One early event that is not early any more, the one with the earliest timestamp first.
    pub(super) fn run_early(&mut self, participant: &P, now: Timestamp) -> Option<P::Effect> {
        let mut candidates: Vec<(Timestamp, EventId, Event)> = self
            .record
            .early
            .iter()
            .filter_map(|held| parse(held, &self.record.order_id, now).ok())
            .map(|event| (event.timestamp, event.id.clone(), event))
            .collect();
        candidates.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        for (_, id, event) in candidates {
            if matches!(
                guarded_decide(participant, &self.record.state, &event),
                Decision::Early(_)
            ) {
                continue;
            }
            let Some(at) = self.record.early.iter().position(|held| held.id == id) else {
                continue;
            };
            let held = self.record.early.remove(at);
            self.changed = true;
            return self.decide(
                participant,
                Current {
                    held,
                    event,
                    attempts: 0,
                    delivered: false,
                    kept: true,
                    intended: false,
                },
                now,
            );
        }
        self.recheck_early = false;
        None
    }
}

/// What is wrong with events that are too large to be told: texts are handed on from event to event, and may be anything.
fn too_large(emitted: &[Emission]) -> Option<String> {
    let size = |emission: &Emission| emission.event.get().len();
    let large = emitted
        .iter()
        .find(|emission| size(emission) > EMISSION_BYTES_MAX)?;
    Some(format!(
        "what follows from it, {}, would have {} bytes, more than the {EMISSION_BYTES_MAX} that are told",
        large.topic,
        size(large)
    ))
}

/// A handler that panics has met an event that it cannot handle: poison, not a reason to stop the others.
fn guarded_decide<P: Participant>(
    participant: &P,
    state: &P::State,
    event: &Event,
) -> Decision<P::State, P::Effect> {
    catch_unwind(AssertUnwindSafe(|| participant.decide(state, event)))
        .unwrap_or_else(|_| Decision::Reject("the handler panicked on this event".to_owned()))
}
