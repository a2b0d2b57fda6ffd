//! The orders that are known here.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use sagaline_views::State;

/// What is known of orders.
#[derive(Debug, Default)]
pub(crate) struct Book {
    orders: HashMap<String, Arc<State>>,
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
    pub(crate) before: Option<Arc<State>>,
    pub(crate) now: Arc<State>,
}

impl Book {
    /// An order stands so; nothing happens when that is known already, or is not the latest.
    pub(crate) fn take(&mut self, state: State) -> Option<Change> {
        let before = self.orders.get(&state.order_id).cloned();
        if let Some(known) = &before {
            // The same moment again may be the same order told by a page and by the feed; or a letter that was redriven.
            if known.updated_at > state.updated_at || **known == state {
                return None;
            }
        }
        let now = Arc::new(state);
        self.orders.insert(now.order_id.clone(), Arc::clone(&now));
        Some(Change { before, now })
    }

    /// This order is not known any more.
    pub(crate) fn forget(&mut self, id: &str) {
        self.orders.remove(id);
    }

    /// One order.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<State>> {
        self.orders.get(id)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<State>> {
        self.orders.values()
    }
}
