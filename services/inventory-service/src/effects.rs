//! Carries out operations on stock, a batch at a time: one compare-and-set per SKU, however many orders want it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sagaline_contracts::payload::Shortage;
use sagaline_contracts::{OrderId, Sku};
use sagaline_runtime::{EffectRequest, Effects, Outage};
use sagaline_saga::{EffectFailure, OrderRecord};
use sagaline_store::{Index, SaveResult, Store, StoreError, Write};

use crate::domain::{Effect, HeldItem, Inventory, InventoryState, Operation, Outcome, ShortReason, StockOp, Verdict};
use crate::stock::Stock;
use crate::{ORDERS, STOCK};

/// Beyond so many lost races for the same SKUs the batch backs off.
const CONFLICTS_MAX: usize = 64;

/// A stock document as it was last seen.
#[derive(Debug, Clone)]
struct Seen {
    version: u64,
    stock: Stock,
}

/// Carries out the inventory's effects.
pub struct StockEffects {
    store: Arc<dyn Store>,
    /// What was last seen or saved; compare-and-set tells when it is old.
    seen: Mutex<HashMap<Sku, Seen>>,
    /// Orders whose documents are saved: their marks can be settled.
    saved: Mutex<BTreeSet<OrderId>>,
}

impl StockEffects {
    /// Effects on the stock in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, seen: Mutex::default(), saved: Mutex::default() }
    }

    /// The stock of these SKUs; those that do not exist are missing.
    async fn look(&self, skus: &BTreeSet<&Sku>) -> Result<HashMap<Sku, Seen>, StoreError> {
        let mut found = HashMap::with_capacity(skus.len());
        let mut missing: Vec<&Sku> = Vec::new();
        {
            let seen = self.seen.lock();
            for sku in skus {
                match seen.get(*sku) {
                    Some(known) => {
                        found.insert((*sku).clone(), known.clone());
                    }
                    None => missing.push(sku),
                }
            }
        }
        if !missing.is_empty() {
            let ids: Vec<&str> = missing.iter().map(|sku| sku.as_str()).collect();
            let loaded = self.store.load(STOCK, &ids).await?;
            for (sku, stored) in missing.into_iter().zip(loaded) {
                if let Some(stored) = stored {
                    let seen = Seen { version: stored.version, stock: parse(&stored.id, &stored.body)? };
                    found.insert(sku.clone(), seen);
                }
            }
        }
        Ok(found)
    }

    /// Saves what changed; the SKUs that somebody else wrote meanwhile are forgotten, and said.
    async fn save(&self, changed: Vec<Seen>) -> Result<bool, StoreError> {
        let mut writes = Vec::with_capacity(changed.len());
        for seen in &changed {
            writes.push(write(seen)?);
        }
        if writes.is_empty() {
            return Ok(true);
        }
        let results = match self.store.save(STOCK, writes).await {
            Ok(results) => results,
            Err(error) => {
                // Nobody knows whether it happened.
                let mut known = self.seen.lock();
                for seen in &changed {
                    known.remove(&seen.stock.sku);
                }
                return Err(error);
            }
        };
        let mut known = self.seen.lock();
        let mut all_saved = true;
        for (seen, result) in changed.into_iter().zip(results) {
            match result {
                SaveResult::Saved => {
                    let sku = seen.stock.sku.clone();
                    known.insert(sku, Seen { version: seen.version + 1, stock: seen.stock });
                }
                SaveResult::Conflict => {
                    known.remove(&seen.stock.sku);
                    all_saved = false;
                }
            }
        }
        Ok(all_saved)
    }

    /// The states of orders as they are saved.
    async fn orders(&self, orders: &BTreeSet<OrderId>) -> Result<HashMap<OrderId, InventoryState>, StoreError> {
        let ids: Vec<&str> = orders.iter().map(OrderId::as_str).collect();
        let loaded = self.store.load(ORDERS, &ids).await?;
        let mut states = HashMap::with_capacity(orders.len());
        for (order_id, stored) in orders.iter().zip(loaded) {
            // An order without a document is open: its first event is not saved yet.
            if let Some(stored) = stored {
                let record: OrderRecord<InventoryState> = parse(&stored.id, &stored.body)?;
                states.insert(order_id.clone(), record.state);
            }
        }
        Ok(states)
    }

    /// Settles every mark of the SKUs in `skus` whose order's document is known to be saved.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let saved = std::mem::take(&mut *self.saved.lock());
        let marked: Vec<Seen> = {
            let seen = self.seen.lock();
            seen.values().filter(|seen| !seen.stock.marks.is_empty()).cloned().collect()
        };
        let swept = self.settle(marked, Some(&saved)).await;
        if swept.is_err() {
            self.saved.lock().extend(saved);
        }
        swept
    }

    /// Settles whatever marks earlier processes left.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.scan(STOCK, after.as_deref(), 500).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id.clone());
            let mut marked = Vec::new();
            for stored in &page {
                let stock: Stock = parse(&stored.id, &stored.body)?;
                if !stock.marks.is_empty() {
                    marked.push(Seen { version: stored.version, stock });
                }
            }
            self.settle(marked, None).await?;
        }
    }

    async fn settle(&self, marked: Vec<Seen>, only: Option<&BTreeSet<OrderId>>) -> Result<(), StoreError> {
        let orders: BTreeSet<OrderId> = marked
            .iter()
            .flat_map(|seen| seen.stock.marks.keys())
            .filter(|order_id| only.is_none_or(|only| only.contains(*order_id)))
            .cloned()
            .collect();
        if orders.is_empty() {
            return Ok(());
        }
        let states = self.orders(&orders).await?;
        let mut changed = Vec::new();
        for mut seen in marked {
            if settle_marks(&mut seen.stock, &orders, &states) {
                changed.push(seen);
            }
        }
        // Who loses the race leaves its marks to the next sweep.
        self.save(changed).await.map(|_| ())
    }

    /// One try to carry out a batch: `None` when somebody else wrote one of its SKUs.
    async fn attempt(&self, requests: &[EffectRequest<Effect>]) -> Result<Option<Vec<Outcome>>, StoreError> {
        let skus: BTreeSet<&Sku> = requests.iter().flat_map(|request| skus(&request.effect)).collect();
        let stock = self.look(&skus).await?;
        let due: BTreeSet<OrderId> = {
            let saved = self.saved.lock();
            let marked = stock.values().flat_map(|seen| seen.stock.marks.keys());
            marked.filter(|order_id| saved.contains(*order_id)).cloned().collect()
        };
        let states = if due.is_empty() { HashMap::new() } else { self.orders(&due).await? };
        let mut batch = Batch { stock, changed: BTreeSet::new() };
        for (sku, seen) in &mut batch.stock {
            if settle_marks(&mut seen.stock, &due, &states) {
                batch.changed.insert(sku.clone());
            }
        }
        let outcomes = requests.iter().map(|request| batch.carry_out(request)).collect();
        let Batch { mut stock, changed } = batch;
        let changed = changed.iter().filter_map(|sku| stock.remove(sku)).collect();
        if self.save(changed).await? {
            // What was due for these SKUs is settled; an order's marks on other SKUs wait for the sweep.
            return Ok(Some(outcomes));
        }
        Ok(None)
    }
}

