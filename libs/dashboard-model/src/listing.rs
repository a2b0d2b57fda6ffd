//! The list of orders: what is told is collected, taken a bounded number at a time, and only the rows that are asked for are
//! looked at. Nothing here goes over all orders but another filter and the moment in which rows begin to keep their places.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sagaline_views::{Moment, State};

use crate::book::{Book, ByUpdate, Change};
use crate::reach::Reach;
use crate::{Filter, Next};

/// Orders that are kept of those that fit what is looked for, and of the others; beyond it those that were updated longest ago are
/// forgotten, they can be read again.
const KEPT_MAX: usize = 20_000;

/// Those that fit, while rows keep their places: what was read by scrolling down is kept until one has scrolled up again.
const KEPT_HELD_MAX: usize = 2 * KEPT_MAX;

/// An update may be so much older than the moment in which it was told.
const TOLD_LATE_US: i64 = 10_000_000;

/// The orders that fit what is looked for, the latest update first.
#[derive(Debug, Default)]
pub struct Listing {
    book: Book,
    filter: Filter,
    needle: String,
    fitting: BTreeSet<ByUpdate>,
    others: BTreeSet<ByUpdate>,
    /// Told, and not taken yet: the latest state of each order.
    told: HashMap<String, State>,
    held: Option<Held>,
    reach: Reach,
    doubt: Option<Doubt>,
}

/// What was known when nobody told anything any more.
#[derive(Debug)]
struct Doubt {
    /// Orders that nobody has told of since.
    ids: HashSet<String>,
    /// What was updated before was told.
    told_to: Moment,
}

/// Rows that keep their places while somebody reads them.
#[derive(Debug)]
struct Held {
    rows: Vec<Arc<State>>,
    ids: HashSet<String>,
    /// Of the last row, when they began to keep them: what is older is added at the end.
    oldest: ByUpdate,
    older: Vec<Arc<State>>,
    /// Orders that belong above.
    newer: HashSet<String>,
}

impl Listing {
    /// An order stands so now: it is taken with the next ones. There is room for as many orders as are kept; beyond it all of
    /// them are taken at once.
    pub fn tell(&mut self, state: State) {
        if let Some(doubt) = &mut self.doubt {
            doubt.ids.remove(&state.order_id);
        }
        match self.told.get_mut(&state.order_id) {
            Some(told) if told.updated_at > state.updated_at => {}
            Some(told) => *told = state,
            None => {
                self.told.insert(state.order_id.clone(), state);
                if self.told.len() > KEPT_MAX {
                    self.take(usize::MAX);
                }
            }
        }
    }

    /// Takes so many of the orders that were told; says whether there are more.
    pub fn take(&mut self, max: usize) -> bool {
        if self.told.len() <= max {
            for (_, state) in std::mem::take(&mut self.told) {
                self.take_one(state);
            }
        } else {
            let ids: Vec<String> = self.told.keys().take(max).cloned().collect();
            for id in ids {
                if let Some(state) = self.told.remove(&id) {
                    self.take_one(state);
                }
            }
        }
        if let Some(held) = &mut self.held {
            held.append_older();
        }
        !self.told.is_empty()
    }

    fn take_one(&mut self, state: State) {
        let Some(Change { before, now }) = self.book.take(state) else {
            return;
        };
        if let Some(before) = before {
            self.leaves(&ByUpdate(before));
        }
        if self.filter.takes(&now, &self.needle) {
            if let Some(held) = &mut self.held {
                held.comes(&now);
            }
            self.fitting.insert(ByUpdate(Arc::clone(&now)));
        } else {
            self.others.insert(ByUpdate(Arc::clone(&now)));
        }
        // Not the one that has just come, however old it is: somebody looks for it.
        self.make_room(Some(&now.order_id));
    }

    /// It does not stand there any more; says whether it was among those that fit.
    fn leaves(&mut self, order: &ByUpdate) -> bool {
        if let Some(held) = &mut self.held {
            held.newer.remove(&order.0.order_id);
        }
        let was_fitting = self.fitting.remove(order);
        self.others.remove(order);
        was_fitting
    }

    /// Forgets what was updated longest ago, as long as there is more than is kept.
    fn make_room(&mut self, but: Option<&str>) {
        let room = match self.held {
            Some(_) => KEPT_HELD_MAX,
            None => KEPT_MAX,
        };
        let oldest = |orders: &BTreeSet<ByUpdate>, max| {
            let mut oldest = orders.iter().take(if orders.len() > max { 2 } else { 0 });
            oldest
                .find(|order| but != Some(order.0.order_id.as_str()))
                .cloned()
        };
        while let Some(gone) =
            oldest(&self.fitting, room).or_else(|| oldest(&self.others, KEPT_MAX))
        {
            self.forget(&gone);
        }
    }

    fn forget(&mut self, order: &ByUpdate) {
        self.book.forget(&order.0.order_id);
        if self.leaves(order) {
            self.reach.forgot(order.0.updated_at);
        }
    }

