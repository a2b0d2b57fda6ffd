//! Given, when, then: a harness for participants' tests.

use std::fmt::Debug;

use sagaline_contracts::{Event, EventId, Payload, Timestamp};

use crate::{Decision, Participant, Transition};

/// An event around a payload, for tests: its id and time are `id` and the epoch.
pub fn event(id: &str, payload: impl Into<Payload>) -> Event {
    let payload = payload.into();
    let order_id = payload.order_id().cloned();
    Event {
        id: EventId::new(id)
            .unwrap_or_else(|error| unreachable!("a test's event id is valid: {error}")),
        timestamp: Timestamp::EPOCH,
        correlation_id: order_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        causation_id: None,
        order_id,
        payload,
        headers: std::collections::BTreeMap::default(),
    }
}

/// A participant in a state.
pub struct Given<'p, P: Participant> {
    participant: &'p P,
    state: P::State,
}

/// A participant in a state that met an event.
pub struct When<'p, P: Participant> {
    given: Given<'p, P>,
    event: Event,
    decision: Decision<P::State, P::Effect>,
}

/// Starts with an order in `state`.
pub fn given<P: Participant>(participant: &P, state: P::State) -> Given<'_, P> {
    Given { participant, state }
}

impl<'p, P: Participant> Given<'p, P> {
    /// The event comes.
    pub fn when(self, payload: impl Into<Payload>) -> When<'p, P> {
        let event = event("e-1", payload);
        let decision = self.participant.decide(&self.state, &event);
        When {
            given: self,
            event,
            decision,
        }
    }
}

impl<P: Participant> When<'_, P>
where
    P::State: Debug,
{
    /// The decision itself.
    pub fn decision(&self) -> &Decision<P::State, P::Effect> {
        &self.decision
    }

    /// The effect was asked for and came back with `outcome`: the transition that follows.
    #[track_caller]
    pub fn with_outcome(self, outcome: P::Outcome) -> Transition<P::State> {
        let state = match self.decision {
            Decision::Effect(_) => self.given.state,
            Decision::Intend { state, .. } => state,
            other => unreachable!("no effect was asked for: {other:?}"),
        };
        self.given.participant.settle(&state, &self.event, outcome)
    }

    /// It was applied: the transition.
    #[track_caller]
    pub fn applied(self) -> Transition<P::State> {
        match self.decision {
            Decision::Apply(transition) => transition,
            other => unreachable!("expected the event to be applied, but: {other:?}"),
        }
    }

    /// It was ignored.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn is_ignored(self) {
        assert!(
            matches!(self.decision, Decision::Ignore(_)),
            "expected it to be ignored: {:?}",
            self.decision
        );
    }
}
