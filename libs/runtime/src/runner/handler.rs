//! The order of a batch's steps, and of a tick's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use sagaline_contracts::Timestamp;
use sagaline_saga::{Participant, planted};
use sagaline_store::StoreError;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::work::OrderWork;
use super::{Runner, RunnerOptions};
use crate::metrics::EventMetrics;
use crate::outbox::{AckedSet, OutboxRelay, RelayFaults};
use crate::{BatchHandler, Effects, Inbound, Outage, Ports, Producer, Saved};

/// Beyond so many lost races for the same orders, the batch backs off as in an outage.
pub(super) const CONFLICTS_MAX: usize = 32;
/// The most due records that one tick looks after.
const DUE_MAX: usize = 500;
/// The most damaged documents that it looks past to find them: these stay due, and come first.
const DAMAGED_MAX: usize = 10_000;

pub(super) struct ParticipantHandler<P, E> {
    pub(super) participant: Arc<P>,
    pub(super) effects: Arc<E>,
    pub(super) ports: Ports,
    pub(super) options: RunnerOptions,
    pub(super) relay: OnceCell<(Arc<dyn Producer>, OutboxRelay)>,
    pub(super) acked: AckedSet,
    pub(super) faults: parking_lot::Mutex<Option<RelayFaults>>,
    pub(super) metrics: EventMetrics,
    /// The damaged documents that the last tick met.
    damaged: parking_lot::Mutex<BTreeSet<String>>,
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
            damaged: parking_lot::Mutex::default(),
        }
    }

    /// Remembers which documents are damaged, and says so of each once, though it is met at every tick.
    fn note_damaged(&self, met: BTreeMap<String, StoreError>) {
        let mut known = self.damaged.lock();
        let mut damaged = BTreeSet::new();
        for (id, error) in met {
            if !known.contains(&id) {
                let error = Outage::from(error).source_chain();
                tracing::error!(%error, "what is due for an order cannot be done");
            }
            damaged.insert(id);
        }
        *known = damaged;
    }

    fn tell_saved(&self, works: &[OrderWork<P>]) {
        let saved: Vec<Saved<'_, P::State>> = works
            .iter()
            .map(|work| Saved {
                order_id: &work.order_id,
                state: &work.session.record().state,
            })
            .collect();
        self.effects.saved(&saved);
    }
}

#[async_trait]
impl<P: Participant, E: Effects<P>> BatchHandler for ParticipantHandler<P, E> {
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage> {
        let started = Instant::now();
        let mut publish = Vec::with_capacity(batch.len());
        let (groups, decoded) = self.group(batch, &mut publish);
        let mut done: Vec<OrderWork<P>> = Vec::with_capacity(groups.len());
        let mut damaged = Vec::new();
        let mut open = self.load(groups, batch, decoded, &mut damaged).await?;
        for _ in 0..CONFLICTS_MAX {
            let mut lost = self.work(&mut open, &mut damaged).await?;
            if planted!("publish before save") {
                self.publish(&open, Vec::new()).await?;
            }
            lost.extend(self.save(&mut open, &mut damaged, |_| true).await?);
            done.append(&mut open);
            if lost.is_empty() {
                break;
            }
            // Somebody else saved first: from the record as it is now, with the same messages.
            open = self.load(lost, batch, HashMap::new(), &mut damaged).await?;
        }
        if !open.is_empty() {
            return Err(Outage::new(
                "store",
                "too many instances write the same orders",
            ));
        }
        publish.extend(self.entomb(damaged, batch));
        self.publish(&done, publish).await?;
        self.tell_saved(&done);
        self.measure(batch, &done, started);
        Ok(())
    }

    async fn prepare(&self) -> Result<(), Outage> {
        self.relay().await.map(|_| ())
    }

    async fn tick(&self, now: Timestamp) -> Result<(), Outage> {
        // As many more as were of no use the last time, or they would keep all others from their turn.
        let limit = DUE_MAX + self.damaged.lock().len().min(DAMAGED_MAX);
        let store = &self.ports.store;
        let due = store
            .due(self.options.collection, now.micros(), limit)
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut open = Vec::with_capacity(due.len());
        let mut damaged = BTreeMap::new();
        for stored in due {
            match self.open(&stored) {
                Ok(mut work) => {
                    work.session.expire(&*self.participant, now);
                    open.push(work);
                }
                // It stays due: its order waits until it is mended, and the others do not.
                Err(error) => {
                    damaged.insert(stored.id, error);
                }
            }
        }
        self.note_damaged(damaged);
        self.sweep(&mut open, now).await?;
        // Who lost a race has nothing to do: the winner's record is looked after at the next tick.
        self.work(&mut open, &mut Vec::new()).await?;
        self.save(&mut open, &mut Vec::new(), |_| true).await?;
        self.publish(&open, Vec::new()).await?;
        self.tell_saved(&open);
        Ok(())
    }
}