/// Stock in memory while a batch is allocated.
struct Batch {
    stock: HashMap<Sku, Seen>,
    changed: BTreeSet<Sku>,
}

impl Batch {
    fn carry_out(&mut self, request: &EffectRequest<Effect>) -> Outcome {
        match &request.effect {
            Effect::Reserve { attempt, items } => {
                let wanted = items.iter().map(|item| (item.sku.clone(), item.qty));
                let operations = operations(&request.order_id, *attempt, StockOp::Reserve, wanted);
                self.shortage(&operations).unwrap_or_else(|| Outcome::Reserved {
                    items: self.apply(&operations).map(|(sku, qty, at)| HeldItem { sku, qty, taken_at: at, ended_at: None }).collect(),
                })
            }
            Effect::Release { attempt, items } => Outcome::Released {
                items: self.end(&request.order_id, *attempt, StockOp::Release, items),
            },
            Effect::Ship { attempt, items } => {
                Outcome::Shipped { items: self.end(&request.order_id, *attempt, StockOp::Ship, items) }
            }
        }
    }

    /// What is missing for these operations, if anything is.
    fn shortage(&self, operations: &[(Sku, Operation)]) -> Option<Outcome> {
        let mut reason = ShortReason::OutOfStock;
        let mut shortages = Vec::new();
        for (sku, operation) in operations {
            let seen = self.stock.get(sku);
            if seen.is_some_and(|seen| seen.stock.marked(operation).is_some() || seen.stock.allows(operation)) {
                continue;
            }
            let available = seen.map(|seen| seen.stock.available);
            if available.is_none() {
                reason = ShortReason::UnknownSku;
            }
            shortages.push(Shortage { sku: sku.clone(), requested: operation.qty.into(), available });
        }
        (!shortages.is_empty()).then_some(Outcome::Short { reason, shortages })
    }

