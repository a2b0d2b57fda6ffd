//! Allocates the effects of many orders over the documents of their SKUs, in memory and in order.

use std::collections::BTreeMap;

use sagaline_contracts::payload::{ReservedItem, Shortage};
use sagaline_contracts::{OrderId, Sku};
use sagaline_runtime::EffectRequest;
use sagaline_saga::EffectFailure;

use crate::domain::{Effect, HeldItem, Operation, Outcome, ShortReason, StockOp};
use crate::stock::cache::Entry;

/// What is known of a SKU's stock.
#[derive(Debug)]
pub(super) enum Slot {
    Stocked(Box<Entry>),
    Unknown,
    /// Its document must not be calculated with; says why.
    Damaged(String),
}

/// The documents that a batch works on, by SKU.
#[derive(Debug, Default)]
pub(super) struct WorkingSet {
    pub(super) slots: BTreeMap<Sku, Slot>,
}

/// What a batch asks of one SKU.
#[derive(Debug, Default, Clone, Copy)]
struct Demand {
    /// Units to set aside that are not yet.
    units: u64,
    /// Marks to leave that are not there yet.
    marks: usize,
}

/// Why a SKU cannot give all that is asked of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pressure {
    /// There is no room for the marks; otherwise units are missing.
    pub(super) no_room: bool,
}

impl WorkingSet {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Sku, &Entry)> {
        self.slots.iter().filter_map(|(sku, slot)| match slot {
            Slot::Stocked(entry) => Some((sku, &**entry)),
            Slot::Unknown | Slot::Damaged(_) => None,
        })
    }

    pub(super) fn entry_mut(&mut self, sku: &Sku) -> Option<&mut Entry> {
        match self.slots.get_mut(sku) {
            Some(Slot::Stocked(entry)) => Some(entry),
            _ => None,
        }
    }

    pub(super) fn settle(&mut self) {
        for slot in self.slots.values_mut() {
            if let Slot::Stocked(entry) = slot {
                entry.settle();
            }
        }
    }

    pub(super) fn is_fresh(&self, sku: &Sku) -> bool {
        matches!(self.slots.get(sku), Some(Slot::Stocked(entry)) if entry.fresh)
    }

    /// The SKUs that have not enough units, or no room for more marks, for everything that is asked of them.
    pub(super) fn pressed<'r>(
        &self,
        requests: impl Iterator<Item = &'r EffectRequest<Effect>>,
        marks_max: usize,
    ) -> BTreeMap<Sku, Pressure> {
        let mut demands: BTreeMap<&Sku, Demand> = BTreeMap::new();
        for request in requests {
            for (sku, operation) in operations(request) {
                if let Some(Slot::Stocked(entry)) = self.slots.get(sku)
                    && entry.document.applied_in(&operation).is_none()
                {
                    let demand = demands.entry(sku).or_default();
                    demand.marks += 1;
                    if operation.op == StockOp::Reserve {
                        demand.units += u64::from(operation.qty);
                    }
                }
            }
        }
        let mut pressed = BTreeMap::new();
        for (sku, entry) in self.entries() {
            let Some(demand) = demands.get(sku) else {
                continue;
            };
            let marks = entry.document.unsettled();
            // One batch always has room: it could not wait for itself.
            let no_room = marks > 0 && marks + demand.marks > marks_max;
            if no_room || demand.units > entry.document.counters().available {
                pressed.insert(sku.clone(), Pressure { no_room });
            }
        }
        pressed
    }

    /// Applies what an order asks, in the documents at hand.
    pub(super) fn carry_out(
        &mut self,
        request: &EffectRequest<Effect>,
    ) -> Result<Outcome, EffectFailure> {
        let order_id = &request.order_id;
        match &request.effect {
            Effect::Reserve { attempt, items } => self.reserve(order_id, *attempt, items),
            Effect::Release { attempt, items } => {
                let items = self.end(order_id, *attempt, StockOp::Release, items)?;
                Ok(Outcome::Released { items })
            }
            Effect::Ship { attempt, items } => {
                let items = self.end(order_id, *attempt, StockOp::Ship, items)?;
                Ok(Outcome::Shipped { items })
            }
        }
    }

    /// All or nothing. What is marked already counts as there, and stays when the order fails: others may have seen it.
    fn reserve(
        &mut self,
        order_id: &OrderId,
        attempt: u32,
        items: &[ReservedItem],
    ) -> Result<Outcome, EffectFailure> {
        let operation = |qty| Operation {
            order_id: order_id.clone(),
            attempt,
            op: StockOp::Reserve,
            qty,
        };
        let mut shortages = Vec::new();
        let mut reason = ShortReason::OutOfStock;
        for ReservedItem { sku, qty } in items {
            let available = match self.slots.get(sku) {
                Some(Slot::Stocked(entry)) if entry.document.allows(&operation(*qty)) => continue,
                Some(Slot::Stocked(entry)) => Some(entry.document.counters().available),
                Some(Slot::Damaged(why)) => return Err(damaged(sku, why)),
                Some(Slot::Unknown) | None => {
                    reason = ShortReason::UnknownSku;
                    None
                }
            };
            shortages.push(Shortage {
                sku: sku.clone(),
                requested: u64::from(*qty),
                available,
            });
        }
        if !shortages.is_empty() {
            return Ok(Outcome::Short { reason, shortages });
        }
        let mut held = Vec::with_capacity(items.len());
        for ReservedItem { sku, qty } in items {
            held.push(HeldItem {
                sku: sku.clone(),
                qty: *qty,
                taken_at: self.apply(sku, operation(*qty))?,
                ended_at: None,
            });
        }
        Ok(Outcome::Reserved { items: held })
    }

    fn end(
        &mut self,
        order_id: &OrderId,
        attempt: u32,
        op: StockOp,
        items: &[HeldItem],
    ) -> Result<Vec<HeldItem>, EffectFailure> {
        // First all are looked at, so that none is noted when one cannot be.
        for HeldItem { sku, .. } in items {
            match self.slots.get(sku) {
                Some(Slot::Stocked(_)) => {}
                Some(Slot::Damaged(why)) => return Err(damaged(sku, why)),
                Some(Slot::Unknown) | None => return Err(gone(sku)),
            }
        }
        let mut ended = Vec::with_capacity(items.len());
        for item in items {
            let operation = Operation {
                order_id: order_id.clone(),
                attempt,
                op,
                qty: item.qty,
            };
            ended.push(HeldItem {
                ended_at: Some(self.apply(&item.sku, operation)?),
                ..item.clone()
            });
        }
        Ok(ended)
    }

    /// Applies an operation unless its mark is there; gives the version in which it is applied.
    fn apply(&mut self, sku: &Sku, operation: Operation) -> Result<u64, EffectFailure> {
        let entry = self.entry_mut(sku).ok_or_else(|| gone(sku))?;
        if let Some(at) = entry.document.applied_in(&operation) {
            return Ok(at);
        }
        let at = entry.next_version();
        if entry.document.apply(operation, at) {
            entry.changed = true;
            Ok(at)
        } else {
            // It was allowed a moment ago, so the items name a SKU twice, which the domain never does.
            Err(EffectFailure::Permanent(format!(
                "{sku} is asked for twice by one order"
            )))
        }
    }
}

