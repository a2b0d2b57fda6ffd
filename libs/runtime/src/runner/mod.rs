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

use metrics::Gauge;
use sagaline_contracts::EventType;
use sagaline_saga::{Participant, RetryPolicy};
use tokio_util::sync::CancellationToken;

use crate::outbox::{AckedSet, RelayFaults};
use crate::{Census, ConsumerLoop, Effects, LoopOptions, Ports, RuntimeError};
use handler::ParticipantHandler;

/// Beyond so many records that wait, what waits in their outboxes is at least what is shown.
const OUTBOX_RECORDS_MAX: usize = 50_000;

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
    outbox: Option<Gauge>,
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
            outbox: None,
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

    /// Shows how much waits in the outboxes of its records: what events that were kept, or a timer, have caused.
    #[must_use]
    pub fn with_outbox_gauge(mut self, gauge: Gauge) -> Self {
        self.outbox = Some(gauge);
        self
    }

    /// Runs until `shutdown`, then finishes what is in hand.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), RuntimeError> {
        let service = self.participant.name();
        let mut topics: Vec<&'static str> = self
            .participant
            .subscriptions()
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        topics.push(EventType::RedriveRequested.as_str());
        let (ports, consumer) = (self.ports.clone(), self.options.consumer.clone());
        let gauge = self.outbox.take();
        let census = Census::new(
            Arc::clone(&ports.store),
            self.options.collection,
            self.acked.clone(),
            OUTBOX_RECORDS_MAX,
        );
        let handler = ParticipantHandler::new(self);
        let looped = ConsumerLoop::new(service, topics, Arc::new(handler), ports, consumer);
        let Some(gauge) = gauge else {
            return looped.run(shutdown).await;
        };
        tokio::select! {
            // In this order, so that a run can be repeated.
            biased;
            ended = looped.run(shutdown) => ended,
            never = census.show_outbox(&gauge) => match never {},
        }
    }
}
