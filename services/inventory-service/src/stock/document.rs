//! The stock of one SKU.

use sagaline_contracts::{Money, OrderId, Sku, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{Operation, StockOp, Verdict};
use crate::stock::marks::{Marks, Settled};

/// Restocks that are remembered, the latest ones: for the audit, and to make a repeated command one.
pub(crate) const RESTOCKS_MAX: usize = 50;
/// Units that a SKU may ever have had: more than that and JSON numbers are not exact everywhere.
const UNITS_MAX: u64 = 1 << 53;

/// The stock of one SKU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockDocument {
    sku: Sku,
    name: String,
    price: Money,
    initial: u64,
    restocked: u64,
    available: u64,
    reserved: u64,
    shipped: u64,
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    marks: Marks,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    restocks: Vec<Restock>,
}

/// Where the units of a SKU are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Units that it started with.
    pub initial: u64,
    /// Units that were added since.
    pub restocked: u64,
    /// Units that can be ordered.
    pub available: u64,
    /// Units that are set aside.
    pub reserved: u64,
    /// Units that went out.
    pub shipped: u64,
}

impl Counters {
    /// Whether every unit is accounted for.
    pub fn are_conserved(&self) -> bool {
        let accounted = self.available.checked_add(self.reserved);
        let accounted = accounted.and_then(|sum| sum.checked_add(self.shipped));
        accounted.is_some() && accounted == self.initial.checked_add(self.restocked)
    }
}

/// Somebody added units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restock {
    /// The command: the same one adds once.
    pub key: String,
    /// How many.
    pub qty: u32,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What became of a command to restock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restocked {
    /// The units are added.
    Now,
    /// The same command added them before.
    Before,
    /// Another quantity was added under the same key.
    KeyReused,
    /// There would be more units than can be counted.
    TooMany,
}

/// A stock document that must not be calculated with.
#[derive(Debug, thiserror::Error)]
pub enum DamagedStock {
    /// It cannot be read.
    #[error("it is not a stock document")]
    Unreadable(#[from] serde_json::Error),
    /// Units are missing, or too many.
    #[error("its units do not add up ({0:?}): count the stock and correct the document by hand")]
    NotConserved(Counters),
}

impl StockDocument {
    /// A SKU that nothing happened to yet.
    pub fn new(sku: Sku, name: impl Into<String>, price: Money, units: u64) -> Self {
        Self {
            sku,
            name: name.into(),
            price,
            initial: units,
            restocked: 0,
            available: units,
            reserved: 0,
            shipped: 0,
            marks: Marks::default(),
            restocks: Vec::new(),
        }
    }

    /// Reads a document, and refuses one whose units do not add up.
    pub fn decode(json: &[u8]) -> Result<Self, DamagedStock> {
        let document: Self = serde_json::from_slice(json)?;
        let counters = document.counters();
        if counters.are_conserved() {
            Ok(document)
        } else {
            Err(DamagedStock::NotConserved(counters))
        }
    }

    /// The document as JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(512 + 72 * self.marks.len() + 128 * self.restocks.len());
        // Every key is a string and no Serialize of ours fails, so neither can this.
        if let Err(error) = serde_json::to_writer(&mut json, self) {
            unreachable!("a stock document is always JSON: {error}");
        }
        json
    }

