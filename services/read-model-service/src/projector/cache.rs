//! Orders that were saved a moment ago.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sagaline_contracts::{OrderId, Timestamp};

use crate::projection::{Head, Order};

/// Orders in one generation; two generations are kept.
const GENERATION_MAX: usize = 6_000;
/// How long a generation takes in at most: what nobody asked for in that time is not in flight any more.
const GENERATION_US: i64 = 3_000_000;

/// An order as it is stored.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) order: Order,
    /// The document's version; 0 when there is none.
    pub(super) version: u64,
    /// How the order stands in the document.
    pub(super) head: Option<Head>,
}

/// Orders in flight, as they were saved a moment ago, so that the next event of them needs no load. It is never trusted:
/// a save with a version that is not the latest fails.
#[derive(Debug, Default)]
pub(super) struct Cache {
    young: HashMap<OrderId, Known, RandomState>,
    old: HashMap<OrderId, Known, RandomState>,
    began: Timestamp,
}

impl Cache {
    pub(super) fn take(&mut self, id: &OrderId) -> Option<Known> {
        self.young.remove(id).or_else(|| self.old.remove(id))
    }

    /// Takes an order in. Gives what is forgotten for it, to be dropped without the lock.
    #[must_use]
    pub(super) fn put(
        &mut self,
        known: Known,
        now: Timestamp,
    ) -> Option<HashMap<OrderId, Known, RandomState>> {
        let is_full = self.young.len() >= GENERATION_MAX;
        let is_over = now.micros().saturating_sub(self.began.micros()) >= GENERATION_US;
        let forgotten = (is_full || is_over).then(|| {
            self.began = now;
            std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
        });
        self.young.insert(known.order.id().clone(), known);
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: usize) -> Known {
        let id = OrderId::new(format!("o-{id}")).unwrap();
        Known {
            order: Order::new(id),
            version: 1,
            head: None,
        }
    }

    #[test]
    fn it_holds_two_generations_at_most() {
        let mut cache = Cache::default();
        for id in 0..5 * GENERATION_MAX {
            drop(cache.put(known(id), Timestamp::EPOCH));
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION_MAX);
        assert!(cache.take(&OrderId::new("o-0").unwrap()).is_none());
        let latest = OrderId::new(format!("o-{}", 5 * GENERATION_MAX - 1)).unwrap();
        assert!(cache.take(&latest).is_some());
        assert!(cache.take(&latest).is_none());
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_after_a_while() {
        let mut cache = Cache::default();
        for (id, at) in [(0, 0), (1, GENERATION_US), (2, 2 * GENERATION_US)] {
            drop(cache.put(known(id), Timestamp::from_micros(at + 1)));
        }
        assert!(cache.take(&OrderId::new("o-0").unwrap()).is_none());
        assert!(cache.take(&OrderId::new("o-1").unwrap()).is_some());
    }
}
