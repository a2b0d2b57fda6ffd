//! Loading, merging and saving the orders of a batch.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use sagaline_commands::Outcome;
use sagaline_contracts::{EventType, OrderId, Timestamp};
use sagaline_runtime::Outage;
use sagaline_store::SaveResult;

use super::cache::Known;
use super::merge::{Contended, ROUNDS_MAX};
use super::work::Work;
use super::{Projector, audits};
use crate::collections::ORDERS;
use crate::projection::{Audit, Entry, Merged, Order};

impl Projector {
    /// Saves what the batch tells about orders, and tells everyone who watches. Gives the audits of their commands.
    pub(super) async fn save_orders(
        &self,
        groups: HashMap<OrderId, Vec<Entry>, RandomState>,
        now: Timestamp,
        duplicates: &mut Vec<EventType>,
    ) -> Result<Vec<Audit>, Outage> {
        let saved = self.try_save_orders(groups, now, duplicates).await;
        if saved.is_err() {
            self.forget();
            let gate = self.stats.counts.gate().await;
            self.stats.counts.recount(&gate);
        }
        saved
    }

    async fn try_save_orders(
        &self,
        groups: HashMap<OrderId, Vec<Entry>, RandomState>,
        now: Timestamp,
        duplicates: &mut Vec<EventType>,
    ) -> Result<Vec<Audit>, Outage> {
        let cleared = self.forget_cleared();
        let mut works = self.begin(groups, duplicates).await?;
        let mut all_audits = Vec::new();
        for round in 0..ROUNDS_MAX {
            let conflicts = self.save_round(&mut works, now).await?;
            if round == 0 {
                self.learn(&works, &conflicts);
            }
            let mut lost = Vec::with_capacity(conflicts.len());
            for (work, conflict) in works.into_iter().zip(conflicts) {
                if conflict {
                    lost.push(work);
                } else {
                    all_audits.extend(audits(&work.order));
                    // One that was saved before the read model was cleared is not there any more.
                    if self.rebuilds.cleared() == cleared {
                        self.remember(work, now);
                    }
                }
            }
            if lost.is_empty() {
                return Ok(all_audits);
            }
            works = self.begin_again(lost, duplicates).await?;
        }
        let contended = Contended {
            collection: ORDERS,
            count: works.len(),
        };
        Err(Outage::new("store", contended))
    }

    /// The orders of the batch as they are stored, with the batch's events merged in.
    async fn begin(
        &self,
        groups: HashMap<OrderId, Vec<Entry>, RandomState>,
        duplicates: &mut Vec<EventType>,
    ) -> Result<Vec<Work>, Outage> {
        // What is saved, and in which order, follows from the batch alone, so that a run can be repeated.
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut works = Vec::with_capacity(groups.len());
        let mut unknown = Vec::new();
        let expects_new = self.expects_new();
        {
            let mut cache = self.cache.lock();
            for (id, entries) in groups {
                if let Some(known) = cache.take(&id) {
                    works.push(Work::of(known, entries, duplicates));
                } else if expects_new && entries.iter().any(|e| e.kind() == EventType::OrderCreated)
                {
                    let mut work = Work::of(Known::nothing(id), entries, duplicates);
                    work.is_guess = true;
                    works.push(work);
                } else {
                    unknown.push((id, entries));
                }
            }
        }
        let ids: Vec<&OrderId> = unknown.iter().map(|(id, _)| id).collect();
        let loaded = self.load(&ids).await?;
        let mut begun = 0;
        let mut new = 0;
        for ((_, entries), known) in unknown.into_iter().zip(loaded) {
            let Some(known) = known else { continue };
            if entries
                .iter()
                .any(|entry| entry.kind() == EventType::OrderCreated)
            {
                begun += 1;
                new += usize::from(known.version == 0);
            }
            works.push(Work::of(known, entries, duplicates));
        }
        if begun > 0 && new * 2 > begun {
            self.expects_new.store(true, Ordering::Relaxed);
        }
        Ok(works)
    }

