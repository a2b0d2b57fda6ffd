//! The list of orders: what is told is collected, taken a bounded number at a time, and only the rows that are asked for are
//! looked at. Nothing here goes over all orders but another filter and the moment in which rows begin to keep their places.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sagaline_views::State;

use crate::Filter;
use crate::book::{Book, ByUpdate, Change, KEPT_MAX};

/// The orders that fit what is looked for, the latest update first.
#[derive(Debug, Default)]
pub struct Listing {
    book: Book,
    filter: Filter,
    needle: String,
    fitting: BTreeSet<ByUpdate>,
    /// Told, and not taken yet: the latest state of each order.
    told: HashMap<String, State>,
    held: Option<Held>,
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
        let Some(change) = self.book.take(state) else {
            return;
        };
        let Change {
            before,
            now,
            forgotten,
        } = change;
        for gone in before.into_iter().chain(forgotten) {
            if let Some(held) = &mut self.held {
                held.newer.remove(&gone.order_id);
            }
            self.fitting.remove(&ByUpdate(gone));
        }
        if self.filter.takes(&now, &self.needle) {
            if let Some(held) = &mut self.held {
                held.comes(&now);
            }
            self.fitting.insert(ByUpdate(now));
        }
    }

    /// Something else is looked for.
    pub fn look_for(&mut self, filter: &Filter) {
        self.filter = filter.clone();
        self.needle = filter.needle();
        self.held = None;
        let all = self.book.by_update().iter();
        let fitting = all.filter(|order| self.filter.takes(&order.0, &self.needle));
        self.fitting = fitting.cloned().collect();
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
mod tests {
    use sagaline_views::{Moment, Outcome, Status};

    use super::*;
    use crate::Standing;

    fn state(id: &str, at: i64, outcome: Outcome) -> State {
        State {
            order_id: id.to_owned(),
            current_status: Some(Status::Created),
            outcome,
            attempt: 1,
            reason: None,
            total: None,
            created_at: Moment(0),
            updated_at: Moment(at),
            ended_at: None,
            stalled_since: None,
            dead_letters_waiting: 0,
        }
    }

    fn taken(listing: &mut Listing, states: impl IntoIterator<Item = State>) {
        for state in states {
            listing.tell(state);
        }
        listing.take(usize::MAX);
    }

    fn ids(listing: &Listing) -> Vec<String> {
        let rows = listing.rows(0..listing.len());
        rows.iter().map(|state| state.order_id.clone()).collect()
    }

    fn pending(id: &str, at: i64) -> State {
        state(id, at, Outcome::Pending)
    }

    #[test]
    fn the_latest_update_comes_first_and_an_older_one_changes_nothing() {
        let mut listing = Listing::default();
        taken(&mut listing, [pending("a", 1)]);
        taken(&mut listing, [pending("b", 2)]);
        taken(&mut listing, [state("a", 3, Outcome::Confirmed)]);
        taken(&mut listing, [pending("a", 1)]);
        assert_eq!(ids(&listing), ["a", "b"]);
        assert_eq!(listing.rows(0..1)[0].outcome, Outcome::Confirmed);
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it_and_what_fits_no_longer_leaves() {
        let mut listing = Listing::default();
        let declined = State {
            reason: Some("card_declined".into()),
            ..state("x-2", 2, Outcome::Cancelled)
        };
        let parked = State {
            dead_letters_waiting: 1,
            ..pending("x-3", 3)
        };
        taken(&mut listing, [pending("Order-1", 1), declined, parked]);
        for (standing, text, fit) in [
            (Standing::All, "ORDER", vec!["Order-1"]),
            (Standing::All, " declined ", vec!["x-2"]),
            (Standing::InFlight, "x", vec!["x-3"]),
            (Standing::Parked, "", vec!["x-3"]),
        ] {
            listing.look_for(&Filter {
                standing,
                text: text.into(),
                status: None,
            });
            assert_eq!(ids(&listing), fit, "{standing:?} {text}");
        }
        taken(&mut listing, [state("x-3", 4, Outcome::Confirmed)]);
        assert!(listing.is_empty(), "it is parked no longer");
        listing.look_for(&Filter {
            status: Some(Status::Shipped),
            ..Filter::default()
        });
        assert!(listing.is_empty());
    }

    #[test]
    fn of_what_is_told_each_order_s_latest_state_is_taken_and_no_more_than_asked_for() {
        let mut listing = Listing::default();
        for at in 1..=50 {
            listing.tell(pending(&format!("order-{}", at % 10), at));
        }
        listing.tell(pending("order-0", 3));
        assert!(listing.is_empty(), "told is not taken");
        assert!(listing.take(4), "six more");
        assert_eq!(listing.len(), 4);
        assert!(listing.take(5), "one more");
        assert!(!listing.take(5));
        let updates: Vec<i64> = listing
            .rows(0..10)
            .iter()
            .map(|it| it.updated_at.0)
            .collect();
        assert_eq!(updates, [50, 49, 48, 47, 46, 45, 44, 43, 42, 41]);
    }

    #[test]
    fn rows_that_are_read_keep_their_places_and_show_how_their_orders_stand() {
        let mut listing = Listing::default();
        taken(&mut listing, [pending("b", 20), pending("c", 30)]);
        listing.hold();
        let more = [
            state("b", 40, Outcome::Confirmed),
            pending("new", 50),
            pending("old", 10),
            pending("older", 5),
        ];
        taken(&mut listing, more);
        assert_eq!(ids(&listing), ["c", "b", "old", "older"]);
        assert_eq!(listing.rows(1..2)[0].outcome, Outcome::Confirmed);
        assert_eq!(listing.newer(), 1);
        taken(&mut listing, [pending("new", 60), pending("oldest", 4)]);
        assert_eq!(listing.newer(), 1, "it is the same");
        assert_eq!(listing.len(), 5);
        listing.release();
        assert_eq!(ids(&listing), ["new", "b", "c", "old", "older", "oldest"]);
        assert_eq!(listing.newer(), 0);
    }

    #[test]
    fn what_waits_above_and_fits_no_longer_is_not_counted() {
        let mut listing = Listing::default();
        listing.look_for(&Filter {
            standing: Standing::InFlight,
            ..Filter::default()
        });
        listing.hold();
        assert!(listing.held.is_none(), "there is nothing to read yet");
        taken(&mut listing, [pending("a", 1)]);
        listing.hold();
        taken(&mut listing, [pending("b", 2)]);
        assert_eq!(listing.newer(), 1);
        taken(&mut listing, [state("b", 3, Outcome::Confirmed)]);
        assert_eq!(listing.newer(), 0);
        taken(&mut listing, [state("a", 4, Outcome::Confirmed)]);
        assert_eq!(ids(&listing), ["a"], "a row that is read does not vanish");
    }

    #[test]
    fn what_was_updated_longest_ago_is_forgotten_but_not_under_the_reader() {
        let mut listing = Listing::default();
        taken(
            &mut listing,
            (0..20_000).map(|at| pending(&at.to_string(), at)),
        );
        listing.hold();
        taken(
            &mut listing,
            (20_000..20_005).map(|at| pending(&at.to_string(), at)),
        );
        assert_eq!(listing.rows(19_999..20_000)[0].order_id, "0");
        listing.release();
        assert_eq!(listing.len(), 20_000);
        assert_eq!(listing.rows(19_999..20_000)[0].order_id, "5");
    }

    #[test]
    fn an_old_order_that_is_told_when_there_is_no_room_is_listed_once_and_leaves_when_it_fits_no_longer()
     {
        let mut listing = Listing::default();
        let all = (100..20_100).map(|at| pending(&at.to_string(), at));
        taken(&mut listing, all);
        let old = |at, waiting| State {
            dead_letters_waiting: waiting,
            ..pending("old", at)
        };
        taken(&mut listing, [old(1, 1)]);
        listing.look_for(&Filter {
            standing: Standing::Parked,
            ..Filter::default()
        });
        assert_eq!(ids(&listing), ["old"]);
        taken(&mut listing, [old(2, 1)]);
        assert_eq!(ids(&listing), ["old"]);
        taken(&mut listing, [old(3, 0)]);
        assert!(listing.is_empty());
        listing.look_for(&Filter::default());
        assert_eq!(listing.len(), KEPT_MAX);
    }

    #[test]
    fn what_is_told_and_never_taken_is_bounded() {
        let mut listing = Listing::default();
        for at in 0..20_001 {
            listing.tell(pending(&at.to_string(), at));
        }
        assert!(listing.told.is_empty());
        assert_eq!(listing.len(), 20_000);
    }
}
