//! Reads and writes stock documents: one compare-and-set per SKU and batch, however many orders want it.

mod judgement;
mod limits;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sagaline_contracts::{OrderId, Sku};
use sagaline_runtime::EffectRequest;
use sagaline_saga::{Clock, EffectFailure};
use sagaline_store::{Index, SaveResult, Store, StoreError, Write};
use tokio::sync::Mutex as AsyncMutex;

use crate::STOCK;
use crate::domain::{Effect, Outcome, StockOp};
use crate::stock::allocation::{Pressure, Slot, WorkingSet, skus};
use crate::stock::cache::{Cache, Entry};
use crate::stock::document::{Restock, Restocked, StockDocument};
use judgement::{Judged, LOAD_MAX};
use limits::ROUNDS_MAX;

pub use limits::{LedgerError, Limits, RestockError};
pub use sweep::Sightings;

/// For so long a document with marks is left to those who write it. Then the sweep of any instance looks after it.
const QUIET: Duration = Duration::from_secs(1);

type Answer = Result<Outcome, EffectFailure>;

/// All stock, of which it writes one batch at a time.
pub struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    cache: AsyncMutex<Cache>,
    judged: Mutex<Vec<Judged>>,
}

impl Ledger {
    /// The stock in `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self {
            store,
            clock,
            limits,
            cache: AsyncMutex::default(),
            judged: Mutex::default(),
        }
    }

    /// Carries out the effects of many orders: allocates in memory, in order, then writes each SKU once.
    ///
    /// A SKU that somebody else wrote meanwhile is read again, and the orders that want it are evaluated again.
    pub async fn carry_out(
        &self,
        requests: &[EffectRequest<Effect>],
    ) -> Result<Vec<Answer>, LedgerError> {
        let mut cache = self.cache.lock().await;
        self.take_in_judged(&mut cache);
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..requests.len()).collect();
        for _ in 0..ROUNDS_MAX {
            let wanted = || open.iter().filter_map(|at| requests.get(*at));
            let touched: BTreeSet<&Sku> = wanted().flat_map(|one| skus(&one.effect)).collect();
            let mut set = self.check_out(&mut cache, touched).await?;
            if let Some(sku) = self.relieve(&mut cache, &mut set, wanted).await? {
                // What could be settled is saved, and makes room for the next try.
                self.save(&mut cache, set).await?;
                let marks_max = self.limits.marks_max;
                return Err(LedgerError::Full { sku, marks_max });
            }
            for at in &open {
                if let (Some(request), Some(answer)) = (requests.get(*at), answers.get_mut(*at)) {
                    *answer = Some(set.carry_out(request));
                }
            }
            let lost = self.save(&mut cache, set).await?;
            open.retain(|at| {
                let request = requests.get(*at);
                request.is_some_and(|one| skus(&one.effect).any(|sku| lost.contains(sku)))
            });
            if open.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
        }
        Err(LedgerError::Contended)
    }

    /// Adds units to a SKU, once per command; tells what became of it and the document with its version.
    pub async fn restock(
        &self,
        sku: &Sku,
        restock: &Restock,
    ) -> Result<(Restocked, StockDocument, u64), RestockError> {
        let mut cache = self.cache.lock().await;
        self.take_in_judged(&mut cache);
        for _ in 0..ROUNDS_MAX {
            let one = BTreeSet::from([sku]);
            let mut set = self
                .check_out(&mut cache, one)
                .await
                .map_err(LedgerError::Store)?;
            let entry = match set.slots.get_mut(sku) {
                Some(Slot::Stocked(entry)) => entry,
                Some(Slot::Damaged(why)) => return Err(RestockError::Damaged(why.clone())),
                Some(Slot::Unknown) | None => return Err(RestockError::Unknown(sku.clone())),
            };
            let restocked = entry.document.restock(restock.clone());
            entry.changed |= restocked == Restocked::Now;
            let document = entry.document.clone();
            let version = entry.version + u64::from(entry.changed);
            if self.save(&mut cache, set).await?.is_empty() {
                return Ok((restocked, document, version));
            }
        }
        Err(LedgerError::Contended.into())
    }

    /// Writes documents with settled operations that no batch has written for a while; with `all`, every one at once.
    pub async fn settle_idle(&self, all: bool) -> Result<(), LedgerError> {
        let mut cache = self.cache.lock().await;
        self.take_in_judged(&mut cache);
        let mut idle = Vec::new();
        for (sku, entry) in cache.iter_mut() {
            if entry.document.has_decided() && (all || std::mem::replace(&mut entry.idle, true)) {
                idle.push(sku.clone());
            }
        }
        let mut set = WorkingSet::default();
        for sku in idle {
            if let Some(entry) = cache.take(&sku) {
                set.slots.insert(sku, Slot::Stocked(Box::new(entry)));
            }
        }
        set.settle();
        // Who lost a race has been heard: what it settled is recalled when the document is read again.
        self.save(&mut cache, set).await.map(|_| ())
    }

    /// Takes these documents out of the cache, or reads them, and settles what is decided.
    async fn check_out(
        &self,
        cache: &mut Cache,
        skus: BTreeSet<&Sku>,
    ) -> Result<WorkingSet, StoreError> {
        let mut set = WorkingSet::default();
        let mut missing = Vec::new();
        for sku in skus {
            match cache.take(sku) {
                Some(entry) => {
                    set.slots
                        .insert(sku.clone(), Slot::Stocked(Box::new(entry)));
                }
                None => missing.push(sku.clone()),
            }
        }
        self.read(cache, &mut set, &missing).await?;
        set.settle();
        Ok(set)
    }

    /// Reads these documents. One that is at hand already is replaced only if it is old.
    async fn read(
        &self,
        cache: &mut Cache,
        set: &mut WorkingSet,
        skus: &[Sku],
    ) -> Result<(), StoreError> {
        if skus.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = skus.iter().map(Sku::as_str).collect();
        let stored = self.store.load(STOCK, &ids).await?;
        for (sku, stored) in skus.iter().zip(stored) {
            let version = stored.as_ref().map(|stored| stored.version);
            match set.entry_mut(sku) {
                Some(entry) if version == Some(entry.version) => {
                    entry.fresh = true;
                    continue;
                }
                _ => {}
            }
            if let Some(Slot::Stocked(old)) = set.slots.remove(sku) {
                cache.lost(sku.clone(), *old);
            }
            let slot = stored.map_or(Slot::Unknown, |stored| match Entry::read(&stored) {
                Ok(mut entry) => {
                    cache.remember(sku, &mut entry);
                    Slot::Stocked(Box::new(entry))
                }
                Err(error) => {
                    tracing::error!(%sku, %error, "a stock document is damaged");
                    Slot::Damaged(error.to_string())
                }
            });
            set.slots.insert(sku.clone(), slot);
        }
        Ok(())
    }

    /// Before anybody is told that there is not enough: reads the SKUs that are short, and settles what holds back units there
    /// or takes up room. Gives a SKU that has no room all the same.
    async fn relieve<'r, I: Iterator<Item = &'r EffectRequest<Effect>>>(
        &self,
        cache: &mut Cache,
        set: &mut WorkingSet,
        wanted: impl Fn() -> I,
    ) -> Result<Option<Sku>, StoreError> {
        let marks_max = self.limits.marks_max;
        let mut pressed = set.pressed(wanted(), marks_max);
        pressed.retain(|sku, _| !set.is_fresh(sku));
        let old: Vec<Sku> = pressed.into_keys().collect();
        self.read(cache, set, &old).await?;
        set.settle();
        let pressed = set.pressed(wanted(), marks_max);
        let undecided = undecided(set, &pressed);
        for orders in undecided.chunks(LOAD_MAX) {
            for (order_id, state) in self.states(orders).await? {
                for sku in pressed.keys() {
                    if let Some(entry) = set.entry_mut(sku) {
                        let verdict = |op: &_, sku: &_, at| state.verdict(op, sku, at);
                        entry.document.judge(&order_id, verdict);
                    }
                }
            }
        }
        set.settle();
        let pressed = set.pressed(wanted(), marks_max);
        let mut full = pressed.into_iter().filter(|(_, pressure)| pressure.no_room);
        Ok(full.next().map(|(sku, _)| sku))
    }

    /// Writes what changed, and puts everything back into the cache that is as it is saved. Gives the SKUs that somebody else
    /// wrote first.
    async fn save(&self, cache: &mut Cache, set: WorkingSet) -> Result<BTreeSet<Sku>, LedgerError> {
        let cached_max = self.limits.cached_max;
        let mut writes = Vec::new();
        let mut written = Vec::new();
        for (sku, slot) in set.slots {
            let Slot::Stocked(entry) = slot else { continue };
            if entry.changed {
                writes.push(self.write(&sku, &entry));
                written.push((sku, entry));
            } else {
                cache.keep(sku, *entry, cached_max);
            }
        }
        let mut lost = BTreeSet::new();
        if writes.is_empty() {
            return Ok(lost);
        }
        // After an outage nobody knows what was saved: the documents are out of the cache, and read again.
        let results = self.store.save(STOCK, writes).await?;
        for ((sku, entry), result) in written.into_iter().zip(results) {
            match result {
                SaveResult::Saved => cache.keep_saved(sku, *entry, cached_max),
                SaveResult::Conflict => {
                    lost.insert(sku.clone());
                    cache.lost(sku, *entry);
                }
            }
        }
        if !lost.is_empty() {
            tracing::debug!(skus = lost.len(), "another instance wrote the same stock");
        }
        Ok(lost)
    }

    fn write(&self, sku: &Sku, entry: &Entry) -> Write {
        let due = (entry.document.unsettled() > 0).then(|| {
            // In whole seconds, so that a busy document moves in the index once a second.
            let quiet = (self.clock.now() + QUIET).micros();
            (quiet / 1_000_000 + 1) * 1_000_000
        });
        Write {
            id: sku.to_string(),
            expected: entry.version,
            body: Bytes::from(entry.document.encode()),
            index: Index {
                due,
                ..Index::default()
            },
        }
    }
}

/// The orders that may have something to settle where units or room are missing.
fn undecided(set: &WorkingSet, pressed: &BTreeMap<Sku, Pressure>) -> Vec<OrderId> {
    let mut orders = BTreeSet::new();
    for (sku, entry) in set.entries() {
        let Some(pressure) = pressed.get(sku) else {
            continue;
        };
        // A shipment gives no units back.
        let useful = |op| pressure.no_room || op != StockOp::Ship;
        let open = entry.document.open();
        let open = open.filter(|(operation, _)| useful(operation.op));
        orders.extend(open.map(|(operation, _)| operation.order_id.clone()));
    }
    orders.into_iter().collect()
}