    /// Applies operations that are not applied yet; gives the version of each.
    fn apply<'b>(&'b mut self, operations: &'b [(Sku, Operation)]) -> impl Iterator<Item = (Sku, u32, u64)> + 'b {
        operations.iter().filter_map(|(sku, operation)| {
            let seen = self.stock.get_mut(sku)?;
            let at = match seen.stock.marked(operation) {
                Some(at) => at,
                None => {
                    let at = seen.version + 1;
                    if seen.stock.apply(operation, at) {
                        self.changed.insert(sku.clone());
                    }
                    at
                }
            };
            Some((sku.clone(), operation.qty, at))
        })
    }

    fn end(&mut self, order_id: &OrderId, attempt: u32, op: StockOp, items: &[HeldItem]) -> Vec<HeldItem> {
        let held = items.iter().map(|item| (item.sku.clone(), item.qty));
        let operations = operations(order_id, attempt, op, held);
        let ended: Vec<u64> = self.apply(&operations).map(|(_, _, at)| at).collect();
        let items = items.iter().zip(ended);
        items.map(|(item, at)| HeldItem { ended_at: Some(at), ..item.clone() }).collect()
    }
}

fn operations(
    order_id: &OrderId,
    attempt: u32,
    op: StockOp,
    items: impl Iterator<Item = (Sku, u32)>,
) -> Vec<(Sku, Operation)> {
    items.map(|(sku, qty)| (sku, Operation { order_id: order_id.clone(), attempt, op, qty })).collect()
}

fn skus(effect: &Effect) -> Vec<&Sku> {
    match effect {
        Effect::Reserve { items, .. } => items.iter().map(|item| &item.sku).collect(),
        Effect::Release { items, .. } | Effect::Ship { items, .. } => items.iter().map(|item| &item.sku).collect(),
    }
}

fn settle_marks(stock: &mut Stock, due: &BTreeSet<OrderId>, states: &HashMap<OrderId, InventoryState>) -> bool {
    let orders: Vec<OrderId> = stock.marks.keys().filter(|order_id| due.contains(*order_id)).cloned().collect();
    let mut changed = false;
    for order_id in orders {
        let state = states.get(&order_id);
        changed |= stock.settle(&order_id, |operation, sku, at| {
            state.map_or(Verdict::Open, |state| state.verdict(operation, sku, at))
        });
    }
    changed
}

fn parse<T: serde::de::DeserializeOwned>(id: &str, body: &Bytes) -> Result<T, StoreError> {
    serde_json::from_slice(body).map_err(|source| unusable(id, source))
}

fn unusable(id: &str, source: serde_json::Error) -> StoreError {
    StoreError::Unusable { collection: STOCK.to_owned(), id: id.to_owned(), source: source.into() }
}

fn write(seen: &Seen) -> Result<Write, StoreError> {
    let id = seen.stock.sku.to_string();
    let body = serde_json::to_vec(&seen.stock).map_err(|source| unusable(&id, source))?;
    Ok(Write { id, expected: seen.version, body: body.into(), index: Index::default() })
}

#[async_trait]
impl Effects<Inventory> for StockEffects {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<Effect>],
    ) -> Result<Vec<Result<Outcome, EffectFailure>>, Outage> {
        for _ in 0..CONFLICTS_MAX {
            if let Some(outcomes) = self.attempt(requests).await? {
                return Ok(outcomes.into_iter().map(Ok).collect());
            }
        }
        Err(Outage::new("store", "too many instances write the same stock"))
    }

    fn saved(&self, orders: &[OrderId]) {
        self.saved.lock().extend(orders.iter().cloned());
    }
}