    /// Orders as they are stored. One whose document cannot be read is left alone: it must not hold up all the others, and
    /// overwriting it would lose what it has.
    async fn load(&self, ids: &[&OrderId]) -> Result<Vec<Option<Known>>, Outage> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let stored = self.ports.store.load(ORDERS, &texts).await?;
        let known = ids.iter().zip(stored).map(|(id, stored)| match stored {
            None => Some(Known::nothing((*id).clone())),
            Some(stored) => match Order::parse(&stored.body) {
                Ok(order) => {
                    let head = Some(order.fold().head());
                    Some(Known { order, version: stored.version, head })
                }
                Err(error) => {
                    tracing::error!(order_id = %id, %error, "the document of an order cannot be read");
                    None
                }
            },
        });
        Ok(known.collect())
    }

    /// Saves the orders that have changed, and tells of all; says for each whether someone else was faster.
    async fn save_round(&self, works: &mut [Work], now: Timestamp) -> Result<Vec<bool>, Outage> {
        let mut writes = Vec::with_capacity(works.len());
        let mut written = Vec::with_capacity(works.len());
        for (at, work) in works.iter_mut().enumerate() {
            if work.changed {
                writes.push(work.write());
                written.push(at);
            }
        }
        let mut conflicts = vec![false; works.len()];
        if !writes.is_empty() {
            let gate = self.stats.counts.gate().await;
            let results = self.ports.store.save(ORDERS, writes).await?;
            for (at, result) in written.into_iter().zip(results) {
                match result {
                    SaveResult::Saved => works[at].version += 1,
                    SaveResult::Conflict if sagaline_saga::planted!("projection loses a race") => {}
                    SaveResult::Conflict => conflicts[at] = true,
                }
            }
            let saved = works
                .iter()
                .zip(&conflicts)
                .filter(|(_, conflict)| !**conflict);
            self.stats
                .note(now, saved.filter_map(|(work, _)| work.transition()));
            drop(gate);
        }
        for (work, _) in works
            .iter()
            .zip(&conflicts)
            .filter(|(_, conflict)| !**conflict)
        {
            self.hub.announce(&work.order);
        }
        Ok(conflicts)
    }

    /// Merges orders, that someone else has saved meanwhile, into what is stored now.
    async fn begin_again(
        &self,
        lost: Vec<Work>,
        duplicates: &mut Vec<EventType>,
    ) -> Result<Vec<Work>, Outage> {
        let ids: Vec<&OrderId> = lost.iter().map(|work| work.order.id()).collect();
        let loaded = self.load(&ids).await?;
        let works = lost.into_iter().zip(loaded).filter_map(|(work, known)| {
            let mut known = known?;
            let (known_before, new): (Vec<_>, Vec<_>) = work
                .added
                .into_iter()
                .partition(|(id, _)| known.order.knows(id));
            duplicates.extend(known_before.into_iter().map(|(_, kind)| kind));
            let Merged { changed, .. } = known.order.merge_copy(work.order);
            Some(Work {
                order: known.order,
                version: known.version,
                before: known.head,
                after: None,
                added: new,
                changed,
                is_guess: false,
            })
        });
        Ok(works.collect())
    }

    /// Stops guessing that orders are new when it was wrong for most: events come again, after a crash for instance.
    fn learn(&self, works: &[Work], conflicts: &[bool]) {
        let guesses = works
            .iter()
            .zip(conflicts)
            .filter(|(work, _)| work.is_guess);
        let (right, wrong): (Vec<_>, Vec<_>) = guesses.partition(|(_, conflict)| !**conflict);
        if wrong.len() > right.len() {
            self.expects_new.store(false, Ordering::Relaxed);
        }
    }

    /// Keeps an order that is in flight for its next event.
    fn remember(&self, work: Work, now: Timestamp) {
        let head = work.after.map(|after| after.head).or(work.before);
        let is_in_flight =
            head.is_some_and(|head| head.status.is_some() && head.outcome == Outcome::Pending);
        if is_in_flight {
            let known = Known {
                order: work.order,
                version: work.version,
                head,
            };
            let forgotten = self.cache.lock().put(known, now);
            drop(forgotten);
        }
    }
}
