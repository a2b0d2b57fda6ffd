//! Events that were published, and that the store may not have yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sagaline_contracts::{EventId, OrderId};
use tokio::time::Instant;

/// When the store is first asked for what was just published: whoever projects it needs about so long.
const FIRST: Duration = Duration::from_millis(10);
/// And how long it is left alone at most when it did not have it.
const LAST: Duration = Duration::from_secs(1);
/// An order that nobody watches is looked at when it has been quiet for so long: once for all its events.
const QUIET: Duration = Duration::from_secs(2);
/// For so long an event is waited for. Whoever is to save it may have to take over partitions first.
const KEPT: Duration = Duration::from_mins(5);
/// So many events are waited for at most; of more, the oldest are given up.
const EVENTS_MAX: usize = 200_000;

/// Events that were published, and that the store may not have yet, by order.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    orders: BTreeMap<OrderId, Pending>,
    /// The orders that are to be looked at, and when.
    queue: BTreeSet<(Instant, OrderId)>,
    /// Every order with the time at which one of its events came, the oldest first.
    ages: VecDeque<(Instant, OrderId)>,
}

/// What is waited for of an order.
#[derive(Debug)]
struct Pending {
    events: Vec<EventId>,
    latest: Instant,
    /// Where it stands in the queue.
    due: Option<Instant>,
    pause: Duration,
}

impl Awaited {
    /// An event was published.
    pub(super) fn published(&mut self, order: &OrderId, event: EventId, now: Instant) {
        let pending = self.orders.entry(order.clone()).or_insert_with(|| Pending {
            events: Vec::with_capacity(1),
            latest: now,
            due: None,
            pause: FIRST,
        });
        if pending.events.contains(&event) {
            return;
        }
        pending.events.push(event);
        pending.latest = now;
        self.ages.push_back((now, order.clone()));
        self.soon(order, now);
        self.give_up(now);
    }

    /// Somebody watches this order from now on.
    pub(super) fn watched(&mut self, order: &OrderId, now: Instant) {
        self.soon(order, now);
    }

    /// Somebody watches all orders from now on.
    pub(super) fn all_watched(&mut self, now: Instant) {
        let orders: Vec<OrderId> = self.orders.keys().cloned().collect();
        for order in orders {
            self.soon(&order, now);
        }
    }

    /// The order is looked at soon.
    fn soon(&mut self, order: &OrderId, now: Instant) {
        if let Some(pending) = self.orders.get_mut(order) {
            pending.pause = FIRST;
            let due = now + FIRST;
            if pending.due.is_none_or(|known| known > due) {
                self.queue_at(order, due);
            }
        }
    }

    fn queue_at(&mut self, order: &OrderId, due: Instant) {
        if let Some(pending) = self.orders.get_mut(order) {
            if let Some(before) = pending.due.replace(due) {
                self.queue.remove(&(before, order.clone()));
            }
            self.queue.insert((due, order.clone()));
        }
    }

    /// When the next look is due, if any is.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Up to `limit` orders whose look is due. One that nobody watches is looked at when it is quiet, so that what is there is not kept.
    pub(super) fn due(
        &mut self,
        now: Instant,
        limit: usize,
        is_watched: impl Fn(&OrderId) -> bool,
    ) -> Vec<OrderId> {
        self.give_up(now);
        let mut orders = Vec::new();
        while orders.len() < limit
            && self.queue.first().is_some_and(|(due, _)| *due <= now)
            && let Some((_, order)) = self.queue.pop_first()
        {
            let Some(pending) = self.orders.get_mut(&order) else {
                continue;
            };
            pending.due = None;
            let quiet = pending.latest + QUIET;
            if is_watched(&order) || now >= quiet {
                orders.push(order);
            } else if sagaline_saga::planted!("nobody watches, nobody waits") {
                self.forget(&order);
            } else {
                self.queue_at(&order, quiet);
            }
        }
        orders
    }

    /// The store was asked: takes off what it has, and says whether that is anything. What it does not have is looked for again.
    pub(super) fn looked(
        &mut self,
        order: &OrderId,
        has: impl Fn(&EventId) -> bool,
        now: Instant,
    ) -> bool {
        let Some(pending) = self.orders.get_mut(order) else {
            return false;
        };
        let before = pending.events.len();
        pending.events.retain(|event| !has(event));
        let is_news = pending.events.len() < before;
        if pending.events.is_empty() {
            self.forget(order);
            return is_news;
        }
        let due = now + pending.pause;
        pending.pause = (pending.pause * 2).min(LAST);
        self.queue_at(order, due);
        is_news
    }

