//! Every order, live: told by the feed, drawn a few times a second, and only those rows that can be seen.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dashboard_model::{Book, Filter, Standing, Tone, count, duration, exact, label};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_query_map};
use sagaline_views::{Feed, Order, Outcome, State, Status};
use wasm_bindgen::JsCast;

use crate::api::{self, READ_MODEL};
use crate::browser;
use crate::live::{Link, Stream};
use crate::parts::{Ago, Failed, LinkState, Loading, OutcomePill, Pill, StatusPill};
use crate::stats::use_stats;

const ROW_HEIGHT: f64 = 40.0;
/// Rows that are drawn beyond the edge, so that scrolling finds them there.
const SPARE_ROWS: usize = 8;
/// How long changes are collected before they are drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

const STATUSES: [Status; 8] = [
    Status::Created,
    Status::InventoryReserved,
    Status::InventoryFailed,
    Status::PaymentAuthorized,
    Status::PaymentFailed,
    Status::Shipped,
    Status::ShippingFailed,
    Status::Refunded,
];

fn wire_name(status: Status) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What the view works on.
#[derive(Clone, Copy)]
struct Orders {
    book: StoredValue<Book, LocalStorage>,
    filter: Memo<Filter>,
    listed: RwSignal<Vec<Arc<State>>>,
    /// While somebody has scrolled down, rows stay where they are: so many have changed since.
    held_back: RwSignal<usize>,
    scrolled: RwSignal<f64>,
    height: RwSignal<f64>,
    next: RwSignal<Option<String>>,
    loading: RwSignal<bool>,
    failure: RwSignal<Option<String>>,
}

impl Orders {
    /// Draws what is known now.
    fn draw(self) {
        let filter = self.filter.get_untracked();
        let listed = self.book.with_value(|book| book.listed(&filter));
        if self.scrolled.get_untracked() < ROW_HEIGHT || self.listed.with_untracked(Vec::is_empty) {
            self.held_back.set(0);
            self.listed.set(listed);
            return;
        }
        // Somebody reads: rows keep their places and show how their orders stand now; older ones are added at the end.
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

    /// Loads a page: the first, or the one after the last.
    fn load(self, is_first: bool) {
        if self.loading.get_untracked() {
            return;
        }
        let filter = self.filter.get_untracked();
        let status = filter
            .status
            .map(|status| format!("&status={}", wire_name(status)))
            .unwrap_or_default();
        let url = match (is_first, self.next.get_untracked()) {
            (true, _) => format!("/orders?limit=100{}{status}", filter.standing.query()),
            (false, Some(next)) => next,
            (false, None) => return,
        };
        self.loading.set(true);
        spawn_local(async move {
            let page =
                api::get_as::<Vec<Order>>(&format!("{READ_MODEL}{url}"), api::Sender::default())
                    .await;
            if self.loading.try_set(false).is_some() {
                return;
            }
            match page {
                // Asked for before somebody looked for something else.
                Ok(_) if self.filter.get_untracked() != filter => self.load(true),
                Ok(page) => {
                    self.failure.set(None);
                    self.book.update_value(|book| {
                        for order in page.items {
                            book.take(order.into_state());
                        }
                    });
                    self.next.set(page.next);
                    self.draw();
                }
                Err(failure) => self.failure.set(Some(failure.what)),
            }
        });
    }

    fn window(self) -> (usize, usize) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rows of a list; a float saturates"
        )]
        let row = |pixels: f64| (pixels / ROW_HEIGHT).max(0.0) as usize;
        let first = row(self.scrolled.get()).saturating_sub(SPARE_ROWS);
        let last = row(self.scrolled.get() + self.height.get()) + SPARE_ROWS;
        let len = self.listed.with(Vec::len);
        (first.min(len), last.min(len))
    }
}

