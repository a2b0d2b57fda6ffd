//! Finds operations whose orders nobody has spoken of: what crashes, lost races and other instances left.

use std::collections::{BTreeMap, HashSet};

use sagaline_contracts::{OrderId, Sku};

use super::{Ledger, LedgerError};
use crate::STOCK;
use crate::domain::Operation;
use crate::stock::cache::Entry;

/// Documents with marks that one sweep looks at, besides those in the cache.
const DUE_MAX: usize = 500;
/// Operations that one sweep remembers; the others' turn comes when these are settled.
const SIGHTINGS_MAX: usize = 100_000;

/// The undecided operations that the previous sweep saw. Most are of orders that are just being handled, so only one that is
/// seen twice is worth a question.
#[derive(Debug, Default)]
pub struct Sightings(HashSet<(Sku, Operation, u64)>);

impl Sightings {
    /// How many operations were undecided at the latest sweep.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Ledger {
    /// Asks for the orders of all operations that are undecided for longer than one sweep. What is learnt is settled by the next
    /// write to each SKU, or by [`Ledger::settle_idle`].
    pub async fn sweep(&self, sightings: &mut Sightings) -> Result<(), LedgerError> {
        self.read_quiet().await?;
        let mut seen = HashSet::new();
        let mut old: BTreeMap<OrderId, Vec<Sku>> = BTreeMap::new();
        {
            let mut cache = self.cache.lock().await;
            for (sku, entry) in cache.iter_mut() {
                for (operation, at) in entry.document.open() {
                    let sighting = (sku.clone(), operation.clone(), at);
                    if sightings.0.contains(&sighting) {
                        let places = old.entry(operation.order_id.clone()).or_default();
                        places.push(sku.clone());
                    }
                    if seen.len() < SIGHTINGS_MAX {
                        seen.insert(sighting);
                    }
                }
            }
        }
        sightings.0 = seen;
        let orders: Vec<OrderId> = old.keys().cloned().collect();
        self.look_up(&orders, old).await?;
        Ok(())
    }

    /// Reads the documents with marks that nobody has written for a while.
    async fn read_quiet(&self) -> Result<(), LedgerError> {
        let now = self.clock.now().micros();
        let quiet = self.store.due(STOCK, now, DUE_MAX).await?;
        if quiet.is_empty() {
            return Ok(());
        }
        let mut cache = self.cache.lock().await;
        for stored in quiet {
            let Ok(sku) = Sku::new(&stored.id) else {
                continue;
            };
            if cache
                .get_mut(&sku)
                .is_some_and(|known| known.version >= stored.version)
            {
                continue;
            }
            match Entry::read(&stored) {
                Ok(mut entry) => {
                    if let Some(old) = cache.take(&sku) {
                        cache.lost(sku.clone(), old);
                    }
                    cache.remember(&sku, &mut entry);
                    cache.keep(sku, entry, self.limits.cached_max);
                }
                Err(error) => tracing::error!(%sku, %error, "a stock document is damaged"),
            }
        }
        Ok(())
    }
}
