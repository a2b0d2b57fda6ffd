//! Every order, live: told by the feed, drawn a few times a second, a bounded number in a frame, and only those rows that can be
//! seen.

mod filters;
mod list;
mod row;

use std::time::Duration;

use dashboard_model::{Filter, Listing, Next};
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::{Feed, Order};

use crate::api::{self, READ_MODEL};
use crate::live::{Link, Stream};
use crate::parts::LinkState;
use crate::places::{Places, use_places};
use crate::stats::use_stats;

use filters::{Filters, Search, use_filter, wire_name};
use list::List;
use row::is_row_focused;

const ROW_HEIGHT: f64 = 40.0;
/// Rows that are drawn beyond the edge, so that scrolling finds them there.
const SPARE_ROWS: usize = 4;
/// Rows that are drawn at most, on however high a screen.
const ROWS_MAX: usize = 100;
/// So long after it was drawn it is drawn again: what changes in between is drawn together.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Orders that are taken in one frame; the others wait for the next one.
const TAKEN_IN_A_FRAME: usize = 250;
/// Pages that are asked for by themselves until the screen is full. A page of a filtered list may be short, or empty.
const PAGES_MAX: usize = 20;
/// How long it takes until somebody who writes has written.
const WRITTEN_AFTER: Duration = Duration::from_millis(200);

/// What the view works on.
#[derive(Clone, Copy)]
struct Orders {
    listing: StoredValue<Listing, LocalStorage>,
    filter: Memo<Filter>,
    /// Changes whenever rows may have to be drawn anew.
    drawn: RwSignal<u64>,
    drawn_at_ms: StoredValue<f64>,
    /// Something was told, and will be drawn.
    is_due: StoredValue<bool>,
    len: RwSignal<usize>,
    /// While somebody has scrolled down, points at a row or has it in focus, rows stay where they are: so many have changed since.
    held_back: RwSignal<usize>,
    still_until_ms: StoredValue<f64>,
    scrolled: RwSignal<f64>,
    height: RwSignal<f64>,
    /// There may be older orders than those that were read.
    has_more: RwSignal<bool>,
    /// And the list has no room for them.
    is_full: RwSignal<bool>,
    /// Pages asked for since somebody wanted something.
    pages: StoredValue<usize>,
    loading: StoredValue<bool>,
    /// Nobody told what happened for a while: what is known is to be read anew.
    is_doubtful: StoredValue<bool>,
    /// Nothing more is on its way for what is looked for.
    is_settled: RwSignal<bool>,
    failure: RwSignal<Option<String>>,
}