fn damaged(sku: &Sku, why: &str) -> EffectFailure {
    EffectFailure::Permanent(format!("the stock document of {sku} is damaged: {why}"))
}

fn gone(sku: &Sku) -> EffectFailure {
    EffectFailure::Permanent(format!(
        "the order holds some of {sku}, but there is no stock document of it: restore it, then redrive"
    ))
}

/// What an effect is about, each SKU once.
fn items(effect: &Effect) -> impl Iterator<Item = (&Sku, u32)> {
    let (wanted, held): (&[ReservedItem], &[HeldItem]) = match effect {
        Effect::Reserve { items, .. } => (items, &[]),
        Effect::Release { items, .. } | Effect::Ship { items, .. } => (&[], items),
    };
    let wanted = wanted.iter().map(|item| (&item.sku, item.qty));
    wanted.chain(held.iter().map(|item| (&item.sku, item.qty)))
}

/// The SKUs that an effect is about.
pub(super) fn skus(effect: &Effect) -> impl Iterator<Item = &Sku> {
    items(effect).map(|(sku, _)| sku)
}

/// The operations that an effect consists of.
fn operations(request: &EffectRequest<Effect>) -> impl Iterator<Item = (&Sku, Operation)> {
    let (attempt, op) = match &request.effect {
        Effect::Reserve { attempt, .. } => (*attempt, StockOp::Reserve),
        Effect::Release { attempt, .. } => (*attempt, StockOp::Release),
        Effect::Ship { attempt, .. } => (*attempt, StockOp::Ship),
    };
    items(&request.effect).map(move |(sku, qty)| {
        let order_id = request.order_id.clone();
        let operation = Operation {
            order_id,
            attempt,
            op,
            qty,
        };
        (sku, operation)
    })
}
