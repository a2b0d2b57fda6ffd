//! What a worker does with the requests that it took.
//!
//! Each document is atomic on its own, so a request with several identities takes two steps. First its further identities
//! are claimed, each by a document that says which order it belongs to, inserted only if nothing is there. Then the order
//! is inserted. Whoever loses an insert reads what is there: the same request is the same order, another one a conflict.
//! A crash between the steps leaves claims without an order; the same request again completes it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sagaline_contracts::OrderId;
use sagaline_runtime::{HealthSink, Outage};
use sagaline_saga::OrderRecord;
use sagaline_store::{SaveResult, Store, StoreError, Stored, Write};
use tokio::sync::oneshot;

use super::draft::Base;
use super::{Draft, IntakeError, Placed};
use crate::announce::{Announcement, Announcer};
use crate::domain::{COLLECTION, Identity, IdentityKind, Order, Phase};
use crate::measure::Gauges;

/// A request moves once, when one of its identities belongs to another order; beyond a few rounds something is wrong.
const ROUNDS_MAX: usize = 4;

type Answer = Result<Placed, IntakeError>;

/// A request that waits for its answer. Dropping it tells the caller that the store is unavailable.
pub(super) struct Job {
    draft: Draft,
    reply: oneshot::Sender<Answer>,
    /// What stands at its identities that is no order.
    bases: HashMap<OrderId, Base>,
}

/// What a document at one of a request's identities means for it.
enum Verdict {
    /// It is the request's own.
    Own,
    /// The same request was made before, and is the order of this id.
    Elsewhere(OrderId),
    /// No order was placed under this id, but something stands there.
    Vacant(Box<Base>),
    /// The request is refused.
    Refused(IntakeError),
}

type Found = HashMap<String, Stored>;

impl Job {
    pub(super) fn new(draft: Draft, reply: oneshot::Sender<Answer>) -> Self {
        Self {
            draft,
            reply,
            bases: HashMap::new(),
        }
    }

    fn answer(self, answer: Answer) {
        // A caller who has gone does not want it any more.
        let _ = self.reply.send(answer);
    }

    fn judge(&self, identity: &Identity, stored: &Stored) -> Verdict {
        let record: OrderRecord<Order> = match serde_json::from_slice(&stored.body) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(order_id = stored.id, %error, "a document cannot be read; inspect it by hand");
                return Verdict::Refused(IntakeError::Unreadable(identity.kind));
            }
        };
        let state = &record.state;
        match (&state.redirect, state.fingerprint) {
            (None, None) if state.phase == Phase::Unknown => Verdict::Vacant(Box::new(Base {
                version: stored.version,
                record,
            })),
            (_, fingerprint) if fingerprint != Some(self.draft.fingerprint()) => {
                Verdict::Refused(IntakeError::Conflict(identity.kind))
            }
            (Some(target), _) if target == self.draft.order_id() => Verdict::Own,
            (Some(target), _) => Verdict::Elsewhere(target.clone()),
            (None, _) if identity.id == *self.draft.order_id() => Verdict::Own,
            (None, _) => Verdict::Elsewhere(identity.id.clone()),
        }
    }

    /// Holds the request against what was found at its identities: it goes on as it is, is to start again as another
    /// order's, or is answered here.
    fn consider(mut self, found: &Found) -> Considered {
        let mut moved: Option<OrderId> = None;
        let identities: Vec<Identity> = self.draft.identities().iter().cloned().collect();
        for identity in identities {
            let Some(stored) = found.get(identity.id.as_str()) else {
                continue;
            };
            self.bases.remove(&identity.id);
            match self.judge(&identity, stored) {
                Verdict::Own => {}
                Verdict::Elsewhere(target) => {
                    // It cannot be two orders, and a caller's own id is not ours to change.
                    let fixed = self.draft.identities().primary.kind == IdentityKind::OrderId;
                    if fixed || moved.as_ref().is_some_and(|other| *other != target) {
                        self.answer(Err(IntakeError::Conflict(identity.kind)));
                        return Considered::Answered;
                    }
                    moved = Some(target);
                }
                Verdict::Vacant(base) => {
                    if identity.id == *self.draft.order_id() {
                        self.draft = self.draft.rewrite(Some(&base));
                    }
                    self.bases.insert(identity.id, *base);
                }
                Verdict::Refused(error) => {
                    self.answer(Err(error));
                    return Considered::Answered;
                }
            }
        }
        match moved {
            None => Considered::AsItIs(self),
            Some(target) => {
                self.draft = self.draft.move_to(&target);
                self.bases.clear();
                Considered::Moved(self)
            }
        }
    }
}

enum Considered {
    AsItIs(Job),
    Moved(Job),
    Answered,
}

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
        let mut open: Vec<Job> = jobs
            .into_iter()
            .filter(|job| !job.reply.is_closed())
            .collect();
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
        let results = self.save(writes).await?;
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
            let order_id = job.draft.order_id().clone();
            let base = job
                .bases
                .get(&order_id)
                .filter(|_| found.contains_key(order_id.as_str()));
            if base.is_none() && found.contains_key(order_id.as_str()) {
                job.answer(Ok(Placed::Before(order_id)));
            } else {
                // No order stands there, or it is gone by now: once more, on top of what is known now.
                let draft = job.draft.rewrite(base);
                again.push(Job { draft, ..job });
            }
        }
        Ok(())
    }

    async fn load(&self, ids: impl Iterator<Item = &str>) -> Result<Found, StoreError> {
        let ids: Vec<&str> = ids.collect::<HashSet<_>>().into_iter().collect();
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

impl Job {
    /// Whether each of its contested identities turned out to be its own: one that vanished meanwhile, or that something
    /// else stands at, has to be claimed again.
    fn holds_all(&self, contested: &HashSet<String>, found: &Found) -> bool {
        let further = &self.draft.identities().further;
        further.iter().all(|identity| {
            let id = identity.id.as_str();
            !contested.contains(id)
                || (found.contains_key(id) && !self.bases.contains_key(&identity.id))
        })
    }
}

/// Holds every request against what was found; gives those that go on as they are.
fn sort_out(jobs: Vec<Job>, found: &Found, again: &mut Vec<Job>) -> Vec<Job> {
    if found.is_empty() {
        return jobs;
    }
    let mut going_on = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job.consider(found) {
            Considered::AsItIs(job) => going_on.push(job),
            Considered::Moved(job) => again.push(job),
            Considered::Answered => {}
        }
    }
    going_on
}

/// The documents that claim what is not held yet, one per id, and the ids that several requests want.
fn claims(jobs: &[Job], found: &Found) -> (Vec<Write>, HashSet<String>) {
    let (mut writes, mut contested) = (Vec::new(), HashSet::new());
    let mut claimed: HashSet<&OrderId> = HashSet::new();
    for job in jobs {
        for identity in &job.draft.identities().further {
            let base = job.bases.get(&identity.id);
            if base.is_none() && found.contains_key(identity.id.as_str()) {
                continue;
            }
            if claimed.insert(&identity.id) {
                writes.push(job.draft.alias(&identity.id, base));
            } else {
                contested.insert(identity.id.to_string());
            }
        }
    }
    (writes, contested)
}
