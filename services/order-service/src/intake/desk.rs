//! What a worker does with the requests that it took.
//!
//! Each document is atomic on its own, so a request with several identities takes two steps. First its further identities
//! are claimed, each by a document that says which order it belongs to, inserted only if nothing is there. Then the order
//! is inserted. Whoever loses an insert reads what is there: the same request is the same order, another one a conflict.
//! A crash between the steps leaves claims without an order; the same request again completes it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sagaline_contracts::OrderId;
use sagaline_runtime::{Announcement, Announcer, HealthSink, Outage};
use sagaline_store::{SaveResult, Store, StoreError, Write};

use super::Placed;
use super::job::{Found, Job, claims, sort_out};
use crate::domain::COLLECTION;
use crate::measure::Gauges;

/// A request moves once, when one of its identities belongs to another order; beyond a few rounds something is wrong.
const ROUNDS_MAX: usize = 4;

/// Saves batches of requests.
pub(super) struct Desk {
    store: Arc<dyn Store>,
    announcer: Announcer,
    health: Arc<dyn HealthSink>,
    gauges: Arc<Gauges>,
    limit: Duration,
}

impl Desk {
    pub(super) fn new(
        store: Arc<dyn Store>,
        announcer: Announcer,
        health: Arc<dyn HealthSink>,
        gauges: Arc<Gauges>,
        limit: Duration,
    ) -> Self {
        Self {
            store,
            announcer,
            health,
            gauges,
            limit,
        }
    }

    /// Saves a batch and answers every request of it.
    pub(super) async fn commit(&self, jobs: Vec<Job>) {
        // Who has stopped waiting must not get an order that nobody hears of.
        let mut open: Vec<Job> = jobs.into_iter().filter(|job| !job.is_abandoned()).collect();
        for _ in 0..ROUNDS_MAX {
            if open.is_empty() {
                return;
            }
            open = match self.round(open).await {
                Ok(open) => open,
                Err(outage) => return self.report(outage),
            };
        }
        tracing::warn!(
            requests = open.len(),
            "requests whose identities kept changing were refused"
        );
    }

    fn report(&self, error: StoreError) {
        let reason = Outage::from(error).chain();
        tracing::warn!(error = %reason, "orders could not be saved");
        self.health.down("store", &reason);
    }

    /// One try of all; gives those that have to start again.
    async fn round(&self, jobs: Vec<Job>) -> Result<Vec<Job>, StoreError> {
        let mut again = Vec::new();
        let ready = self.claim(jobs, &mut again).await?;
        self.insert(ready, &mut again).await?;
        Ok(again)
    }

    /// Claims the further identities; gives the requests that hold all of theirs.
    async fn claim(&self, jobs: Vec<Job>, again: &mut Vec<Job>) -> Result<Vec<Job>, StoreError> {
        let further = |job: &Job| !job.draft.identities().further.is_empty();
        if !jobs.iter().any(further) {
            return Ok(jobs);
        }
        let (mut several, mut ready): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(further);
        for job in &mut several {
            job.bases.clear();
        }
        // Looking first keeps a request that is to be refused from claiming what a better one will need.
        let ids = several.iter().flat_map(|job| job.draft.identities().iter());
        let found = self.load(ids.map(|identity| identity.id.as_str())).await?;
        let several = sort_out(several, &found, again);

        let (writes, mut contested) = claims(&several, &found);
        let claimed: Vec<String> = writes.iter().map(|write| write.id.clone()).collect();
        let results = self.save(writes).await?;
        let lost = claimed
            .into_iter()
            .zip(results)
            .filter(|(_, result)| *result == SaveResult::Conflict);
        contested.extend(lost.map(|(id, _)| id));
        let found = self.load(contested.iter().map(String::as_str)).await?;
        for job in sort_out(several, &found, again) {
            if job.holds_all(&contested, &found) {
                ready.push(job);
            } else {
                again.push(job);
            }
        }
        Ok(ready)
    }

    /// Inserts the orders and answers for them.
    async fn insert(&self, mut jobs: Vec<Job>, again: &mut Vec<Job>) -> Result<(), StoreError> {
        let mut seen: HashSet<OrderId> = HashSet::with_capacity(jobs.len());
        let (mut writes, mut first) = (
            Vec::with_capacity(jobs.len()),
            Vec::with_capacity(jobs.len()),
        );
        for (at, job) in jobs.iter_mut().enumerate() {
            if seen.insert(job.draft.order_id().clone()) {
                writes.push(job.draft.take_write());
                first.push(at);
            }
        }
        let count = writes.len();
        let results = match self.save(writes).await {
            Err(_) if sagaline_saga::planted!("answered before it is durable") => {
                vec![SaveResult::Saved; count]
            }
            results => results?,
        };
        let mut saved = vec![false; jobs.len()];
        for (at, result) in first.into_iter().zip(results) {
            if let Some(saved) = saved.get_mut(at) {
                *saved = result == SaveResult::Saved;
            }
        }
        let (mut created, mut contested) = (Vec::with_capacity(jobs.len()), Vec::new());
        for (job, saved) in jobs.into_iter().zip(saved) {
            if saved {
                created.push(job);
            } else {
                contested.push(job);
            }
        }
        self.announce(created);
        self.settle(contested, again).await
    }

    /// Answers for new orders, and hands their events in to be published.
    fn announce(&self, created: Vec<Job>) {
        if created.is_empty() {
            return;
        }
        self.gauges.placed(created.len());
        let mut emissions: Vec<Announcement> = Vec::with_capacity(created.len());
        for mut job in created {
            let order_id = job.draft.order_id().clone();
            let told = job.draft.take_emissions().into_iter();
            emissions.extend(told.map(|emission| (order_id.clone(), emission)));
            job.answer(Ok(Placed::Created(order_id)));
        }
        self.announcer.announce(emissions);
    }

    /// Answers those at whose id something stands already.
    async fn settle(&self, contested: Vec<Job>, again: &mut Vec<Job>) -> Result<(), StoreError> {
        let ids = contested.iter().map(|job| job.draft.order_id().as_str());
        let found = self.load(ids).await?;
        for job in sort_out(contested, &found, again) {
            match job.own_order(&found) {
                Some(order_id) => job.answer(Ok(Placed::Before(order_id))),
                None => again.push(job.rewritten(&found)),
            }
        }
        Ok(())
    }

    async fn load(&self, ids: impl Iterator<Item = &str>) -> Result<Found, StoreError> {
        let ids: Vec<&str> = ids.collect::<BTreeSet<_>>().into_iter().collect();
        if ids.is_empty() {
            return Ok(Found::new());
        }
        let loaded = self
            .within("load orders", self.store.load(COLLECTION, &ids))
            .await?;
        let found = loaded.into_iter().flatten();
        Ok(found.map(|stored| (stored.id.clone(), stored)).collect())
    }

    async fn save(&self, writes: Vec<Write>) -> Result<Vec<SaveResult>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        self.within("save orders", self.store.save(COLLECTION, writes))
            .await
    }

    async fn within<T>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(self.limit, call)
            .await
            .unwrap_or_else(|elapsed| {
                Err(StoreError::Unavailable {
                    operation: operation.to_owned(),
                    source: elapsed.into(),
                })
            })
    }
}
