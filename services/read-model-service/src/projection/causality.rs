//! The order of a timeline: no effect before its cause, even when the clocks of the services are a day apart.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sagaline_contracts::{EventId, Timestamp};
use sagaline_saga::CLOCK_LEAD_MAX;

use super::entry::Entry;

/// Up to so many entries, comparing ids with each other is cheaper than an index.
const LINEAR_MAX: usize = 16;

/// Finds entries by id.
pub(super) enum Finder {
    Linear,
    Indexed(HashMap<EventId, usize, RandomState>),
}

impl Finder {
    pub(super) fn new(entries: &[Entry], expected: usize) -> Self {
        if entries.len() + expected <= LINEAR_MAX {
            return Self::Linear;
        }
        let ids = entries.iter().enumerate().map(|(at, e)| (e.id.clone(), at));
        Self::Indexed(ids.collect())
    }

    pub(super) fn find(&self, entries: &[Entry], id: &EventId) -> Option<usize> {
        match self {
            Self::Linear => entries.iter().position(|entry| entry.id == *id),
            Self::Indexed(index) => index.get(id).copied(),
        }
    }

    pub(super) fn note(&mut self, id: &EventId, at: usize) {
        if let Self::Indexed(index) = self {
            index.insert(id.clone(), at);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    OnPath,
    Placed,
}

/// Gives every entry its effective time and sorts them by it.
///
/// An entry's effective time is its own timestamp, or just after its cause's effective time when its clock was behind
/// that. Ties are broken by the number of causes before it, then by id. Causes that are not in the set, and causes that
/// go round in a circle, do not count.
///
/// A timestamp that no effect of the entry followed is not believed: the services follow a clock that is ahead, but only up to
/// [`CLOCK_LEAD_MAX`]. Such an entry stands just before the earliest of its effects; otherwise all that it caused would stand
/// where its wrong clock says, behind everything else that ever happens to the order.
pub(super) fn arrange(entries: &mut [Entry]) {
    if entries.len() <= LINEAR_MAX && is_arranged(entries) {
        return;
    }
    let finder = Finder::new(entries, 0);
    let causes: Vec<Option<usize>> = entries
        .iter()
        .map(|entry| finder.find(entries, entry.cause.as_ref()?))
        .collect();
    let mut marks = vec![Mark::New; entries.len()];
    // No circles any more, and causes before their effects.
    let mut acyclic = vec![None; entries.len()];
    let mut causes_first = Vec::with_capacity(entries.len());
    let mut path = Vec::new();
    for start in 0..entries.len() {
        let mut next = Some(start);
        while let Some(at) = next.filter(|at| marks[*at] == Mark::New) {
            marks[at] = Mark::OnPath;
            path.push(at);
            next = causes[at];
        }
        // The path has run into itself: from there on it is a circle, and nothing in a circle has a cause.
        let circle = next
            .filter(|at| marks[*at] == Mark::OnPath)
            .and_then(|at| path.iter().position(|other| *other == at))
            .unwrap_or(path.len());
        for (position, at) in path.drain(..).enumerate().rev() {
            acyclic[at] = causes[at].filter(|_| position < circle);
            causes_first.push(at);
            marks[at] = Mark::Placed;
        }
    }
    let believed = believe(entries, &acyclic, &causes_first);
    for at in causes_first {
        let cause = acyclic[at].map(|cause: usize| &entries[cause]);
        let (effective, depth) = place(believed[at], cause);
        entries[at].place(effective, depth);
    }
    entries
        .sort_unstable_by(|a, b| (a.effective, a.depth, &a.id).cmp(&(b.effective, b.depth, &b.id)));
}

/// The times that the entries are believed to be of.
fn believe(entries: &[Entry], causes: &[Option<usize>], causes_first: &[usize]) -> Vec<Timestamp> {
    let mut believed: Vec<Timestamp> = entries.iter().map(|entry| entry.timestamp).collect();
    // The earliest and the latest effect of each, as far as they are believed.
    let mut effects: Vec<Option<(Timestamp, Timestamp)>> = vec![None; entries.len()];
    for at in causes_first.iter().rev() {
        if let Some((earliest, latest)) = effects[*at]
            && is_disbelieved(believed[*at], latest)
        {
            believed[*at] = Timestamp::from_micros(earliest.micros() - 1);
        }
        if let Some(cause) = causes[*at] {
            let own = believed[*at];
            let (earliest, latest) = effects[cause].unwrap_or((own, own));
            effects[cause] = Some((earliest.min(own), latest.max(own)));
        }
    }
    believed
}

/// Whether those who handled what is stamped `stated`, and told of it at `effect` at the latest, cannot have believed it.
fn is_disbelieved(stated: Timestamp, effect: Timestamp) -> bool {
    stated > effect + CLOCK_LEAD_MAX
}

/// Whether everything stands in its place already, as nearly always: events mostly come in order. Gives every entry its
/// effective time on the way.
fn is_arranged(entries: &mut [Entry]) -> bool {
    for at in 0..entries.len() {
        let (before, rest) = entries.split_at_mut(at);
        let Some((entry, after)) = rest.split_first_mut() else {
            return true;
        };
        let is_cause = |other: &&Entry| Some(&other.id) == entry.cause.as_ref();
        let cause = before.iter().rev().find(is_cause);
        if cause.is_none() && entry.cause.is_some() {
            let is_later =
                entry.cause.as_ref() == Some(&entry.id) || after.iter().any(|e| is_cause(&e));
            if is_later {
                return false;
            }
        }
        if cause.is_some_and(|cause| is_disbelieved(cause.timestamp, entry.timestamp)) {
            return false;
        }
        let (effective, depth) = place(entry.timestamp, cause);
        entry.place(effective, depth);
        let key = |entry: &Entry| (entry.effective, entry.depth);
        if before
            .last()
            .is_some_and(|last| (key(last), &last.id) > (key(entry), &entry.id))
        {
            return false;
        }
    }
    true
}

fn place(own: Timestamp, cause: Option<&Entry>) -> (Timestamp, u32) {
    match cause {
        None => (own, 0),
        Some(cause) => (own.max(cause.effective.next()), cause.depth + 1),
    }
}
