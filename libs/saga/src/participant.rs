//! What a service must say to take part in a saga.

use std::fmt::Debug;

use sagaline_contracts::{Event, EventType, OrderId, Payload, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The pure core of a service.
///
/// `decide` and `settle` are total: every pair of state and event has an answer. They see one order at a time, each
/// event once, and never an event while an earlier one of the order is parked.
pub trait Participant: Send + Sync + 'static {
    /// What the service remembers of an order; the default is an order that it has never heard of.
    type State: Default + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// What is to be carried out in the world before the next state is known: reserve, charge, book.
    type Effect: Clone + Debug + PartialEq + Send + Sync;
    /// What an effect came back with.
    type Outcome: Debug + Send;

    /// The service's name, which is also its consumer group: `inventory-service`.
    fn name(&self) -> &'static str;

    /// The events that it wants to see. Redrives are handled for it.
    fn subscriptions(&self) -> &'static [EventType];

    /// Decides what an event means for an order.
    fn decide(&self, state: &Self::State, event: &Event) -> Decision<Self::State, Self::Effect>;

    /// Decides what comes of an effect that [`Participant::decide`] asked for on the same state and event; after a
    /// [`Decision::Intend`] on the state that was intended.
    fn settle(
        &self,
        state: &Self::State,
        event: &Event,
        outcome: Self::Outcome,
    ) -> Transition<Self::State>;

    /// When the order needs attention although no event came, if ever.
    fn deadline(&self, _state: &Self::State) -> Option<Timestamp> {
        None
    }

    /// Decides what it means that the deadline has passed. The next state must have another deadline, or none.
    fn expire(
        &self,
        _order_id: &OrderId,
        state: &Self::State,
        _now: Timestamp,
    ) -> Transition<Self::State> {
        Transition::to(state.clone())
    }

    /// How the order's document is found and listed.
    fn standing(&self, _state: &Self::State) -> Standing {
        Standing::default()
    }
}

/// How an order's document is found and listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// A label to list by.
    pub tag: Option<&'static str>,
    /// The order in which documents are listed, highest first.
    pub rank: Option<i64>,
    /// Nothing more is expected to happen.
    pub settled: bool,
}

/// What an event means.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<S, F> {
    /// The next state, and what is told to the others.
    Apply(Transition<S>),
    /// Something must be carried out first; [`Participant::settle`] then knows the next state. An effect may be
    /// carried out again after a crash, with the same order and attempt: it must be idempotent. It never rests on the outcome
    /// of another effect that is not saved.
    Effect(F),
    /// As [`Decision::Effect`], but the state is saved first: from then on whoever works on the order knows what is being done.
    /// For effects that take back what another instance may be doing at this moment: if that one saves first, the effect is
    /// not carried out, and the event is decided again. On the state that it gives, `decide` must ask for the same effect.
    Intend {
        /// What is to be known before the effect is carried out.
        state: S,
        /// The effect.
        effect: F,
    },
    /// Nothing to do, for instance late or not for us; says why.
    Ignore(&'static str),
    /// It comes before something that it depends on: it is remembered, and decided again after each further event.
    Early(&'static str),
    /// It contradicts what is known: it becomes a dead letter and parks the order here. Says why, for a person.
    Reject(String),
}

/// A next state and what is told to the others, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition<S> {
    /// The next state.
    pub state: S,
    /// The payloads of the events to publish.
    pub emit: Vec<Payload>,
}

impl<S> Transition<S> {
    /// The next state, nothing to tell.
    pub fn to(state: S) -> Self {
        Self {
            state,
            emit: Vec::new(),
        }
    }

    /// And tells this.
    #[must_use]
    pub fn emit(mut self, payload: impl Into<Payload>) -> Self {
        self.emit.push(payload.into());
        self
    }
}

impl<S, F> From<Transition<S>> for Decision<S, F> {
    fn from(transition: Transition<S>) -> Self {
        Self::Apply(transition)
    }
}

/// Why an effect did not come back with an outcome, although its dependency as a whole is up. (When it is down, that
/// is an outage: the runtime waits, and no order is the worse for it.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EffectFailure {
    /// It may work later: the order is parked until its next try.
    #[error("{0}")]
    Transient(String),
    /// It never will: a dead letter.
    #[error("{0}")]
    Permanent(String),
}