    fn forget(&mut self, order: &OrderId) {
        if let Some(pending) = self.orders.remove(order)
            && let Some(due) = pending.due
        {
            self.queue.remove(&(due, order.clone()));
        }
    }

    /// Gives up what is too old, and the oldest of too much.
    fn give_up(&mut self, now: Instant) {
        while let Some((came, order)) = self.ages.front() {
            let is_old = now.saturating_duration_since(*came) > KEPT;
            let is_over = self
                .orders
                .get(order)
                .is_none_or(|pending| pending.latest > *came);
            if !is_old && !is_over && self.ages.len() <= EVENTS_MAX {
                return;
            }
            let order = order.clone();
            self.ages.pop_front();
            if !is_over {
                self.forget(&order);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str) -> OrderId {
        OrderId::new(id).unwrap()
    }

    fn event(id: &str) -> EventId {
        EventId::new(id).unwrap()
    }

    fn all(_: &OrderId) -> bool {
        true
    }

    #[test]
    fn an_event_is_looked_for_with_growing_pauses_until_the_store_has_it() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        awaited.published(&order("o-1"), event("a"), start);
        assert_eq!(awaited.due(start, 10, all), [], "not at once");
        let mut looks = Vec::new();
        for _ in 0..10 {
            let due = awaited.next_due().unwrap();
            looks.push(due.duration_since(start).as_millis());
            assert_eq!(awaited.due(due, 10, all), [order("o-1")]);
            assert!(!awaited.looked(&order("o-1"), |_| false, due));
        }
        assert_eq!(looks, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_280, 3_280]);
        let due = awaited.next_due().unwrap();
        awaited.due(due, 10, all);
        assert!(awaited.looked(&order("o-1"), |_| true, due));
        assert_eq!(awaited.next_due(), None);
        assert!(awaited.orders.is_empty() && awaited.queue.is_empty());
    }

    #[test]
    fn another_event_of_an_order_that_is_waited_for_hurries_it() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        awaited.published(&order("o-1"), event("a"), start);
        for _ in 0..8 {
            let due = awaited.next_due().unwrap();
            awaited.due(due, 10, all);
            awaited.looked(&order("o-1"), |_| false, due);
        }
        let later = start + Duration::from_millis(1_300);
        awaited.published(&order("o-1"), event("b"), later);
        assert_eq!(awaited.next_due(), Some(later + FIRST));
        awaited.due(later + FIRST, 10, all);
        // What is there is told, whatever else is not.
        assert!(awaited.looked(&order("o-1"), |id| *id == event("b"), later));
        assert_eq!(awaited.next_due(), Some(later + FIRST));
    }

    #[test]
    fn what_nobody_watches_is_looked_at_when_it_is_quiet_or_when_somebody_comes() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        awaited.published(&order("o-1"), event("a"), start);
        awaited.published(&order("o-2"), event("b"), start);
        let soon = start + FIRST;
        assert_eq!(awaited.due(soon, 10, |_| false), []);
        assert_eq!(awaited.next_due(), Some(start + QUIET));
        awaited.watched(&order("o-2"), soon);
        assert_eq!(awaited.due(soon + FIRST, 10, all), [order("o-2")]);
        awaited.looked(&order("o-2"), |_| true, soon);
        awaited.published(&order("o-1"), event("c"), soon);
        let none = |_: &OrderId| false;
        assert_eq!(awaited.due(start + QUIET, 10, none), [], "not quiet yet");
        assert_eq!(awaited.due(soon + QUIET, 10, none), [order("o-1")]);
        awaited.looked(&order("o-1"), |_| false, soon);
        awaited.all_watched(soon);
        assert_eq!(awaited.due(soon + FIRST, 10, all), [order("o-1")]);
    }

    #[test]
    fn what_does_not_come_is_given_up_and_so_is_the_oldest_of_too_much() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        awaited.published(&order("old"), event("a"), start);
        let later = start + KEPT + Duration::from_secs(1);
        awaited.published(&order("new"), event("a"), later);
        assert_eq!(awaited.orders.len(), 1);
        for number in 0..=EVENTS_MAX {
            awaited.published(&order(&format!("o-{number}")), event("a"), later);
        }
        assert!(awaited.orders.len() <= EVENTS_MAX && awaited.ages.len() <= EVENTS_MAX);
        assert!(!awaited.orders.contains_key(&order("new")));
        assert_eq!(awaited.queue.len(), awaited.orders.len());
    }
}
