//! The rows that can be seen. There are as many elements as fit on the screen and no more are ever made: one that is scrolled out
//! at one end comes in again at the other and shows another order. Making them anew costs several times as much as all the rest.

use std::collections::VecDeque;
use std::sync::Arc;

use dashboard_model::{Tone, duration, label, outcome_label, outcome_tone, status_tone};
use leptos::prelude::*;
use sagaline_views::State;

use crate::browser;
use crate::parts::{Ago, Pill};

use super::{Orders, ROWS_MAX};

/// Elements in the order in which they are seen.
struct Rows {
    lines: Vec<Line>,
    order: VecDeque<usize>,
    first: usize,
}

/// One element, and what it shows: an order, and where that stands in the list.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Which of them it is.
    pub(super) at: usize,
    node: NodeRef<leptos::html::Div>,
    shown: RwSignal<Option<(usize, Arc<State>)>>,
}

impl Rows {
    fn new() -> Self {
        let line = |at| Line {
            at,
            node: NodeRef::new(),
            shown: RwSignal::new(None),
        };
        Self {
            lines: (0..ROWS_MAX).map(line).collect(),
            order: VecDeque::new(),
            first: 0,
        }
    }

    /// Shows these rows, of which the first has this place in the list.
    fn show(&mut self, first: usize, states: Vec<Arc<State>>) {
        if self.order.len() == states.len() {
            self.turn(first);
        } else {
            // As the elements stand in the page: those that are left stay where they are, new ones come at the end.
            self.order.retain(|line| *line < states.len());
            let left = self.order.len();
            self.order.extend(left..states.len());
        }
        self.first = first;
        for (at, (line, state)) in self.order.iter().zip(states).enumerate() {
            if let Some(line) = self.lines.get(*line) {
                line.show(first + at, state);
            }
        }
    }

    /// Moves elements that are scrolled out at one end to the other, so that all others may stay as they are.
    fn turn(&mut self, first: usize) {
        let by = first.abs_diff(self.first);
        if by == 0 || by >= self.order.len() {
            return;
        }
        for _ in 0..by {
            if first > self.first {
                let (Some(line), Some(last)) = (self.order.pop_front(), self.order.back()) else {
                    return;
                };
                self.put(line, *last, |last| last.next_sibling());
                self.order.push_back(line);
            } else {
                let (Some(line), Some(next)) = (self.order.pop_back(), self.order.front()) else {
                    return;
                };
                self.put(line, *next, |next| Some(next.into()));
                self.order.push_front(line);
            }
        }
    }

    /// Puts an element before what is found from another one.
    fn put(
        &self,
        line: usize,
        other: usize,
        find: impl Fn(web_sys::HtmlDivElement) -> Option<web_sys::Node>,
    ) {
        let node = |at: usize| self.lines.get(at)?.node.get_untracked();
        if let (Some(line), Some(other)) = (node(line), node(other))
            && let Some(parent) = other.parent_node()
        {
            // It fails when the view is being taken away.
            let _ = parent.insert_before(&line, find(other).as_ref());
        }
    }
}

impl Line {
    fn show(self, at: usize, state: Arc<State>) {
        let before = self.shown.with_untracked(|shown| {
            let (place, before) = shown.as_ref()?;
            Some((
                *place == at && (Arc::ptr_eq(before, &state) || *before == state),
                before.order_id == state.order_id,
            ))
        });
        if let Some((is_same, is_same_order)) = before {
            if is_same {
                return;
            }
            if !is_same_order {
                self.let_go();
            }
        }
        self.shown.set(Some((at, state)));
    }

    /// Who had the order in focus that was shown here does not have another one in focus now.
    fn let_go(self) {
        if let Some(node) = self.node.get_untracked() {
            browser::blur_within(&node);
        }
    }

    fn with<T>(self, tell: impl Fn(&State) -> T) -> Option<T> {
        self.shown
            .with(|shown| shown.as_ref().map(|(_, state)| tell(state)))
    }
}

/// Keeps the elements showing what is to be seen; gives those that are in use.
pub(super) fn use_lines(orders: Orders) -> Signal<Vec<Line>> {
    let mut rows = Rows::new();
    let lines = rows.lines.clone();
    let count = RwSignal::new(0);
    let mut show = move |first, states: Vec<Arc<State>>| {
        if count.get_untracked() != states.len() {
            count.set(states.len());
        }
        rows.show(first, states);
    };
    Effect::new(move |_| {
        orders.drawn.track();
        let (first, wanted) = orders.window();
        let states = orders
            .listing
            .with_value(|listing| listing.rows(first..first + wanted));
        show(first, states);
    });
    Signal::derive(move || lines.get(..count.get()).unwrap_or_default().to_vec())
}

#[component]
pub(super) fn OrderRow(line: Line) -> impl IntoView {
    let index = move || {
        let place = line.shown.with(|shown| shown.as_ref().map(|it| it.0));
        place.map(|place| (place + 1).to_string())
    };
    let id = move || line.with(|state| state.order_id.clone());
    let href = move || {
        let encoded = |state: &State| String::from(js_sys::encode_uri_component(&state.order_id));
        line.with(encoded).map(|id| format!("/orders/{id}"))
    };
    let attempt = move || {
        line.with(|state| (state.attempt > 1).then(|| format!("attempt {}", state.attempt)))
            .flatten()
    };
    let status = move || line.with(|state| state.current_status).flatten();
    let status_class = move || {
        let tone = status().map_or(Tone::Plain, status_tone);
        format!("pill {}", tone.class())
    };
    let outcome = move || line.with(|state| state.outcome).unwrap_or_default();
    let outcome_class = move || format!("pill {}", outcome_tone(outcome()).class());
    let is_stalled = move || line.with(|state| state.stalled_since.is_some()) == Some(true);
    let is_parked = move || line.with(|state| state.dead_letters_waiting > 0) == Some(true);
    let reason = move || {
        line.with(|state| state.reason.as_ref().map(|reason| reason.replace('_', " ")))
            .flatten()
    };
    let total = move || {
        line.with(|state| state.total.map(|total| total.to_string()))
            .flatten()
    };
    let took = move || {
        let ended = |state: &State| Some(duration(state.ended_at?.ms_since(state.created_at)));
        line.with(ended).flatten()
    };
    let updated = move || line.with(|state| state.updated_at).unwrap_or_default();
    view! {
        <div class="row" role="row" aria-rowindex=index node_ref=line.node>
            <span role="cell" class="id"><a href=href>{id}</a><span class="note">{attempt}</span></span>
            <span role="cell"><span class=status_class>{move || status().map_or("Unknown", label)}</span></span>
            <span role="cell" class="flags">
                <span class=outcome_class>{move || outcome_label(outcome())}</span>
                <Show when=is_stalled><Pill tone=Tone::Waiting text="Stalled"/></Show>
                <Show when=is_parked><Pill tone=Tone::Waiting text="Parked"/></Show>
                <span class="note">{reason}</span>
            </span>
            <span role="cell" class="number">{total}</span>
            <span role="cell" class="number">{took}</span>
            <span role="cell" class="number"><Ago at=Signal::derive(updated)/></span>
        </div>
    }
}

/// Whether a row has the focus.
pub(super) fn is_row_focused() -> bool {
    document().active_element().is_some_and(|element| {
        element
            .closest("#order-rows .row")
            .is_ok_and(|row| row.is_some())
    })
}
