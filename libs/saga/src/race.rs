//! Several instances on one order, for participants' tests.
//!
//! A group has one instance for an order, but one that was thrown out may not know it yet and go on. What such instances do is
//! cut into steps here, decide, save what is intended, carry out, save, so that a test can put them in any order.

use std::collections::VecDeque;

use sagaline_contracts::{Event, Payload};

use crate::{Decision, Participant, Transition};

/// An order's saved state, and the instances that work on it. There is no inbox, so an event that comes again is decided again.
pub struct Race<'p, P: Participant> {
    participant: &'p P,
    /// What is saved.
    pub state: P::State,
    /// What was told, by whoever could save what it caused.
    pub told: Vec<Payload>,
    version: u64,
    instances: Vec<Instance<P>>,
}

struct Instance<P: Participant> {
    incoming: VecDeque<Event>,
    stage: Stage<P>,
}

/// How far an instance has come with the first of its events, from which version of the state.
enum Stage<P: Participant> {
    Idle,
    Intends(u64, P::State, P::Effect),
    Asks(u64, P::State, P::Effect),
    Knows(u64, Transition<P::State>),
}

impl<'p, P: Participant> Race<'p, P> {
    /// So many instances, none of which has anything to do.
    pub fn new(participant: &'p P, instances: usize) -> Self {
        let idle = || Instance {
            incoming: VecDeque::new(),
            stage: Stage::Idle,
        };
        Self {
            participant,
            state: P::State::default(),
            told: Vec::new(),
            version: 0,
            instances: std::iter::repeat_with(idle).take(instances).collect(),
        }
    }

    /// An event comes to an instance.
    pub fn deliver(&mut self, instance: usize, event: Event) {
        if let Some(instance) = self.instances.get_mut(instance) {
            instance.incoming.push_back(event);
        }
    }

    /// An instance forgets what it was doing, and begins again with the same event.
    pub fn crash(&mut self, instance: usize) {
        if let Some(instance) = self.instances.get_mut(instance) {
            instance.stage = Stage::Idle;
        }
    }

    /// An instance takes one step. Gives whether there was anything to do.
    pub fn step(
        &mut self,
        instance: usize,
        carry_out: impl FnOnce(&P::Effect) -> P::Outcome,
    ) -> bool {
        let Some(at) = self.instances.get_mut(instance) else {
            return false;
        };
        let Some(event) = at.incoming.front().cloned() else {
            return false;
        };
        let next = match std::mem::replace(&mut at.stage, Stage::Idle) {
            Stage::Idle => self.decide(&event),
            Stage::Intends(version, state, effect) if version == self.version => {
                self.version += 1;
                self.state = state.clone();
                Some(Stage::Asks(self.version, state, effect))
            }
            Stage::Asks(version, state, effect) => {
                let outcome = carry_out(&effect);
                let next = self.participant.settle(&state, &event, outcome);
                Some(Stage::Knows(version, next))
            }
            Stage::Knows(version, next) if version == self.version => {
                self.version += 1;
                self.state = next.state;
                self.told.extend(next.emit);
                None
            }
            // Somebody else saved first.
            Stage::Intends(..) | Stage::Knows(..) => Some(Stage::Idle),
        };
        let at = &mut self.instances[instance];
        match next {
            Some(stage) => at.stage = stage,
            None => drop(at.incoming.pop_front()),
        }
        true
    }

    /// What comes next for an event; nothing when it is done with.
    fn decide(&self, event: &Event) -> Option<Stage<P>> {
        match self.participant.decide(&self.state, event) {
            Decision::Apply(next) => Some(Stage::Knows(self.version, next)),
            Decision::Effect(effect) => Some(Stage::Asks(self.version, self.state.clone(), effect)),
            Decision::Intend { state, effect } => Some(Stage::Intends(self.version, state, effect)),
            Decision::Ignore(_) => None,
            Decision::Early(why) => unreachable!("{:?} meets {event:?}: {why}", self.state),
            Decision::Reject(why) => unreachable!("{:?} meets {event:?}: {why}", self.state),
        }
    }

    /// Lets every instance come to its end, one after the other.
    pub fn finish(&mut self, mut carry_out: impl FnMut(&P::Effect) -> P::Outcome) {
        for instance in 0..self.instances.len() {
            while self.step(instance, &mut carry_out) {}
        }
    }
}