impl Orders {
    fn new(filter: Memo<Filter>) -> Self {
        Self {
            listing: StoredValue::new_local(Listing::default()),
            filter,
            drawn: RwSignal::new(0),
            drawn_at_ms: StoredValue::new(0.0),
            is_due: StoredValue::new(false),
            len: RwSignal::new(0),
            held_back: RwSignal::new(0),
            still_until_ms: StoredValue::new(0.0),
            scrolled: RwSignal::new(0.0),
            height: RwSignal::new(900.0),
            has_more: RwSignal::new(false),
            is_full: RwSignal::new(false),
            pages: StoredValue::new(0),
            loading: StoredValue::new(false),
            is_doubtful: StoredValue::new(false),
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
        self.scrolled.get_untracked() >= ROW_HEIGHT || self.is_kept_still()
    }

    fn is_kept_still(self) -> bool {
        js_sys::Date::now() < self.still_until_ms.get_value() || is_row_focused()
    }

    /// Draws what was told with the next frame, unless that was done just now.
    fn draw_soon(self) {
        if self.is_due.get_value() {
            return;
        }
        self.is_due.set_value(true);
        let since_ms = js_sys::Date::now() - self.drawn_at_ms.get_value();
        // A clock that was set back makes nobody wait longer.
        let wait = Duration::try_from_secs_f64(since_ms / 1_000.0)
            .map_or(Duration::ZERO, |since| DRAW_EVERY.saturating_sub(since));
        set_timeout(
            move || request_animation_frame(move || self.draw_some()),
            wait,
        );
    }

    /// Takes what was told, as many as fit into a frame, and draws it. The view may be gone by then.
    fn draw_some(self) {
        let Some(is_more) = self.take(TAKEN_IN_A_FRAME) else {
            return;
        };
        self.drawn_at_ms.set_value(js_sys::Date::now());
        self.is_due.set_value(is_more);
        if is_more {
            request_animation_frame(move || self.draw_some());
        }
    }

    /// Takes at most so many of the orders that were told and draws; says whether there are more.
    fn take(self, max: usize) -> Option<bool> {
        let is_held = self.scrolled.try_get_untracked()? >= ROW_HEIGHT || self.is_kept_still();
        let is_more = self.listing.try_update_value(|listing| {
            if is_held {
                listing.hold();
            } else {
                listing.release();
            }
            listing.take(max)
        })?;
        self.show();
        Some(is_more)
    }

    /// Draws all that is known now.
    fn draw(self) {
        self.take(usize::MAX);
    }

    /// Draws the latest first, whoever reads.
    fn draw_anew(self) {
        self.listing.update_value(|listing| {
            listing.release();
            listing.take(usize::MAX);
        });
        self.show();
    }

    fn show(self) {
        let (len, newer, has_more) = self
            .listing
            .with_value(|listing| (listing.len(), listing.newer(), listing.has_more()));
        let is_full = self.listing.with_value(Listing::is_full);
        if self.is_full.get_untracked() != is_full {
            self.is_full.set(is_full);
        }
        if self.len.get_untracked() != len {
            self.len.set(len);
        }
        if self.held_back.get_untracked() != newer {
            self.held_back.set(newer);
        }
        if self.has_more.get_untracked() != has_more {
            self.has_more.set(has_more);
        }
        self.drawn.update(|drawn| *drawn += 1);
    }

    /// Somebody looks for something else.
    fn begin(self, was_written: bool) {
        self.scrolled.set(0.0);
        self.pages.set_value(0);
        self.is_settled.set(false);
        let filter = self.filter.get_untracked();
        self.listing
            .update_value(|listing| listing.look_for(&filter));
        self.draw_anew();
        if !was_written {
            return self.load(true);
        }
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
                    .listing
                    .try_update_value(|listing| listing.tell(order.into_state()))
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

    /// Somebody has scrolled to the end of what has been read.
    fn read_on(self) {
        self.pages.set_value(0);
        self.load(false);
    }

    /// Nobody has told what happened for a while.
    fn read_anew(self) {
        self.listing.update_value(Listing::doubt);
        self.is_doubtful.set_value(true);
        self.pages.set_value(0);
        self.load(true);
    }

    /// Loads a page: the first, or the one after the last. One at a time.
    fn load(self, is_first: bool) {
        if self.loading.get_value() {
            return;
        }
        let is_anew = self.is_doubtful.get_value();
        let filter = if is_anew {
            Filter::default()
        } else {
            self.filter.get_untracked()
        };
        let next = match self.listing.with_value(|listing| listing.next().cloned()) {
            _ if is_first || is_anew => Next::Top,
            Some(next) => next,
            None => return,
        };
        let is_first = next == Next::Top;
        let url = match next {
            Next::Top => first_page(&filter),
            Next::Link(link) => link,
            Next::Before(at) => format!("{}&before={at}", first_page(&filter)),
            Next::End => return,
        };
        self.loading.set_value(true);
        self.is_doubtful.set_value(false);
        spawn_local(async move {
            let page =
                api::get_as::<Vec<Order>>(&format!("{READ_MODEL}{url}"), api::Sender::default())
                    .await;
            if self.loading.try_set_value(false).is_some() {
                return;
            }
            // What was asked for before somebody looked for something else, or before the connection was lost, is of no interest.
            let is_another = !is_anew && self.filter.get_untracked() != filter;
            if is_another || self.is_doubtful.get_value() {
                return self.load(true);
            }
            match page {
                Ok(page) => self.take_page(page, is_first, is_anew),
                Err(failure) => {
                    self.is_doubtful.set_value(is_anew);
                    self.failure.set(Some(failure.what));
                    self.is_settled.set(true);
                }
            }
        });
    }

    fn take_page(self, page: api::Page<Vec<Order>>, is_first: bool, is_anew: bool) {
        self.failure.set(None);
        let states = page.items.into_iter().map(Order::into_state).collect();
        self.listing.update_value(|listing| {
            if is_anew {
                listing.read_anew(states, page.next);
            } else {
                listing.read(states, page.next);
            }
        });
        let before = self.len.get_untracked();
        self.draw();
        if is_anew
            && self
                .filter
                .with_untracked(|filter| *filter != Filter::default())
        {
            return self.load(true);
        }
        self.fill(is_first || before < self.len.get_untracked());
    }

    /// Goes on until the screen is full, and until there is something that was not known before.
    fn fill(self, is_more: bool) {
        let pages = self.pages.get_value() + 1;
        self.pages.set_value(pages);
        let wanted = rows(self.height.get_untracked()) + SPARE_ROWS;
        let is_short = self.len.get_untracked() < wanted;
        if (is_short || !is_more) && self.has_more.get_untracked() && pages < PAGES_MAX {
            self.load(false);
        } else {
            self.is_settled.set(true);
        }
    }

    /// The first row that is drawn, and how many there are: always as many as fit, so that rows need not be made anew.
    fn window(self) -> (usize, usize) {
        let len = self.len.get();
        let fit = rows(self.height.get()) + 1 + 2 * SPARE_ROWS;
        let count = fit.min(ROWS_MAX).min(len);
        let first = rows(self.scrolled.get()).saturating_sub(SPARE_ROWS);
        (first.min(len - count), count)
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
    let on_data = move |data: &str| {
        let Ok(states) = serde_json::from_str::<Feed>(data) else {
            return;
        };
        orders.listing.try_update_value(|listing| {
            for state in states {
                listing.tell(state);
            }
        });
        orders.draw_soon();
    };
    // First listened, then asked: what changes in between is known twice, and shown once.
    let stream = StoredValue::new_local(Some(Stream::open(
        format!("{READ_MODEL}/orders/stream?batch=true&pace=slow"),
        set_link,
        on_data,
    )));
    let places = use_places();
    on_cleanup(move || {
        drop(stream.try_update_value(Option::take));
        // For the order that is looked at next: what is before and behind it.
        let ids = orders.listing.try_with_value(|listing| {
            let rows = listing.rows(0..listing.len().min(Places::KEPT_MAX));
            rows.iter().map(|state| state.order_id.clone()).collect()
        });
        places.keep(ids.unwrap_or_default());
    });
    Effect::new(move |before: Option<Filter>| {
        let now = filter.get();
        let was_written = before.is_some_and(|before| before.text != now.text);
        orders.begin(was_written);
        now
    });
    // After a lost connection the feed tells the latest again, but not for ever back: the list is read again as well, and what nobody
    // tells again is forgotten if that does not go back far enough.
    Effect::new(move |was_away: Option<bool>| match link.get() {
        Link::Lost | Link::Resting => true,
        Link::Connecting => was_away.unwrap_or(false),
        Link::Live => {
            if was_away == Some(true) {
                orders.read_anew();
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