    /// Something else is looked for.
    pub fn look_for(&mut self, filter: &Filter) {
        self.filter = filter.clone();
        self.needle = filter.needle();
        self.held = None;
        self.reach = Reach::default();
        let all = self.book.all().cloned().map(ByUpdate);
        (self.fitting, self.others) =
            all.partition(|order| self.filter.takes(&order.0, &self.needle));
        self.make_room(None);
    }

    /// Where the next page begins of what is looked for. None while there is no room for more.
    pub fn next(&self) -> Option<&Next> {
        (self.fitting.len() < KEPT_HELD_MAX).then(|| self.reach.next())
    }

    /// Whether there may be more than has been read.
    pub fn has_more(&self) -> bool {
        *self.reach.next() != Next::End
    }

    /// Whether there may be more than the list has room for.
    pub fn is_full(&self) -> bool {
        self.has_more() && self.next().is_none()
    }

    /// The next page of what is looked for, and the link to the one behind it.
    pub fn read(&mut self, page: Vec<State>, link: Option<String>) {
        self.reach.read(end(&page), link);
        for state in page {
            self.tell(state);
        }
    }

    /// For a while nobody has told what happened: nothing that is known is certain, until somebody tells it again.
    pub fn doubt(&mut self) {
        self.take(usize::MAX);
        let latest = self.book.all().map(|order| order.updated_at.0).max();
        let told_to = Moment(latest.unwrap_or(i64::MIN).saturating_sub(TOLD_LATE_US));
        // Not yet resolved, it goes back to when it began.
        let before = self.doubt.take().map(|doubt| doubt.told_to);
        self.doubt = Some(Doubt {
            ids: self
                .book
                .all()
                .map(|order| order.order_id.clone())
                .collect(),
            told_to: before.map_or(told_to, |before| before.min(told_to)),
        });
    }

    /// The first page of all orders, which was asked for since, and whether there is more. When it goes back to what was told before,
    /// everything that has happened meanwhile is on it. Otherwise all that nobody has told again is forgotten: an order that is
    /// known as in flight may have ended.
    pub fn read_anew(&mut self, page: Vec<State>, link: Option<String>) {
        let end = end(&page);
        for state in page {
            self.tell(state);
        }
        self.take(usize::MAX);
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        let is_all_told = link.is_none() || end.is_some_and(|end| end < doubt.told_to);
        if !is_all_told {
            for id in doubt.ids {
                if let Some(order) = self.book.get(&id).cloned() {
                    self.forget(&ByUpdate(order));
                }
            }
            self.reach = Reach::default();
        }
        if self.filter == Filter::default() && *self.reach.next() == Next::Top {
            self.reach.read(end, link);
        }
    }

    /// From now on rows keep their places: they show how their orders stand, older orders are added at the end, newer ones wait.
    pub fn hold(&mut self) {
        let (None, Some(oldest)) = (&self.held, self.fitting.first()) else {
            return;
        };
        let oldest = oldest.clone();
        let rows: Vec<Arc<State>> = self.newest_first().cloned().collect();
        self.held = Some(Held {
            ids: rows.iter().map(|state| state.order_id.clone()).collect(),
            rows,
            oldest,
            older: Vec::new(),
            newer: HashSet::new(),
        });
    }

    /// The latest first again, whoever reads.
    pub fn release(&mut self) {
        self.held = None;
        self.make_room(None);
    }

    /// How many orders belong above rows that keep their places.
    pub fn newer(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.newer.len())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.held {
            Some(held) => held.rows.len(),
            None => self.fitting.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some rows, as their orders stand now.
    pub fn rows(&self, range: Range<usize>) -> Vec<Arc<State>> {
        if let Some(held) = &self.held {
            let rows = held.rows.get(range).unwrap_or_default().iter();
            rows.map(|state| self.book.get(&state.order_id).unwrap_or(state).clone())
                .collect()
        } else {
            let rows = self.newest_first().skip(range.start);
            rows.take(range.len()).cloned().collect()
        }
    }

    fn newest_first(&self) -> impl Iterator<Item = &Arc<State>> {
        self.fitting.iter().rev().map(|order| &order.0)
    }
}

/// The last update of a page.
fn end(page: &[State]) -> Option<Moment> {
    page.iter().map(|state| state.updated_at).min()
}

impl Held {
    /// An order that fits has come, or has changed.
    fn comes(&mut self, state: &Arc<State>) {
        if self.ids.contains(&state.order_id) {
            return;
        }
        if ByUpdate(Arc::clone(state)) > self.oldest {
            self.newer.insert(state.order_id.clone());
        } else {
            self.ids.insert(state.order_id.clone());
            self.older.push(Arc::clone(state));
        }
    }

    fn append_older(&mut self) {
        if self.older.is_empty() {
            return;
        }
        self.older
            .sort_by_cached_key(|state| std::cmp::Reverse(ByUpdate(Arc::clone(state))));
        if let Some(last) = self.older.last() {
            self.oldest = self.oldest.clone().min(ByUpdate(Arc::clone(last)));
        }
        self.rows.append(&mut self.older);
    }
}

#[cfg(test)]
mod tests;
