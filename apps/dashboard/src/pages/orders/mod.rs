//! Every order, live: told by the feed, drawn a few times a second, and only those rows that can be seen.

mod filters;
mod list;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dashboard_model::{Book, Filter};
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::{Feed, Order, State};

use crate::api::{self, READ_MODEL};
use crate::live::{Link, Stream};
use crate::parts::LinkState;
use crate::places::use_places;
use crate::stats::use_stats;

use filters::{Filters, Search, use_filter, wire_name};
use list::{List, is_row_focused};

const ROW_HEIGHT: f64 = 40.0;
/// Rows that are drawn beyond the edge, so that scrolling finds them there.
const SPARE_ROWS: usize = 8;
/// How long changes are collected before they are drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Pages that are asked for by themselves until the screen is full. A page of a filtered list may be short, or empty.
const PAGES_MAX: usize = 20;
/// How long it takes until somebody who writes has written.
const WRITTEN_AFTER: Duration = Duration::from_millis(200);

/// What the view works on.
#[derive(Clone, Copy)]
struct Orders {
    book: StoredValue<Book, LocalStorage>,
    filter: Memo<Filter>,
    listed: RwSignal<Vec<Arc<State>>>,
    /// While somebody has scrolled down, points at a row or has it in focus, rows stay where they are: so many have changed since.
    held_back: RwSignal<usize>,
    still_until_ms: StoredValue<f64>,
    scrolled: RwSignal<f64>,
    height: RwSignal<f64>,
    next: RwSignal<Option<String>>,
    /// Pages asked for since somebody wanted something.
    pages: StoredValue<usize>,
    loading: StoredValue<bool>,
    /// Nothing more is on its way for what is looked for.
    is_settled: RwSignal<bool>,
    failure: RwSignal<Option<String>>,
}

impl Orders {
    fn new(filter: Memo<Filter>) -> Self {
        Self {
            book: StoredValue::new_local(Book::default()),
            filter,
            listed: RwSignal::new(Vec::new()),
            held_back: RwSignal::new(0),
            still_until_ms: StoredValue::new(0.0),
            scrolled: RwSignal::new(0.0),
            height: RwSignal::new(900.0),
            next: RwSignal::new(None),
            pages: StoredValue::new(0),
            loading: StoredValue::new(false),
            is_settled: RwSignal::new(false),
            failure: RwSignal::new(None),
        }
    }

    /// Rows stay where they are for so long.
    fn keep_still(self, span: Duration) {
        self.still_until_ms
            .set_value(js_sys::Date::now() + span.as_secs_f64() * 1_000.0);
    }

    fn is_held(self) -> bool {
        self.scrolled.get_untracked() >= ROW_HEIGHT
            || js_sys::Date::now() < self.still_until_ms.get_value()
            || is_row_focused()
    }

    /// Draws what is known now.
    fn draw(self) {
        if !self.is_held() || self.listed.with_untracked(Vec::is_empty) {
            return self.draw_anew();
        }
        // Somebody reads: rows keep their places and show how their orders stand now; older ones are added at the end.
        let filter = self.filter.get_untracked();
        let listed = self.book.with_value(|book| book.listed(&filter));
        let before = self.listed.get_untracked();
        let places: std::collections::HashSet<&str> =
            before.iter().map(|state| state.order_id.as_str()).collect();
        let oldest = before.last().map(|state| state.updated_at);
        let (newer, older): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .filter(|state| !places.contains(state.order_id.as_str()))
            .partition(|state| Some(state.updated_at) > oldest);
        self.held_back.set(newer.len());
        let kept = self.book.with_value(|book| {
            before
                .iter()
                .map(|state| book.get(&state.order_id).unwrap_or(state).clone())
                .collect::<Vec<_>>()
        });
        self.listed.set(kept.into_iter().chain(older).collect());
    }

    /// Draws the latest first, whoever reads.
    fn draw_anew(self) {
        let filter = self.filter.get_untracked();
        self.held_back.set(0);
        self.listed
            .set(self.book.with_value(|book| book.listed(&filter)));
    }

    /// Somebody looks for something else.
    fn begin(self, was_written: bool) {
        self.scrolled.set(0.0);
        self.next.set(None);
        self.pages.set_value(0);
        self.is_settled.set(false);
        self.draw_anew();
        if !was_written {
            return self.load(true);
        }
        let filter = self.filter.get_untracked();
        set_timeout(
            move || {
                if self.filter.try_get_untracked().as_ref() == Some(&filter) {
                    self.load(true);
                    self.look_up(filter);
                }
            },
            WRITTEN_AFTER,
        );
    }

    /// What was written may be an order's id, however long ago it was placed.
    fn look_up(self, filter: Filter) {
        let id = filter.text.trim().to_owned();
        if id.is_empty() {
            return;
        }
        spawn_local(async move {
            let url = format!("{READ_MODEL}/orders/{}", js_sys::encode_uri_component(&id));
            // No order has this id, which is nothing to complain about.
            if let Ok(order) = api::get::<Order>(&url).await
                && self
                    .book
                    .try_update_value(|book| book.take(order.into_state()))
                    .is_some()
            {
                self.draw();
            }
        });
    }

    /// Looks at older orders than those that were looked at by themselves.
    fn search_on(self) {
        self.pages.set_value(0);
        self.is_settled.set(false);
        self.load(false);
    }

