//! The stock of one SKU, and how it stays exact.
//!
//! An order's document and its SKUs' documents cannot be saved together. So an operation is applied to the stock first, in one
//! compare-and-set that moves the counters and leaves a **mark** with the version that it made; then the order's document
//! is saved, which names that version; then the mark is settled by what the order's document says
//! ([`InventoryState::verdict`](crate::domain::InventoryState::verdict)):
//!
//! - it *counts*: the mark is dropped, the counters stay;
//! - it is *void* (the order failed, or another instance's application counts): the counters are moved back;
//! - *open*: the order's document is not saved yet. A redelivery will apply the operation again, find the mark, and go on.
//!
//! A crash anywhere leaves marks, never wrong counters. Two instances that apply the same operation leave two marks only
//! if the first one was settled in between; then the order's document names one version, and the other mark is void.

use std::collections::BTreeMap;

use sagaline_contracts::{Money, OrderId, Sku};
use serde::{Deserialize, Serialize};

use crate::domain::{Operation, StockOp, Verdict};

/// Restocks that are remembered, to make repeated commands one.
const RESTOCKS_MAX: usize = 200;

/// The stock of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    /// What.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// Units that it started with.
    pub initial: u64,
    /// Units that were added since.
    #[serde(default)]
    pub restocked: u64,
    /// Units that can be ordered.
    pub available: u64,
    /// Units that are set aside.
    #[serde(default)]
    pub reserved: u64,
    /// Units that went out.
    #[serde(default)]
    pub shipped: u64,
    /// Operations that are applied and not settled, by order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<OrderId, Vec<Mark>>,
    /// The latest restocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restocks: Vec<Restock>,
}

/// An operation that is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The attempt that the goods were set aside in.
    pub attempt: u32,
    /// What was done.
    pub op: MarkedOp,
    /// To how many.
    pub qty: u32,
    /// In which version of the document.
    pub at: u64,
}

/// [`StockOp`] as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MarkedOp {
    /// Available became reserved.
    Reserve,
    /// Reserved became available.
    Release,
    /// Reserved became shipped.
    Ship,
}

impl From<StockOp> for MarkedOp {
    fn from(op: StockOp) -> Self {
        match op {
            StockOp::Reserve => Self::Reserve,
            StockOp::Release => Self::Release,
            StockOp::Ship => Self::Ship,
        }
    }
}

impl From<MarkedOp> for StockOp {
    fn from(op: MarkedOp) -> Self {
        match op {
            MarkedOp::Reserve => Self::Reserve,
            MarkedOp::Release => Self::Release,
            MarkedOp::Ship => Self::Ship,
        }
    }
}

/// Somebody added stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restock {
    /// The command: the same one adds once.
    pub command_id: String,
    /// How many.
    pub qty: u32,
    /// Who.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
}

impl Stock {
    /// A SKU that nothing happened to.
    pub fn new(sku: Sku, name: &str, price: Money, units: u64) -> Self {
        Self {
            sku,
            name: name.to_owned(),
            price,
            initial: units,
            restocked: 0,
            available: units,
            reserved: 0,
            shipped: 0,
            marks: BTreeMap::new(),
            restocks: Vec::new(),
        }
    }

    /// Whether every unit is accounted for.
    pub fn is_conserved(&self) -> bool {
        self.initial.checked_add(self.restocked)
            == self.available.checked_add(self.reserved).and_then(|sum| sum.checked_add(self.shipped))
    }

    /// The version in which the operation was applied, if it is and was not settled.
    pub fn marked(&self, operation: &Operation) -> Option<u64> {
        let marks = self.marks.get(&operation.order_id)?;
        let op = MarkedOp::from(operation.op);
        marks
            .iter()
            .find(|mark| mark.attempt == operation.attempt && mark.op == op && mark.qty == operation.qty)
            .map(|mark| mark.at)
    }

    /// Whether the operation can be applied.
    pub fn allows(&self, operation: &Operation) -> bool {
        let from = match operation.op {
            StockOp::Reserve => self.available,
            StockOp::Release | StockOp::Ship => self.reserved,
        };
        from >= u64::from(operation.qty)
    }

    /// Applies the operation in the version `at` and marks it; whether it could be.
    pub fn apply(&mut self, operation: &Operation, at: u64) -> bool {
        if !self.shift(operation.op, operation.qty) {
            return false;
        }
        let mark = Mark { attempt: operation.attempt, op: operation.op.into(), qty: operation.qty, at };
        self.marks.entry(operation.order_id.clone()).or_default().push(mark);
        true
    }

    fn shift(&mut self, op: StockOp, qty: u32) -> bool {
        let qty = u64::from(qty);
        let (from, to) = match op {
            StockOp::Reserve => (&mut self.available, &mut self.reserved),
            StockOp::Release => (&mut self.reserved, &mut self.available),
            StockOp::Ship => (&mut self.reserved, &mut self.shipped),
        };
        let Some(left) = from.checked_sub(qty) else {
            return false;
        };
        *from = left;
        *to += qty;
        true
    }

    fn shift_back(&mut self, op: StockOp, qty: u32) -> bool {
        let qty = u64::from(qty);
        let (from, to) = match op {
            StockOp::Reserve => (&mut self.reserved, &mut self.available),
            StockOp::Release => (&mut self.available, &mut self.reserved),
            StockOp::Ship => (&mut self.shipped, &mut self.reserved),
        };
        let Some(left) = from.checked_sub(qty) else {
            return false;
        };
        *from = left;
        *to += qty;
        true
    }

    /// Settles the marks of an order by what its document says; whether anything changed. A void mark whose units were ordered
    /// by somebody else meanwhile stays until they are back: nothing goes below zero.
    pub fn settle(&mut self, order_id: &OrderId, verdict: impl Fn(&Operation, &Sku, u64) -> Verdict) -> bool {
        let Some(marks) = self.marks.remove(order_id) else {
            return false;
        };
        let before = marks.len();
        let mut left = Vec::new();
        for mark in marks {
            let operation =
                Operation { order_id: order_id.clone(), attempt: mark.attempt, op: mark.op.into(), qty: mark.qty };
            let settled = match verdict(&operation, &self.sku, mark.at) {
                Verdict::Counts => true,
                Verdict::Void => self.shift_back(operation.op, operation.qty),
                Verdict::Open => false,
            };
            if !settled {
                left.push(mark);
            }
        }
        let changed = left.len() != before;
        if !left.is_empty() {
            self.marks.insert(order_id.clone(), left);
        }
        changed
    }

    /// Adds units, once per command; whether they were added now.
    pub fn restock(&mut self, restock: Restock) -> bool {
        if self.restocks.iter().any(|earlier| earlier.command_id == restock.command_id) {
            return false;
        }
        self.available += u64::from(restock.qty);
        self.restocked += u64::from(restock.qty);
        self.restocks.push(restock);
        if self.restocks.len() > RESTOCKS_MAX {
            self.restocks.remove(0);
        }
        true
    }

    /// How many operations are not settled.
    pub fn unsettled(&self) -> usize {
        self.marks.values().map(Vec::len).sum()
    }
}
