//! Works events off against one order's record.
//!
//! A session starts from a loaded record, takes deliveries, and is advanced until it is idle or asks for an effect. It
//! then knows what to save and what to publish. A lost compare-and-set throws the session away: a new one starts from the
//! record as it is now, with the same deliveries.

mod decide;
mod delivery;
mod letter;
mod outbox;
mod parking;
mod redrive;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sagaline_contracts::{Event, EventId, OrderId, Timestamp};

use crate::identity::deadline_id;
use crate::{EffectFailure, Emission, Held, OrderRecord, Participant, RetryPolicy};

pub use delivery::{Delivery, Handled, Status};
pub use outbox::OUTBOX_GRACE;

/// An event that is being handled.
struct Current {
    held: Held,
    event: Event,
    attempts: u32,
    /// It came just now, in a message that has not been counted yet.
    delivered: bool,
    /// The record holds it, or did, so that its message may be committed: a redelivery would not bring back what it causes.
    kept: bool,
    /// It stands at the head of the record's queue, which is to be saved before its effect is carried out.
    intended: bool,
}

/// Works events off against one order's record.
pub struct Session<P: Participant> {
    record: OrderRecord<P::State>,
    incoming: VecDeque<Delivery>,
    current: Option<Current>,
    /// An effect was carried out, and what came of it may not be saved.
    rests_on_an_outcome: bool,
    publish: Vec<Emission>,
    handled: Vec<Handled>,
    changed: bool,
    recheck_early: bool,
    retry: RetryPolicy,
}

impl<P: Participant> Session<P> {
    /// Starts from a record.
    pub fn new(record: OrderRecord<P::State>, retry: RetryPolicy) -> Self {
        Self {
            record,
            incoming: VecDeque::new(),
            current: None,
            rests_on_an_outcome: false,
            publish: Vec::new(),
            handled: Vec::new(),
            changed: false,
            recheck_early: false,
            retry,
        }
    }

    /// Takes a message of this order; they are worked off in the order in which they were offered.
    pub fn offer(&mut self, delivery: Delivery) {
        self.incoming.push_back(delivery);
    }

    /// Works until there is nothing left to do, or an effect is to be carried out first: then hand its outcome to
    /// [`Session::settle`] and advance again. If it is [intended](Session::is_intended), the record is to be saved before.
    pub fn advance(&mut self, participant: &P, now: Timestamp) -> Option<(EventId, P::Effect)> {
        loop {
            if self.current.is_some() {
                return None;
            }
            let effect = if self.front_is_ready(now) {
                self.run_front(participant, now)
            } else if self.recheck_early {
                self.run_early(participant, now)
            } else if let Some(delivery) = self.incoming.pop_front() {
                self.receive(participant, delivery, now)
            } else {
                return None;
            };
            if let Some(effect) = effect {
                let event_id = self
                    .current
                    .as_ref()
                    .map(|current| current.event.id.clone());
                return event_id.map(|event_id| (event_id, effect));
            }
        }
    }

    /// Takes what the effect, that the last [`Session::advance`] asked for, came back with.
    pub fn settle(
        &mut self,
        participant: &P,
        outcome: Result<P::Outcome, EffectFailure>,
        now: Timestamp,
    ) {
        let Some(current) = self.current.take() else {
            return;
        };
        if current.intended {
            self.record.parked.pop_front();
        }
        self.rests_on_an_outcome = true;
        match outcome {
            Ok(outcome) => {
                let settled = catch_unwind(AssertUnwindSafe(|| {
                    participant.settle(&self.record.state, &current.event, outcome)
                }));
                match settled {
                    Ok(transition) => self.apply(participant, current, transition, now),
                    Err(_) => self.bury(
                        participant,
                        current,
                        "the handler panicked while it settled this event",
                        now,
                    ),
                }
            }
            Err(EffectFailure::Permanent(error)) => self.bury(participant, current, &error, now),
            Err(EffectFailure::Transient(error)) => self.postpone(participant, current, error, now),
        }
    }

    /// Whether the record must be saved before the effect is carried out that the last [`Session::advance`] asked for. If
    /// somebody else has saved it first, the effect is not to be carried out.
    pub fn is_intended(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.intended)
    }

    /// Lets the deadline pass when it has.
    pub fn expire(&mut self, participant: &P, now: Timestamp) {
        let deadline = participant.deadline(&self.record.state);
        let Some(deadline) = deadline.filter(|deadline| *deadline <= now) else {
            return;
        };
        let transition = participant.expire(&self.record.order_id, &self.record.state, now);
        let cause = deadline_id(&self.record.order_id, participant.name(), deadline.micros());
        let emitted = self
            .record
            .emissions(participant.name(), &cause, None, transition.emit, now);
        self.keep_in_outbox(&emitted, now);
        self.publish.extend(emitted);
        self.record.state = transition.state;
        self.changed = true;
    }

    /// The record as it stands.
    pub fn record(&self) -> &OrderRecord<P::State> {
        &self.record
    }

    /// For changes that no event makes, such as the outbox's bookkeeping.
    pub fn record_mut(&mut self) -> &mut OrderRecord<P::State> {
        self.changed = true;
        &mut self.record
    }

    /// Whether there is something to save.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// What to publish once the record is saved, in order.
    pub fn publish(&self) -> &[Emission] {
        &self.publish
    }

    /// What became of each message, for metrics.
    pub fn handled(&self) -> &[Handled] {
        &self.handled
    }

    /// When the record next needs attention without an event.
    pub fn due(&self, participant: &P) -> Option<Timestamp> {
        self.record
            .due()
            .into_iter()
            .chain(participant.deadline(&self.record.state))
            .min()
    }

    /// The order that this session is about.
    pub fn order_id(&self) -> &OrderId {
        &self.record.order_id
    }
}