    /// What.
    pub fn sku(&self) -> &Sku {
        &self.sku
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What one costs.
    pub fn price(&self) -> Money {
        self.price
    }

    /// Where the units are.
    pub fn counters(&self) -> Counters {
        Counters {
            initial: self.initial,
            restocked: self.restocked,
            available: self.available,
            reserved: self.reserved,
            shipped: self.shipped,
        }
    }

    /// Where the units will be once what is noted is settled: what a person wants to see.
    pub fn outlook(&self) -> Counters {
        let mut counters = self.counters();
        let mut ended: Option<&Operation> = None;
        for operation in self.marks.iter() {
            // Of several ends of one reservation one counts at most.
            let same = |other: &Operation| {
                other.order_id == operation.order_id && other.attempt == operation.attempt
            };
            if operation.op == StockOp::Reserve || ended.is_some_and(same) {
                continue;
            }
            if move_units(&mut counters, operation.op, operation.qty) {
                ended = Some(operation);
            }
        }
        counters
    }

    /// The latest restocks, oldest first.
    pub fn restocks(&self) -> &[Restock] {
        &self.restocks
    }

    /// Operations that are not settled.
    pub fn unsettled(&self) -> usize {
        self.marks.len()
    }

    pub(super) fn has_decided(&self) -> bool {
        self.marks.has_decided()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&Operation, u64)> {
        self.marks.open()
    }

    /// The version in which an operation was applied, if it was and is not settled.
    pub(super) fn applied_in(&self, operation: &Operation) -> Option<u64> {
        self.marks.version_of(operation)
    }

    /// Whether an operation is applied, or can be.
    pub(super) fn allows(&self, operation: &Operation) -> bool {
        operation.op != StockOp::Reserve
            || self.available >= u64::from(operation.qty)
            || sagaline_saga::planted!("oversold")
            || self.marks.version_of(operation).is_some()
    }

    /// Applies an operation in the version `at` that this document is about to become; whether it was allowed.
    pub(super) fn apply(&mut self, operation: Operation, at: u64) -> bool {
        let allowed = operation.op != StockOp::Reserve
            || self.with_counters(|counters| move_units(counters, operation.op, operation.qty));
        if allowed && !sagaline_saga::planted!("no hold") {
            self.marks.add(operation, at);
        }
        allowed
    }

    /// Takes in what the saved document of an order says about its operations here.
    pub(super) fn judge(
        &mut self,
        order_id: &OrderId,
        verdict: impl Fn(&Operation, &Sku, u64) -> Verdict,
    ) {
        self.marks.judge(&self.sku, order_id, verdict);
    }

    pub(super) fn recall(&mut self, settled: &[Settled]) {
        self.marks.recall(settled);
    }

    /// Settles every operation that is decided, and gives them.
    pub(super) fn settle(&mut self) -> Vec<Settled> {
        let mut settled = self.marks.take_decided();
        settled.retain(|decided| {
            let Settled {
                operation,
                at,
                counts,
            } = decided;
            let moved = self.with_counters(|counters| match (operation.op, counts) {
                (StockOp::Reserve, true) | (StockOp::Release | StockOp::Ship, false) => true,
                (StockOp::Reserve, false) => move_units(counters, StockOp::Release, operation.qty),
                (op @ (StockOp::Release | StockOp::Ship), true) => {
                    if sagaline_saga::planted!("released twice") {
                        move_units(counters, op, operation.qty);
                    }
                    move_units(counters, op, operation.qty)
                }
            });
            if !moved {
                // The argument in the module above says that this cannot be. Then keep the evidence.
                let sku = &self.sku;
                tracing::error!(%sku, ?operation, at, "fewer units are reserved than this ends");
                self.marks.add(operation.clone(), *at);
            }
            moved
        });
        settled
    }

    /// Adds units, once per command.
    pub(super) fn restock(&mut self, restock: Restock) -> Restocked {
        if let Some(earlier) = self.restocks.iter().find(|known| known.key == restock.key) {
            return if earlier.qty == restock.qty {
                Restocked::Before
            } else {
                Restocked::KeyReused
            };
        }
        let qty = u64::from(restock.qty);
        let units = self.initial.saturating_add(self.restocked);
        if units.saturating_add(qty) > UNITS_MAX {
            return Restocked::TooMany;
        }
        self.available += qty;
        self.restocked += qty;
        if self.restocks.len() >= RESTOCKS_MAX {
            self.restocks.remove(0);
        }
        self.restocks.push(restock);
        Restocked::Now
    }

    fn with_counters(&mut self, change: impl FnOnce(&mut Counters) -> bool) -> bool {
        let mut counters = self.counters();
        let changed = change(&mut counters);
        self.available = counters.available;
        self.reserved = counters.reserved;
        self.shipped = counters.shipped;
        changed
    }
}

/// Moves units as an operation that counts does; whether there were enough.
fn move_units(counters: &mut Counters, op: StockOp, qty: u32) -> bool {
    let qty = u64::from(qty);
    let (from, to) = match op {
        StockOp::Reserve => (&mut counters.available, &mut counters.reserved),
        StockOp::Release => (&mut counters.reserved, &mut counters.available),
        StockOp::Ship => (&mut counters.reserved, &mut counters.shipped),
    };
    if sagaline_saga::planted!("oversold") {
        *from = from.saturating_sub(qty);
        *to += qty;
        return true;
    }
    let (Some(left), Some(sum)) = (from.checked_sub(qty), to.checked_add(qty)) else {
        return false;
    };
    *from = left;
    *to = sum;
    true
}

#[cfg(test)]
mod tests;
