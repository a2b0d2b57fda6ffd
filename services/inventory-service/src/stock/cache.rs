//! Stock documents as they were last seen.

use std::collections::BTreeMap;

use sagaline_contracts::Sku;
use sagaline_store::Stored;

use crate::stock::document::{DamagedStock, StockDocument};
use crate::stock::marks::Settled;

/// A stock document and what is being done to it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The saved version that it comes from.
    pub(super) version: u64,
    pub(super) document: StockDocument,
    /// It differs from that version.
    pub(super) changed: bool,
    /// It was read in the present call.
    pub(super) fresh: bool,
    /// What was settled since that version.
    settled: Vec<Settled>,
    /// It had something to settle at the previous look, and nobody wrote it since.
    pub(super) idle: bool,
}

impl Entry {
    pub(super) fn read(stored: &Stored) -> Result<Self, DamagedStock> {
        Ok(Self {
            version: stored.version,
            document: StockDocument::decode(&stored.body)?,
            changed: false,
            fresh: true,
            settled: Vec::new(),
            idle: false,
        })
    }

    /// The version that the next write makes.
    pub(super) fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// Settles what is decided.
    pub(super) fn settle(&mut self) {
        if self.document.has_decided() {
            let settled = self.document.settle();
            self.changed |= !settled.is_empty();
            self.settled.extend(settled);
        }
    }

    fn saved(&mut self) {
        self.version += 1;
        self.settled.clear();
        self.changed = false;
        self.idle = false;
    }
}

/// Stock documents as they were last seen or saved. Never the truth: a compare-and-set tells when one is old.
///
/// Documents that are being worked on are taken out, so that a call that is given up in the middle leaves nothing half-done.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: BTreeMap<Sku, Entry>,
    /// What was settled in writes that lost a race: it is still to be settled.
    recall: BTreeMap<Sku, Vec<Settled>>,
}

impl Cache {
    pub(super) fn get_mut(&mut self, sku: &Sku) -> Option<&mut Entry> {
        self.entries.get_mut(sku)
    }

    pub(super) fn take(&mut self, sku: &Sku) -> Option<Entry> {
        self.entries.remove(sku)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Sku, &mut Entry)> {
        self.entries.iter_mut()
    }

    /// A document that was just read. What was settled in vain is settled again with its next write.
    pub(super) fn remember(&mut self, sku: &Sku, entry: &mut Entry) {
        if let Some(settled) = self.recall.remove(sku) {
            entry.document.recall(&settled);
        }
    }

    /// A document that was read, and is not being worked on.
    pub(super) fn keep(&mut self, sku: Sku, mut entry: Entry, entries_max: usize) {
        entry.fresh = false;
        if self.entries.len() >= entries_max {
            // Rather than to keep account of use: forget what has nothing left to do, then whatever it takes.
            self.entries
                .retain(|_, entry| entry.document.unsettled() > 0);
            if self.entries.len() >= entries_max {
                self.entries.clear();
            }
        }
        self.entries.insert(sku, entry);
    }

    /// A document that was saved.
    pub(super) fn keep_saved(&mut self, sku: Sku, mut entry: Entry, entries_max: usize) {
        entry.saved();
        self.keep(sku, entry, entries_max);
    }

    /// A document that somebody else saved first.
    pub(super) fn lost(&mut self, sku: Sku, mut entry: Entry) {
        // What is decided but was not settled here is known again from its order, as soon as somebody asks.
        entry.settle();
        if !entry.settled.is_empty() {
            self.recall.insert(sku, entry.settled);
        }
    }
}
