//! A request that waits, and what the documents at its identities mean for it.

use std::collections::{HashMap, HashSet};

use sagaline_contracts::OrderId;
use sagaline_saga::OrderRecord;
use sagaline_store::{Stored, Write};
use tokio::sync::oneshot;

use super::draft::Base;
use super::{Draft, IntakeError, Placed};
use crate::domain::{Identity, IdentityKind, Order, Phase};

pub(super) type Answer = Result<Placed, IntakeError>;

/// A request that waits for its answer. Dropping it tells the caller that the store is unavailable.
pub(super) struct Job {
    pub(super) draft: Draft,
    reply: oneshot::Sender<Answer>,
    /// What stands at its identities that is no order.
    pub(super) bases: HashMap<OrderId, Base>,
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

/// Documents by their ids.
pub(super) type Found = HashMap<String, Stored>;

impl Job {
    pub(super) fn new(draft: Draft, reply: oneshot::Sender<Answer>) -> Self {
        Self {
            draft,
            reply,
            bases: HashMap::new(),
        }
    }

    /// Whether the caller has stopped waiting.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn answer(self, answer: Answer) {
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

    /// The order of before that it turned out to be, when one stands at its id.
    pub(super) fn own_order(&self, found: &Found) -> Option<OrderId> {
        let order_id = self.draft.order_id();
        let stands = found.contains_key(order_id.as_str()) && !self.bases.contains_key(order_id);
        stands.then(|| order_id.clone())
    }

    /// The same request with its document written anew: on top of what stands at its id, or for an id that is free again.
    pub(super) fn rewritten(self, found: &Found) -> Self {
        let base = self.bases.get(self.draft.order_id());
        let base = base.filter(|base| found.contains_key(base.record.order_id.as_str()));
        let draft = self.draft.rewrite(base);
        Self { draft, ..self }
    }

    /// Whether each of its contested identities turned out to be its own: one that vanished meanwhile, or that something
    /// else stands at, has to be claimed again.
    pub(super) fn holds_all(&self, contested: &HashSet<String>, found: &Found) -> bool {
        let further = &self.draft.identities().further;
        further.iter().all(|identity| {
            let id = identity.id.as_str();
            !contested.contains(id)
                || (found.contains_key(id) && !self.bases.contains_key(&identity.id))
        })
    }
}

enum Considered {
    AsItIs(Job),
    Moved(Job),
    Answered,
}

/// Holds every request against what was found; gives those that go on as they are.
pub(super) fn sort_out(jobs: Vec<Job>, found: &Found, again: &mut Vec<Job>) -> Vec<Job> {
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
pub(super) fn claims(jobs: &[Job], found: &Found) -> (Vec<Write>, HashSet<String>) {
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
