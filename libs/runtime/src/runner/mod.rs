//! Runs one participant: decode, group by order, load, decide, carry out, save, publish.

mod damage;
mod group;
mod handler;
mod measure;
mod publish;
mod refused;
mod save;
mod sweep;
mod work;

use std::sync::Arc;

use sagaline_contracts::EventType;
use sagaline_saga::{Participant, RetryPolicy};
use tokio_util::sync::CancellationToken;

use crate::outbox::{AckedSet, RelayFaults};
use crate::{ConsumerLoop, Effects, LoopOptions, Ports, RuntimeError};
use handler::ParticipantHandler;

/// How a participant runs.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// The collection of its records.
    pub collection: &'static str,
    /// When an event is tried again whose effect failed for its order alone.
    pub retry: RetryPolicy,
    /// How its consumer runs.
    pub consumer: LoopOptions,
}

impl RunnerOptions {
    /// The usual, with records in `collection`.
    pub fn new(collection: &'static str) -> Self {
        Self {
            collection,
            retry: RetryPolicy::default(),
            consumer: LoopOptions::default(),
        }
    }
}

/// Runs one participant on the ports.
pub struct Runner<P, E> {
    participant: Arc<P>,
    effects: Arc<E>,
    ports: Ports,
    options: RunnerOptions,
    acked: AckedSet,
    faults: RelayFaults,
}

impl<P: Participant, E: Effects<P>> Runner<P, E> {
    /// A runner that is not running yet.
    pub fn new(participant: Arc<P>, effects: Arc<E>, ports: Ports, options: RunnerOptions) -> Self {
        Self {
            participant,
            effects,
            ports,
            options,
            acked: AckedSet::default(),
            faults: RelayFaults::default(),
        }
    }

    /// Shares what is known to be acknowledged with the relay that publishes HTTP-caused events.
    #[must_use]
    pub fn with_acked(mut self, acked: AckedSet) -> Self {
        self.acked = acked;
        self
    }

    /// Lets the sweep's publishes fail on purpose.
    #[must_use]
    pub fn with_faults(mut self, faults: RelayFaults) -> Self {
        self.faults = faults;
        self
    }

    /// Runs until `shutdown`, then finishes what is in hand.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RuntimeError> {
        let service = self.participant.name();
        let mut topics: Vec<&'static str> = self
            .participant
            .subscriptions()
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        topics.push(EventType::RedriveRequested.as_str());
        let (ports, consumer) = (self.ports.clone(), self.options.consumer.clone());
        let handler = ParticipantHandler::new(self);
        ConsumerLoop::new(service, topics, Arc::new(handler), ports, consumer)
            .run(shutdown)
            .await
    }
}
