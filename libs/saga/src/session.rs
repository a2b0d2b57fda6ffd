//! Works events off against one order's record.
//!
//! A session starts from a loaded record, takes deliveries, and is advanced until it is idle or asks for an effect. It
//! then knows what to save and what to publish. A lost compare-and-set throws the session away: a new one starts from the
//! record as it is now, with the same deliveries.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagaline_contracts::payload::{DeadLetter, RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventId, EventType, OrderId, Payload, Rejected, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::identity::deadline_id;
use crate::record::{EVENTS_MAX, WAITING_MAX, raw_json};
use crate::{
    Applied, Decision, EffectFailure, Emission, Held, Message, OrderRecord, OutboxEntry, Parked,
    ParkedReason, Participant, RetryPolicy, Source, Transition, message_id,
};

/// How long the sweep leaves an emission alone that was just handed to the producer.
pub const OUTBOX_GRACE: Duration = Duration::from_secs(2);

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

/// An event that is being handled.
struct Current {
    held: Held,
    event: Event,
    attempts: u32,
    /// It came from the record's front, or it is one of the early ones, or it is new.
    delivered: bool,
}

/// Works events off against one order's record.
pub struct Session<P: Participant> {
    record: OrderRecord<P::State>,
    incoming: VecDeque<Delivery>,
    current: Option<Current>,
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
    /// [`Session::settle`] and advance again.
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

