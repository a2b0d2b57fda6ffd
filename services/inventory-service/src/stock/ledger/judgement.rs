//! What the saved documents of orders say about their operations on stock.

use std::collections::BTreeMap;

use sagaline_contracts::{OrderId, Sku};
use sagaline_store::StoreError;
use serde::Deserialize;

use super::Ledger;
use crate::ORDERS;
use crate::domain::InventoryState;
use crate::stock::cache::Cache;

/// Orders' documents that are asked for at once.
pub(super) const LOAD_MAX: usize = 500;

/// The saved document of an order, as far as stock wants to know.
#[derive(Deserialize)]
struct SavedOrder {
    state: InventoryState,
}

/// The saved state of an order, and where it may have marks.
pub(super) struct Judged {
    order_id: OrderId,
    state: InventoryState,
    /// SKUs that its state does not name.
    besides: Vec<Sku>,
}

impl Ledger {
    /// These orders are saved in these states: what they say of their operations is taken in with the next writes. Verdicts are
    /// final, so it does no harm when a later state is saved by now.
    pub fn learn<'a>(&self, saved: impl IntoIterator<Item = (&'a OrderId, &'a InventoryState)>) {
        let telling = saved
            .into_iter()
            // One that names no SKU decides nothing here. If it left marks all the same, the sweep finds them.
            .filter(|(_, state)| state.skus().next().is_some())
            .map(|(order_id, state)| Judged {
                order_id: order_id.clone(),
                state: state.clone(),
                besides: Vec::new(),
            });
        self.judge(telling);
    }

    /// Reads what these orders' saved documents say. They may have marks on SKUs that their states do not name.
    pub(super) async fn look_up(
        &self,
        orders: &[OrderId],
        mut besides: BTreeMap<OrderId, Vec<Sku>>,
    ) -> Result<(), StoreError> {
        for orders in orders.chunks(LOAD_MAX) {
            let states = self.states(orders).await?;
            let judged = states.into_iter().map(|(order_id, state)| Judged {
                besides: besides.remove(&order_id).unwrap_or_default(),
                order_id,
                state,
            });
            self.judge(judged);
        }
        Ok(())
    }

    fn judge(&self, judged: impl Iterator<Item = Judged>) {
        let mut known = self.judged.lock();
        let room = self.limits.judged_max.saturating_sub(known.len());
        known.extend(judged.take(room));
    }

    /// Tells the documents at hand what is known of their orders.
    pub(super) fn take_in_judged(&self, cache: &mut Cache) {
        let judged = std::mem::take(&mut *self.judged.lock());
        for Judged {
            order_id,
            state,
            besides,
        } in judged
        {
            for sku in state.skus().chain(&besides) {
                if let Some(entry) = cache.get_mut(sku) {
                    let verdict = |op: &_, sku: &_, at| state.verdict(op, sku, at);
                    entry.document.judge(&order_id, verdict);
                }
            }
        }
    }

    /// The states of these orders as they are saved. One without a document is left out, so is one that cannot be read: what
    /// they did stays as it is.
    pub(super) async fn states(
        &self,
        orders: &[OrderId],
    ) -> Result<Vec<(OrderId, InventoryState)>, StoreError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = orders.iter().map(OrderId::as_str).collect();
        let stored = self.store.load(ORDERS, &ids).await?;
        let mut states = Vec::with_capacity(orders.len());
        for (order_id, stored) in orders.iter().zip(stored) {
            let Some(stored) = stored else { continue };
            match serde_json::from_slice::<SavedOrder>(&stored.body) {
                Ok(saved) => states.push((order_id.clone(), saved.state)),
                Err(error) => {
                    tracing::error!(%order_id, %error, "an order's document cannot be read");
                }
            }
        }
        Ok(states)
    }
}
