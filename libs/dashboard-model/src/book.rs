//! The orders that are known here, newest first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sagaline_views::{Moment, Outcome, State, Status};

/// Orders that are kept; beyond it those that were updated longest ago are forgotten, they can be loaded again.
const KEPT_MAX: usize = 20_000;

/// What is known of orders.
#[derive(Debug, Default)]
pub struct Book {
    orders: HashMap<String, Arc<State>>,
    /// By the latest update, the newest last.
    by_update: BTreeMap<(Moment, String), Arc<State>>,
}

/// What an operator looks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// With this status only.
    pub status: Option<Status>,
    /// Standing so only.
    pub standing: Standing,
    /// With this in their id or reason, whatever its case.
    pub text: String,
}

/// Groups of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Standing {
    /// All.
    #[default]
    All,
    /// Without an outcome.
    InFlight,
    /// Shipped.
    Confirmed,
    /// Undone.
    Cancelled,
    /// In flight for too long.
    Stalled,
    /// Waiting behind a dead letter.
    Parked,
}

/// Orders by group and status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By status.
    pub by_status: BTreeMap<Status, usize>,
    /// All of them.
    pub all: usize,
}

impl Book {
    /// Takes a state, unless a later one is known; says whether it did.
    pub fn take(&mut self, state: State) -> bool {
        if let Some(known) = self.orders.get(&state.order_id) {
            // The same moment again may be the same order told by a page and by the feed; or a letter that was redriven.
            if known.updated_at > state.updated_at || **known == state {
                return false;
            }
            self.by_update
                .remove(&(known.updated_at, known.order_id.clone()));
        }
        let state = Arc::new(state);
        self.by_update.insert(
            (state.updated_at, state.order_id.clone()),
            Arc::clone(&state),
        );
        self.orders.insert(state.order_id.clone(), state);
        while self.orders.len() > KEPT_MAX {
            let Some((_, oldest)) = self.by_update.pop_first() else {
                break;
            };
            self.orders.remove(&oldest.order_id);
        }
        true
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// One order.
    pub fn get(&self, id: &str) -> Option<&Arc<State>> {
        self.orders.get(id)
    }

    /// Those that are looked for, the latest update first.
    pub fn listed(&self, filter: &Filter) -> Vec<Arc<State>> {
        let text = filter.text.trim().to_lowercase();
        let newest_first = self.by_update.values().rev();
        newest_first
            .filter(|state| filter.takes(state, &text))
            .cloned()
            .collect()
    }

    /// How many there are of each status, among those that stand so.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            all: self.orders.len(),
            ..Counts::default()
        };
        for state in self.orders.values() {
            if let Some(status) = state.current_status {
                *counts.by_status.entry(status).or_default() += 1;
            }
        }
        counts
    }
}

impl Filter {
    fn takes(&self, state: &State, text: &str) -> bool {
        let stands = match self.standing {
            Standing::All => true,
            Standing::InFlight => state.outcome == Outcome::Pending,
            Standing::Confirmed => state.outcome == Outcome::Confirmed,
            Standing::Cancelled => state.outcome == Outcome::Cancelled,
            Standing::Stalled => state.stalled_since.is_some(),
            Standing::Parked => state.dead_letters_waiting > 0,
        };
        stands
            && self
                .status
                .is_none_or(|status| state.current_status == Some(status))
            && (text.is_empty()
                || state.order_id.to_lowercase().contains(text)
                || state
                    .reason
                    .as_ref()
                    .is_some_and(|reason| reason.to_lowercase().contains(text)))
    }
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::InFlight,
        Self::Confirmed,
        Self::Cancelled,
        Self::Stalled,
        Self::Parked,
    ];

    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::InFlight => "In flight",
            Self::Confirmed => "Confirmed",
            Self::Cancelled => "Cancelled",
            Self::Stalled => "Stalled",
            Self::Parked => "Parked",
        }
    }

    /// In an address.
    pub const fn key(self) -> &'static str {
        match self {
            Self::All => "",
            Self::InFlight => "in-flight",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Stalled => "stalled",
            Self::Parked => "parked",
        }
    }

    /// The query of the read model that gives them.
    pub const fn query(self) -> &'static str {
        match self {
            Self::All => "",
            Self::InFlight => "&outcome=PENDING",
            Self::Confirmed => "&outcome=CONFIRMED",
            Self::Cancelled => "&outcome=CANCELLED",
            Self::Stalled => "&stalled=true",
            Self::Parked => "&parked=true",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn ids(book: &Book, filter: &Filter) -> Vec<String> {
        book.listed(filter)
            .iter()
            .map(|state| state.order_id.clone())
            .collect()
    }

    #[test]
    fn the_latest_update_comes_first_and_an_older_one_changes_nothing() {
        let mut book = Book::default();
        assert!(book.take(state("a", 1, Outcome::Pending)));
        assert!(book.take(state("b", 2, Outcome::Pending)));
        assert!(book.take(state("a", 3, Outcome::Confirmed)));
        assert!(!book.take(state("a", 1, Outcome::Pending)), "older");
        assert!(!book.take(state("a", 3, Outcome::Confirmed)), "told twice");
        assert_eq!(ids(&book, &Filter::default()), ["a", "b"]);
        assert_eq!(book.get("a").unwrap().outcome, Outcome::Confirmed);
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let mut book = Book::default();
        book.take(state("Order-1", 1, Outcome::Pending));
        book.take(State {
            reason: Some("card_declined".into()),
            ..state("x-2", 2, Outcome::Cancelled)
        });
        book.take(State {
            dead_letters_waiting: 1,
            ..state("x-3", 3, Outcome::Pending)
        });
        let with = |standing, text: &str| Filter {
            standing,
            text: text.into(),
            status: None,
        };
        assert_eq!(ids(&book, &with(Standing::All, "ORDER")), ["Order-1"]);
        assert_eq!(ids(&book, &with(Standing::All, "declined")), ["x-2"]);
        assert_eq!(ids(&book, &with(Standing::InFlight, "x")), ["x-3"]);
        assert_eq!(ids(&book, &with(Standing::Parked, "")), ["x-3"]);
        let shipped = Filter {
            status: Some(Status::Shipped),
            ..Filter::default()
        };
        assert!(ids(&book, &shipped).is_empty());
        assert_eq!(book.counts().by_status[&Status::Created], 3);
    }

    #[test]
    fn what_was_updated_longest_ago_is_forgotten() {
        let mut book = Book::default();
        for at in 0..20_005_i64 {
            book.take(state(&at.to_string(), at, Outcome::Pending));
        }
        assert_eq!(book.len(), 20_000);
        assert!(book.get("4").is_none() && book.get("5").is_some());
    }
}
