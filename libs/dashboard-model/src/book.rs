//! The orders that are known here.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sagaline_views::State;

/// Orders that are kept; beyond it those that were updated longest ago are forgotten, they can be loaded again.
pub(crate) const KEPT_MAX: usize = 20_000;

/// What is known of orders.
#[derive(Debug, Default)]
pub(crate) struct Book {
    orders: HashMap<String, Arc<State>>,
    by_update: BTreeSet<ByUpdate>,
}

/// An order's state, which stands where it was updated.
#[derive(Debug, Clone)]
pub(crate) struct ByUpdate(pub(crate) Arc<State>);

impl Ord for ByUpdate {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (&self.0, &other.0);
        (one.updated_at, &one.order_id).cmp(&(other.updated_at, &other.order_id))
    }
}

impl PartialOrd for ByUpdate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByUpdate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByUpdate {}

/// What a state that came has changed.
#[derive(Debug)]
pub(crate) struct Change {
    /// How the order stood before, if it was known.
    pub(crate) before: Option<Arc<State>>,
    /// How it stands.
    pub(crate) now: Arc<State>,
    /// The order that was forgotten for it.
    pub(crate) forgotten: Option<Arc<State>>,
}

impl Book {
    /// Takes a state, unless a later one is known.
    pub(crate) fn take(&mut self, state: State) -> Option<Change> {
        let before = self.orders.get(&state.order_id).cloned();
        if let Some(known) = &before {
            // The same moment again may be the same order told by a page and by the feed; or a letter that was redriven.
            if known.updated_at > state.updated_at || **known == state {
                return None;
            }
            self.by_update.remove(&ByUpdate(Arc::clone(known)));
        }
        let now = Arc::new(state);
        self.by_update.insert(ByUpdate(Arc::clone(&now)));
        self.orders.insert(now.order_id.clone(), Arc::clone(&now));
        let mut forgotten = None;
        if self.orders.len() > KEPT_MAX {
            // Not the one that has just come, however old it is: somebody looks for it.
            let mut oldest = self.by_update.iter().map(|order| &order.0);
            forgotten = oldest.find(|order| order.order_id != now.order_id).cloned();
        }
        if let Some(oldest) = &forgotten {
            self.by_update.remove(&ByUpdate(Arc::clone(oldest)));
            self.orders.remove(&oldest.order_id);
        }
        Some(Change {
            before,
            now,
            forgotten,
        })
    }

    /// One order.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<State>> {
        self.orders.get(id)
    }

    /// All of them, the latest update last.
    pub(crate) fn by_update(&self) -> &BTreeSet<ByUpdate> {
        &self.by_update
    }
}
