//! The order of a batch's steps, and of a tick's.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sagaline_contracts::{OrderId, Timestamp};
use sagaline_saga::Participant;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::work::OrderWork;
use super::{Runner, RunnerOptions};
use crate::metrics::EventMetrics;
use crate::outbox::{AckedSet, OutboxRelay, RelayFaults};
use crate::{BatchHandler, Effects, Inbound, Outage, Ports, Producer};

/// Beyond so many lost races for the same orders, the batch backs off as in an outage.
const CONFLICTS_MAX: usize = 32;
/// The most due records that one tick looks after.
const DUE_MAX: usize = 500;

pub(super) struct ParticipantHandler<P, E> {
    pub(super) participant: Arc<P>,
    pub(super) effects: Arc<E>,
    pub(super) ports: Ports,
    pub(super) options: RunnerOptions,
    pub(super) relay: OnceCell<(Arc<dyn Producer>, OutboxRelay)>,
    pub(super) acked: AckedSet,
    pub(super) faults: parking_lot::Mutex<Option<RelayFaults>>,
    pub(super) metrics: EventMetrics,
}

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    pub(super) fn new(runner: Runner<P, E>) -> Self {
        let metrics = EventMetrics::new(runner.participant.name());
        Self {
            participant: runner.participant,
            effects: runner.effects,
            ports: runner.ports,
            options: runner.options,
            relay: OnceCell::new(),
            acked: runner.acked,
            faults: parking_lot::Mutex::new(Some(runner.faults)),
            metrics,
        }
    }
}

#[async_trait]
impl<P: Participant, E: Effects<P>> BatchHandler for ParticipantHandler<P, E> {
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage> {
        let started = Instant::now();
        let mut publish = Vec::with_capacity(batch.len());
        let (groups, decoded) = self.group(batch, &mut publish);
        let mut done: Vec<OrderWork<P>> = Vec::with_capacity(groups.len());
        let mut open = self.load(groups, batch, decoded).await?;
        for _ in 0..CONFLICTS_MAX {
            self.work(&mut open).await?;
            let lost = self.save(&mut open).await?;
            done.append(&mut open);
            if lost.is_empty() {
                break;
            }
            // Somebody else saved first: from the record as it is now, with the same messages.
            open = self.load(lost, batch, HashMap::new()).await?;
        }
        if !open.is_empty() {
            return Err(Outage::new(
                "store",
                "too many instances write the same orders",
            ));
        }
        self.publish(&done, publish).await?;
        let orders: Vec<OrderId> = done.iter().map(|work| work.order_id.clone()).collect();
        self.effects.saved(&orders);
        self.measure(batch, &done, started);
        Ok(())
    }

    async fn prepare(&self) -> Result<(), Outage> {
        self.relay().await.map(|_| ())
    }

    async fn tick(&self, now: Timestamp) -> Result<(), Outage> {
        let due = self
            .ports
            .store
            .due(self.options.collection, now.micros(), DUE_MAX)
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut open = Vec::with_capacity(due.len());
        for stored in due {
            let mut work = self.open(&stored)?;
            work.session.expire(&*self.participant, now);
            open.push(work);
        }
        self.sweep(&mut open, now).await?;
        self.work(&mut open).await?;
        // Who lost a race has nothing to do: the winner's record is looked after at the next tick.
        self.save(&mut open).await?;
        self.publish(&open, Vec::new()).await
    }
}