#[component]
pub(crate) fn Orders() -> impl IntoView {
    let query = use_query_map();
    let filter = Memo::new(move |_| {
        query.with(|query| Filter {
            status: query.get_str("status").and_then(|name| {
                STATUSES
                    .into_iter()
                    .find(|status| wire_name(*status) == name)
            }),
            standing: query
                .get_str("show")
                .and_then(|key| {
                    Standing::ALL
                        .into_iter()
                        .find(|standing| standing.key() == key)
                })
                .unwrap_or_default(),
            text: query.get_str("q").unwrap_or_default().to_owned(),
        })
    });
    let orders = Orders {
        book: StoredValue::new_local(Book::default()),
        filter,
        listed: RwSignal::new(Vec::new()),
        held_back: RwSignal::new(0),
        scrolled: RwSignal::new(0.0),
        height: RwSignal::new(900.0),
        next: RwSignal::new(None),
        loading: RwSignal::new(false),
        failure: RwSignal::new(None),
    };
    let (link, set_link) = signal(Link::Connecting);
    let stream = StoredValue::new_local(None::<Stream>);
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
    stream.set_value(Some(Stream::open(
        format!("{READ_MODEL}/orders/stream?batch=true"),
        set_link,
        on_data,
    )));
    Effect::new(move |_| {
        filter.track();
        orders.scrolled.set(0.0);
        orders.draw();
        orders.load(true);
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

#[component]
fn Search(filter: Memo<Filter>) -> impl IntoView {
    let go = go(filter);
    view! {
        <input type="search" id="search" placeholder="Find by id or reason  ( / )" aria-label="Find orders by id or reason" autocomplete="off"
            prop:value=move || filter.with(|filter| filter.text.clone())
            on:input=move |event| go(Filter { text: event_target_value(&event), ..filter.get_untracked() })/>
    }
}

/// Shows what is looked for: it stands in the address, so it can be shared, and back works.
fn go(_: Memo<Filter>) -> impl Fn(Filter) + Clone {
    let navigate = use_navigate();
    move |filter: Filter| {
        let options = leptos_router::NavigateOptions {
            replace: true,
            scroll: false,
            ..Default::default()
        };
        navigate(&address(&filter), options);
    }
}

fn address(filter: &Filter) -> String {
    let status = filter.status.map(wire_name).unwrap_or_default();
    let text = String::from(js_sys::encode_uri_component(&filter.text));
    let pairs = [
        ("show", filter.standing.key().to_owned()),
        ("status", status),
        ("q", text),
    ];
    let query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if query.is_empty() {
        "/orders".to_owned()
    } else {
        format!("/orders?{}", query.join("&"))
    }
}

#[component]
fn Filters(filter: Memo<Filter>) -> impl IntoView {
    let stats = use_stats();
    let of_standing = move |standing: Standing| {
        stats.latest.with(|stats| {
            let stats = stats.as_ref()?;
            let outcome = |name: &str| stats.by_outcome.get(name).copied();
            match standing {
                Standing::All => Some(stats.total),
                Standing::InFlight => Some(stats.in_flight),
                Standing::Confirmed => outcome("CONFIRMED"),
                Standing::Cancelled => outcome("CANCELLED"),
                Standing::Stalled => Some(stats.stalled),
                Standing::Parked => None,
            }
        })
    };
    let of_status = move |status: Status| {
        stats
            .latest
            .with(|stats| stats.as_ref()?.by_status.get(&wire_name(status)).copied())
    };
    let status_go = go(filter);
    view! {
        <div class="filters">
            <div class="segments" role="group" aria-label="Show">
                {Standing::ALL.map(|standing| {
                    let to = move || address(&Filter { standing, ..filter.get() });
                    let is_here = move || filter.with(|filter| filter.standing == standing);
                    view! {
                        <A href=to attr:class=move || if is_here() { "segment here" } else { "segment" }
                            attr:aria-current=move || if is_here() { "true" } else { "false" }>
                            {standing.label()}
                            <Show when=move || of_standing(standing).is_some()>
                                <span class="n">{move || of_standing(standing).map(count)}</span>
                            </Show>
                        </A>
                    }
                }).collect_view()}
            </div>
            <label class="choice">
                <span>"Status"</span>
                <select id="status" on:change=move |event| {
                    let chosen = event_target_value(&event);
                    let status = STATUSES.into_iter().find(|status| wire_name(*status) == chosen);
                    status_go(Filter { status, ..filter.get_untracked() });
                }>
                    <option value="">"Any"</option>
                    {STATUSES.map(|status| view! {
                        <option value=wire_name(status) selected=move || filter.with(|filter| filter.status == Some(status))>
                            {move || format!("{}  {}", label(status), of_status(status).map(count).unwrap_or_default())}
                        </option>
                    }).collect_view()}
                </select>
            </label>
        </div>
    }
}

#[component]
fn List(orders: Orders) -> impl IntoView {
    let node = NodeRef::<leptos::html::Div>::new();
    let measure = move || {
        if let Some(list) = node.get_untracked() {
            orders.height.set(f64::from(list.client_height()));
        }
    };
    Effect::new(move |_| {
        if node.get().is_some() {
            measure();
        }
    });
    let resized = window_event_listener_untyped("resize", move |_| measure());
    on_cleanup(move || resized.remove());
    let scroll = move |_| {
        let Some(list) = node.get_untracked() else {
            return;
        };
        let was_down = orders.scrolled.get_untracked() >= ROW_HEIGHT;
        orders.scrolled.set(f64::from(list.scroll_top()));
        if was_down && f64::from(list.scroll_top()) < ROW_HEIGHT {
            orders.draw();
        }
        if list.scroll_top() + 3 * list.client_height() > list.scroll_height() {
            orders.load(false);
        }
    };
    let to_top = move |_| {
        if let Some(list) = node.get_untracked() {
            list.set_scroll_top(0);
        }
        orders.scrolled.set(0.0);
        orders.draw();
    };
    let keys = window_event_listener(leptos::ev::keydown, move |event| key(&event));
    on_cleanup(move || keys.remove());
    let rows = move || {
        let (first, last) = orders.window();
        orders
            .listed
            .with(|listed| listed.get(first..last).unwrap_or_default().to_vec())
    };
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let before = move || format!("{}px", orders.window().0 as f64 * ROW_HEIGHT);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let whole = move || format!("{}px", orders.listed.with(Vec::len) as f64 * ROW_HEIGHT);
    let is_empty = move || orders.listed.with(Vec::is_empty);
    view! {
        <div class="list" role="table" aria-label="Orders" aria-rowcount=move || orders.listed.with(Vec::len)>
            <div class="row head" role="row">
                <span role="columnheader">"Order"</span>
                <span role="columnheader">"Status"</span>
                <span role="columnheader">"Outcome"</span>
                <span role="columnheader" class="number">"Total"</span>
                <span role="columnheader" class="number">"Took"</span>
                <span role="columnheader" class="number">"Updated"</span>
            </div>
            <Show when=move || 0 < orders.held_back.get()>
                <button class="held-back" on:click=to_top>
                    {move || match orders.held_back.get() { 1 => "1 newer order".to_owned(), n => format!("{n} newer orders") }}
                    " – back to the top"
                </button>
            </Show>
            <div class="scroll" node_ref=node on:scroll=scroll role="rowgroup" tabindex="-1" id="order-rows">
                <div class="whole" style:height=whole>
                    <div style:height=before></div>
                    <For each=rows key=|state| (state.order_id.clone(), state.updated_at, state.dead_letters_waiting, state.outcome) let:state>
                        <OrderRow state/>
                    </For>
                </div>
                <Show when=move || is_empty() && orders.failure.with(Option::is_none)>
                    <Show when=move || !orders.loading.get() fallback=|| view! { <Loading rows=12/> }>
                        <Nothing filter=orders.filter/>
                    </Show>
                </Show>
                {move || orders.failure.get().map(|what| view! { <Failed what again=move || orders.load(true)/> })}
            </div>
        </div>
    }
}

#[component]
fn Nothing(filter: Memo<Filter>) -> impl IntoView {
    view! {
        <div class="empty">
            <Show
                when=move || filter.with(|filter| *filter == Filter::default())
                fallback=|| view! { <p>"No order fits. " <A href="/orders">"Show all orders"</A></p> }
            >
                <h2>"No orders yet"</h2>
                <p>"As soon as one is placed it appears here by itself. " <A href="/new">"Place one"</A></p>
            </Show>
        </div>
    }
}

#[component]
fn OrderRow(state: Arc<State>) -> impl IntoView {
    let took = (state.outcome != Outcome::Pending)
        .then(|| duration(state.updated_at.ms_since(state.created_at)));
    let is_stalled = state.stalled_since.is_some();
    let parked = state.dead_letters_waiting;
    let attempt = (state.attempt > 1).then(|| format!("attempt {}", state.attempt));
    let (id, href) = (
        state.order_id.clone(),
        format!("/orders/{}", js_sys::encode_uri_component(&state.order_id)),
    );
    view! {
        <div class="row" role="row">
            <span role="cell" class="id">
                <A href=href>{id}</A>
                {attempt.map(|attempt| view! { <span class="note">{attempt}</span> })}
            </span>
            <span role="cell"><StatusPill status=state.current_status/></span>
            <span role="cell" class="flags">
                <OutcomePill outcome=state.outcome/>
                {is_stalled.then(|| view! { <Pill tone=Tone::Waiting text="Stalled"/> })}
                {(parked > 0).then(|| view! { <Pill tone=Tone::Waiting text="Parked"/> })}
                {state.reason.clone().map(|reason| view! { <span class="note">{reason.replace('_', " ")}</span> })}
            </span>
            <span role="cell" class="number">{state.total.map(|total| total.to_string())}</span>
            <span role="cell" class="number">{took}</span>
            <span role="cell" class="number" title=exact(state.updated_at)><Ago at=state.updated_at/></span>
        </div>
    }
}

/// `/` looks for something, `j` and `k` (or the arrows) go from row to row.
fn key(event: &web_sys::KeyboardEvent) {
    if browser::is_writing() || event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let step = match event.key().as_str() {
        "/" => {
            event.prevent_default();
            return browser::focus("#search");
        }
        "j" | "ArrowDown" => 1,
        "k" | "ArrowUp" => -1,
        _ => return,
    };
    event.prevent_default();
    let Ok(links) = document().query_selector_all("#order-rows .row .id a") else {
        return;
    };
    let active = document().active_element();
    let at = (0..links.length()).find(|at| {
        let link = links
            .item(*at)
            .and_then(|node| node.dyn_into::<web_sys::Element>().ok());
        link.is_some() && link == active
    });
    let next = match (at, step) {
        (None, _) => 0,
        (Some(at), 1) => at + 1,
        (Some(at), _) => u32::saturating_sub(at, 1),
    };
    let link = links
        .item(next)
        .and_then(|node| node.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(link) = link {
        // It fails when the element is not shown.
        let _ = link.focus();
    }
}