    /// Loads a page: the first, or the one after the last. One at a time; what is asked for meanwhile follows.
    fn load(self, is_first: bool) {
        if self.loading.get_value() {
            return;
        }
        let filter = self.filter.get_untracked();
        let url = match (is_first, self.next.get_untracked()) {
            (true, _) => first_page(&filter),
            (false, Some(next)) => next,
            (false, None) => return,
        };
        self.loading.set_value(true);
        spawn_local(async move {
            let page =
                api::get_as::<Vec<Order>>(&format!("{READ_MODEL}{url}"), api::Sender::default())
                    .await;
            if self.loading.try_set_value(false).is_some() {
                return;
            }
            // Asked for before somebody looked for something else: neither the answer nor a failure is of interest.
            if self.filter.get_untracked() != filter {
                return self.load(true);
            }
            match page {
                Ok(page) => {
                    self.failure.set(None);
                    self.book.update_value(|book| {
                        for order in page.items {
                            book.take(order.into_state());
                        }
                    });
                    self.next.set(page.next);
                    self.draw();
                    self.fill();
                }
                Err(failure) => {
                    self.failure.set(Some(failure.what));
                    self.is_settled.set(true);
                }
            }
        });
    }

    /// Goes on until the screen is full.
    fn fill(self) {
        let pages = self.pages.get_value() + 1;
        self.pages.set_value(pages);
        let wanted = rows(self.height.get_untracked()) + SPARE_ROWS;
        let is_short = self.listed.with_untracked(Vec::len) < wanted;
        if is_short && self.next.with_untracked(Option::is_some) && pages < PAGES_MAX {
            self.load(false);
        } else {
            self.is_settled.set(true);
        }
    }

    fn latest(self, id: &str) -> Option<Arc<State>> {
        self.book
            .try_with_value(|book| book.get(id).cloned())
            .flatten()
    }

    /// The first and the last row that are drawn.
    fn window(self) -> (usize, usize) {
        let first = rows(self.scrolled.get()).saturating_sub(SPARE_ROWS);
        let last = rows(self.scrolled.get() + self.height.get()) + SPARE_ROWS;
        let len = self.listed.with(Vec::len);
        (first.min(len), last.min(len))
    }

    /// Where an order that is drawn stands in the whole list.
    fn row_of(self, id: &str) -> Option<usize> {
        let (first, last) = self.window();
        self.listed.with(|listed| {
            let drawn = listed.get(first..last)?;
            let at = drawn.iter().position(|state| state.order_id == id)?;
            Some(first + at)
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rows of a list; a float saturates"
)]
fn rows(pixels: f64) -> usize {
    (pixels / ROW_HEIGHT).max(0.0) as usize
}

fn first_page(filter: &Filter) -> String {
    let status = filter
        .status
        .map(|status| format!("&status={}", wire_name(status)))
        .unwrap_or_default();
    let text = match filter.text.trim() {
        "" => String::new(),
        text => format!("&q={}", js_sys::encode_uri_component(text)),
    };
    format!("/orders?limit=100{}{status}{text}", filter.standing.query())
}

#[component]
pub(crate) fn Orders() -> impl IntoView {
    let filter = use_filter();
    let orders = Orders::new(filter);
    let (link, set_link) = signal(Link::Connecting);
    let is_due = Rc::new(Cell::new(false));
    let on_data = move |data: &str| {
        let Ok(states) = serde_json::from_str::<Feed>(data) else {
            return;
        };
        let mut changed = false;
        orders.book.try_update_value(|book| {
            for state in states {
                changed |= book.take(state);
            }
        });
        if changed && !is_due.replace(true) {
            let is_due = Rc::clone(&is_due);
            set_timeout(
                move || {
                    is_due.set(false);
                    if !orders.book.is_disposed() {
                        orders.draw();
                    }
                },
                DRAW_EVERY,
            );
        }
    };
    // First listened, then asked: what changes in between is known twice, and shown once.
    let stream = StoredValue::new_local(Some(Stream::open(
        format!("{READ_MODEL}/orders/stream?batch=true"),
        set_link,
        on_data,
    )));
    let places = use_places();
    on_cleanup(move || {
        drop(stream.try_update_value(Option::take));
        // For the order that is looked at next: what is before and behind it.
        let ids = orders.listed.try_with_untracked(|listed| {
            listed.iter().map(|state| state.order_id.clone()).collect()
        });
        places.keep(ids.unwrap_or_default());
    });
    Effect::new(move |before: Option<Filter>| {
        let now = filter.get();
        let was_written = before.is_some_and(|before| before.text != now.text);
        orders.begin(was_written);
        now
    });
    // After a lost connection the feed tells the latest again, but not for ever back: the list is read again as well.
    Effect::new(move |was_away: Option<bool>| match link.get() {
        Link::Lost | Link::Resting => true,
        Link::Connecting => was_away.unwrap_or(false),
        Link::Live => {
            if was_away == Some(true) {
                orders.load(true);
            }
            false
        }
    });
    // Nobody holds the rows any more, and nothing has happened since.
    let stats = use_stats();
    Effect::new(move |_| {
        stats.now.track();
        if 0 < orders.held_back.get_untracked() && !orders.is_held() {
            orders.draw_anew();
        }
    });
    view! {
        <section class="orders">
            <header class="title">
                <h1>"Orders"</h1>
                <LinkState link/>
                <Search filter/>
            </header>
            <Filters filter/>
            <List orders/>
        </section>
    }
}
