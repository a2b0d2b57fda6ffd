//! Loading, merging and saving the orders of a batch.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use sagaline_commands::Outcome;
use sagaline_contracts::{EventType, OrderId, Timestamp};
use sagaline_runtime::{Inbound, Outage};
use sagaline_store::SaveResult;

use super::blame::{self, Damaged, blamed};
use super::cache::Known;
use super::merge::{Contended, ROUNDS_MAX};
use super::work::Work;
use super::{Projector, audits};
use crate::collections::ORDERS;
use crate::projection::{Audit, Entry};

/// What became of an order of a batch in one round.
enum Fate {
    Saved,
    /// Someone else was faster.
    Lost,
    /// The store refuses its document, and why.
    Unusable(String),
}

/// The audits of the commands of the batch's orders, and the orders that could not be saved.
pub(super) type SavedOrders = (Vec<Audit>, Vec<Damaged>);

impl Projector {
    /// Saves what the batch tells about orders, and tells everyone who watches.
    pub(super) async fn save_orders(
        &self,
        groups: HashMap<OrderId, Vec<Entry>, RandomState>,
        messages: &[Inbound],
        now: Timestamp,
        duplicates: &mut Vec<EventType>,
    ) -> Result<SavedOrders, Outage> {
        let saved = self
            .try_save_orders(groups, messages, now, duplicates)
            .await;
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
        messages: &[Inbound],
        now: Timestamp,
        duplicates: &mut Vec<EventType>,
    ) -> Result<SavedOrders, Outage> {
        let mut damaged = Vec::new();
        let mut works = self.begin(groups, duplicates, &mut damaged).await?;
        let mut all_audits = Vec::new();
        for round in 0..ROUNDS_MAX {
            let fates = self.save_round(&mut works, now).await?;
            if round == 0 {
                self.learn(&works, &fates);
            }
            let mut lost = Vec::new();
            for (work, fate) in works.into_iter().zip(fates) {
                match fate {
                    Fate::Saved => {
                        all_audits.extend(audits(&work.order));
                        self.remember(work, now);
                    }
                    Fate::Lost => lost.push(work),
                    Fate::Unusable(why) => damaged.push(Damaged {
                        id: work.order.id().clone(),
                        why,
                    }),
                }
            }
            if lost.is_empty() {
                return Ok((all_audits, damaged));
            }
            works = self
                .begin_again(lost, messages, duplicates, &mut damaged)
                .await?;
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
        damaged: &mut Vec<Damaged>,
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
                } else if expects_new && entries.iter().any(is_beginning) {
                    let mut work = Work::of(Known::nothing(id), entries, duplicates);
                    work.is_guess = true;
                    works.push(work);
                } else {
                    unknown.push((id, entries));
                }
            }
        }
        let ids: Vec<OrderId> = unknown.iter().map(|(id, _)| id.clone()).collect();
        let loaded = self.load(&ids, damaged).await?;
        let mut begun = 0;
        let mut new = 0;
        for ((_, entries), known) in unknown.into_iter().zip(loaded) {
            let Some(known) = known else { continue };
            if entries.iter().any(is_beginning) {
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
    async fn load(
        &self,
        ids: &[OrderId],
        damaged: &mut Vec<Damaged>,
    ) -> Result<Vec<Option<Known>>, Outage> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<&str> = ids.iter().map(OrderId::as_str).collect();
        let loaded = blame::load(&*self.ports.store, ORDERS, &texts).await?;
        let mut known = Vec::with_capacity(ids.len());
        for (id, stored) in ids.iter().zip(loaded) {
            match stored.and_then(|stored| Known::read(id, stored)) {
                Ok(read) => known.push(Some(read)),
                Err(why) => {
                    let id = id.clone();
                    damaged.push(Damaged { id, why });
                    known.push(None);
                }
            }
        }
        Ok(known)
    }

    /// Saves the orders that have changed, and tells of all; says what became of each.
    async fn save_round(&self, works: &mut [Work], now: Timestamp) -> Result<Vec<Fate>, Outage> {
        let mut fates: Vec<Fate> = works.iter().map(|_| Fate::Saved).collect();
        let gate = self.stats.counts.gate().await;
        loop {
            let mut writes = Vec::with_capacity(works.len());
            let mut written = Vec::with_capacity(works.len());
            for (at, work) in works.iter_mut().enumerate() {
                if work.changed && matches!(fates[at], Fate::Saved) {
                    writes.push(work.write());
                    written.push(at);
                }
            }
            if writes.is_empty() {
                break;
            }
            let results = match self.ports.store.save(ORDERS, writes).await {
                Ok(results) => results,
                Err(error) => {
                    let place = |id: &str| {
                        let is_it = |at: &&usize| works[**at].order.id().as_str() == id;
                        written.iter().find(is_it).copied()
                    };
                    let (id, why) = blamed(error, |id| place(id).is_some())?;
                    if let Some(at) = place(&id) {
                        fates[at] = Fate::Unusable(why);
                    }
                    // Of the others some may be saved, and will conflict.
                    self.stats.counts.recount(&gate);
                    continue;
                }
            };
            for (at, result) in written.into_iter().zip(results) {
                match result {
                    SaveResult::Saved => works[at].version += 1,
                    SaveResult::Conflict if sagaline_saga::planted!("projection loses a race") => {}
                    SaveResult::Conflict => fates[at] = Fate::Lost,
                }
            }
            let saved = saved(works, &fates).filter_map(Work::transition);
            self.stats.note(now, saved);
            break;
        }
        drop(gate);
        for work in saved(works, &fates) {
            self.hub.announce(&work.order);
        }
        Ok(fates)
    }

    /// Merges what the batch brought of orders, that someone else has saved meanwhile, into what is stored now.
    async fn begin_again(
        &self,
        lost: Vec<Work>,
        messages: &[Inbound],
        duplicates: &mut Vec<EventType>,
        damaged: &mut Vec<Damaged>,
    ) -> Result<Vec<Work>, Outage> {
        let ids: Vec<OrderId> = lost.iter().map(|work| work.order.id().clone()).collect();
        let loaded = self.load(&ids, damaged).await?;
        let mut brought = self.topics.brought(messages, &ids);
        let works = lost.into_iter().zip(loaded).filter_map(|(work, known)| {
            let entries = brought.remove(work.order.id()).unwrap_or_default();
            Some(work.again(known?, entries, duplicates))
        });
        Ok(works.collect())
    }

    /// Stops guessing that orders are new when it was wrong for most: events come again, after a crash for instance.
    fn learn(&self, works: &[Work], fates: &[Fate]) {
        let guesses = works.iter().zip(fates).filter(|(work, _)| work.is_guess);
        let (wrong, right): (Vec<_>, Vec<_>) =
            guesses.partition(|(_, fate)| matches!(fate, Fate::Lost));
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

fn is_beginning(entry: &Entry) -> bool {
    entry.kind() == EventType::OrderCreated
}

fn saved<'a>(works: &'a [Work], fates: &'a [Fate]) -> impl Iterator<Item = &'a Work> + Clone {
    let each = works.iter().zip(fates);
    each.filter(|(_, fate)| matches!(fate, Fate::Saved))
        .map(|(work, _)| work)
}