    /// Takes acknowledged emissions out of the outbox.
    pub fn forget_acknowledged(&mut self, acknowledged: impl Fn(&EventId) -> bool) {
        let before = self.record.outbox.len();
        self.record
            .outbox
            .retain(|entry| !acknowledged(&entry.emission.id));
        self.changed |= self.record.outbox.len() != before;
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

    fn front_is_ready(&self, now: Timestamp) -> bool {
        match self.record.parked.front().map(|parked| &parked.reason) {
            Some(ParkedReason::Behind) => true,
            Some(ParkedReason::Retry { due, .. }) => *due <= now,
            Some(ParkedReason::DeadLetter { .. }) | None => false,
        }
    }

    /// The event at the head of the queue, whose turn has come.
    fn run_front(&mut self, participant: &P, now: Timestamp) -> Option<P::Effect> {
        let parked = self.record.parked.pop_front()?;
        self.changed = true;
        match parse(&parked.held, &self.record.order_id) {
            Ok(event) => {
                let current = Current {
                    held: parked.held,
                    event,
                    attempts: parked.attempts,
                    delivered: false,
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

    /// One early event that is not early any more, the one with the earliest timestamp first.
    fn run_early(&mut self, participant: &P, now: Timestamp) -> Option<P::Effect> {
        let mut candidates: Vec<(Timestamp, EventId, Event)> = self
            .record
            .early
            .iter()
            .filter_map(|held| parse(held, &self.record.order_id).ok())
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
                },
                now,
            );
        }
        self.recheck_early = false;
        None
    }

    fn receive(
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
                if let Payload::RedriveRequested(redrive) = &event.payload {
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
                };
                if self.record.parked.is_empty() {
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
                let id = message_id(&source.topic, source.partition, source.offset);
                if !self.replay(&id, &source.topic) {
                    let topic = source.topic.clone();
                    let held = Held {
                        source,
                        id,
                        message: message_of(value),
                    };
                    // Behind those that wait already: nothing overtakes.
                    let dead = self.entomb(participant, held, None, 1, &rejected.reason, now);
                    self.record.parked.extend(dead);
                    self.note(topic, Status::Dead);
                }
                None
            }
        }
    }

    /// Publishes again what a message caused, when it was handled before.
    fn replay(&mut self, id: &EventId, topic: &str) -> bool {
        if let Some(applied) = self.record.applied.iter().find(|applied| applied.id == *id) {
            self.publish.extend(applied.emitted.iter().cloned());
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

    fn decide(&mut self, participant: &P, current: Current, now: Timestamp) -> Option<P::Effect> {
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
                self.current = Some(current);
                return Some(effect);
            }
        }
        None
    }

    fn apply(
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
        if !current.delivered {
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

    /// The message of an event that was kept here is long committed: a redelivery will not bring back what it caused,
    /// so the outbox must.
    fn keep_in_outbox(&mut self, emitted: &[Emission], now: Timestamp) {
        let due = now + OUTBOX_GRACE;
        let entries = emitted
            .iter()
            .map(|emission| OutboxEntry::new(emission.clone(), due));
        self.record.outbox.extend(entries);
    }

    fn keep_letter_in_outbox(&mut self, dead: &Parked, now: Timestamp) {
        if let ParkedReason::DeadLetter { letter, .. } = &dead.reason {
            self.keep_in_outbox(std::slice::from_ref(letter), now);
        }
    }

    /// Puts an event behind those that wait.
    fn queue(&mut self, participant: &P, current: Current, now: Timestamp) {
        let topic = current.held.source.topic.clone();
        if self.record.parked.len() >= WAITING_MAX {
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
    fn bury(&mut self, participant: &P, current: Current, error: &str, now: Timestamp) {
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
            if !current.delivered {
                self.keep_letter_in_outbox(&dead, now);
            }
            self.record.parked.push_front(dead);
        }
        self.note_if(current.delivered, topic, Status::Dead);
    }

    /// Makes a dead letter of an event without keeping it: the record is full, and stays as it is.
    fn refuse(&mut self, participant: &P, current: Current, error: &str, now: Timestamp) {
        let topic = current.held.source.topic.clone();
        let held = keep(current.held, &current.event);
        let letter = self.letter(participant, &held, Some(&current.event), 1, error, now);
        self.publish.extend(letter);
        self.note_if(current.delivered, topic, Status::Dead);
    }

    /// Makes a dead letter, publishes it, and gives what is to be parked.
    fn entomb(
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

    fn letter(
        &mut self,
        participant: &P,
        held: &Held,
        event: Option<&Event>,
        attempts: u32,
        error: &str,
        now: Timestamp,
    ) -> Option<Emission> {
        let letter = dead_letter(
            held,
            event,
            self.record.order_id.clone(),
            participant.name(),
            attempts,
            error,
        );
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

    /// Parks the order until the event's next try.
    fn postpone(&mut self, participant: &P, current: Current, error: String, now: Timestamp) {
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

    /// Carries out what an operator decided about a dead letter.
    fn redrive(
        &mut self,
        participant: &P,
        source: Source,
        command: &EventId,
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
                None => self.redrive_unheld(participant, &source, redrive),
            }
        }
        self.record.applied.push(Applied {
            id: command.clone(),
            emitted: Vec::new(),
        });
        self.changed = true;
        self.note(source.topic, Status::Ok);
    }

    fn redrive_held(&mut self, at: usize, redrive: &RedriveRequested) {
        match redrive.action {
            RedriveAction::Discard => {
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

    /// A dead letter that parked nobody, because no order could be made out: the edited event is handled as new.
    fn redrive_unheld(&mut self, participant: &P, command: &Source, redrive: &RedriveRequested) {
        if redrive.action != RedriveAction::Redrive || redrive.consumers.is_empty() {
            return;
        }
        let edited = redrive.event.as_ref().and_then(edited_message);
        let Some((kind, message)) =
            edited.filter(|(kind, _)| participant.subscriptions().contains(kind))
        else {
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

    fn note(&mut self, topic: String, status: Status) {
        self.handled.push(Handled { topic, status });
    }

    fn note_if(&mut self, delivered: bool, topic: String, status: Status) {
        if delivered {
            self.note(topic, status);
        }
    }

    /// The order that this session is about.
    pub fn order_id(&self) -> &OrderId {
        &self.record.order_id
    }
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

fn keep(mut held: Held, event: &Event) -> Held {
    held.message = Message::Json(raw_json(event.encode()));
    held
}

fn message_of(value: Option<Vec<u8>>) -> Message {
    let Some(value) = value else {
        return Message::Missing;
    };
    match serde_json::from_slice::<Box<RawValue>>(&value) {
        Ok(json) => Message::Json(json),
        Err(_) => Message::Base64(BASE64_STANDARD.encode(value)),
    }
}

fn edited_message(event: &Value) -> Option<(EventType, Message)> {
    let kind = EventType::parse(event.get("type")?.as_str()?)?;
    let json = serde_json::to_vec(event).ok()?;
    Some((kind, Message::Json(raw_json(json))))
}

fn parse(held: &Held, order_id: &OrderId) -> Result<Event, Rejected> {
    let kind = EventType::parse(&held.source.topic).unwrap_or(EventType::DeadLetter);
    let value = match &held.message {
        Message::Json(json) => Some(json.get().as_bytes().to_vec()),
        Message::Base64(text) => BASE64_STANDARD.decode(text).ok(),
        Message::Missing => None,
    };
    // The key that this order was made out by: an edit must still be about it.
    Event::decode(kind, Some(order_id.as_str().as_bytes()), value.as_deref())
}

fn dead_letter(
    held: &Held,
    event: Option<&Event>,
    order_id: OrderId,
    consumer: &str,
    attempts: u32,
    error: &str,
) -> DeadLetter {
    let json: Option<Value> = match &held.message {
        Message::Json(json) => serde_json::from_str(json.get()).ok(),
        Message::Base64(_) | Message::Missing => None,
    };
    let text = |name: &str| {
        json.as_ref()
            .and_then(|json| json.get(name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    DeadLetter {
        original_type: text("type").unwrap_or_else(|| held.source.topic.clone()),
        original_event_id: event
            .map(|event| event.id.to_string())
            .or_else(|| text("eventId"))
            .unwrap_or_else(|| "unknown".to_owned()),
        order_id: Some(order_id),
        error: error.to_owned(),
        payload: json.as_ref().map_or(Value::Null, |json| {
            json.get("payload").unwrap_or(json).clone()
        }),
        original_topic: Some(held.source.topic.clone()),
        partition: Some(held.source.partition),
        offset: Some(held.source.offset),
        consumer: Some(consumer.to_owned()),
        attempts: Some(attempts),
        raw: match &held.message {
            Message::Base64(raw) => Some(raw.clone()),
            Message::Json(_) | Message::Missing => None,
        },
        dead_letter_id: Some(
            message_id(
                &held.source.topic,
                held.source.partition,
                held.source.offset,
            )
            .to_string(),
        ),
    }
}
