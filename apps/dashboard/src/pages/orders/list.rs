//! The rows that can be seen, and how one goes from one to the next.

use std::time::Duration;

use dashboard_model::Filter;
use leptos::prelude::*;
use leptos_router::components::A;
use wasm_bindgen::JsCast;

use crate::browser;
use crate::parts::{Failed, Loading};

use super::row::{OrderRow, use_lines};
use super::{Orders, ROW_HEIGHT};

/// How long rows keep still after the pointer has moved over them: nothing moves away from under a click.
const STILL_FOR: Duration = Duration::from_secs(2);

#[component]
pub(super) fn List(orders: Orders) -> impl IntoView {
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
    let to_top = move || {
        if let Some(list) = node.get_untracked() {
            list.set_scroll_top(0);
        }
        orders.scrolled.set(0.0);
    };
    // Another list begins at its top.
    Effect::new(move |_| {
        orders.filter.with(|_| ());
        to_top();
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
            orders.read_on();
        }
    };
    let show_newest = move |_| {
        to_top();
        orders.draw_anew();
    };
    let keys = window_event_listener(leptos::ev::keydown, move |event| key(&event));
    on_cleanup(move || keys.remove());
    let lines = use_lines(orders);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let pixels = |rows: usize| format!("{}px", rows as f64 * ROW_HEIGHT);
    let before = move || pixels(orders.window().0);
    let whole = move || pixels(orders.len.get());
    let is_empty = move || orders.len.get() == 0;
    view! {
        <div class="list" role="table" aria-label="Orders" aria-rowcount=move || orders.len.get()>
            <div class="row head" role="row">
                <span role="columnheader">"Order"</span>
                <span role="columnheader">"Status"</span>
                <span role="columnheader">"Outcome"</span>
                <span role="columnheader" class="number">"Total"</span>
                <span role="columnheader" class="number">"Took"</span>
                <span role="columnheader" class="number">"Updated"</span>
            </div>
            <Show when=move || 0 < orders.held_back.get()>
                <button class="held-back" on:click=show_newest>
                    {move || match orders.held_back.get() { 1 => "1 newer order".to_owned(), n => format!("{n} newer orders") }}
                    " – show"
                </button>
            </Show>
            <div class="scroll" node_ref=node on:scroll=scroll role="rowgroup" tabindex="-1" id="order-rows"
                on:pointermove=move |_| orders.keep_still(STILL_FOR) on:pointerdown=move |_| orders.keep_still(STILL_FOR)
                on:pointerleave=move |_| orders.keep_still(Duration::ZERO)>
                <div class="whole" style:height=whole>
                    <div style:height=before></div>
                    <For each=move || lines.get() key=|line| line.at let:line>
                        <OrderRow line/>
                    </For>
                </div>
                <Show when=move || orders.is_full.get()>
                    <p class="list-end">"The list ends here. Older orders are found by their id, or when less fits: by status, outcome or a text."</p>
                </Show>
                <Show when=move || is_empty() && orders.failure.with(Option::is_none)>
                    <Show when=move || orders.is_settled.get() fallback=|| view! { <Loading rows=12/> }>
                        <Nothing orders/>
                    </Show>
                </Show>
                {move || orders.failure.get().map(|what| view! { <Failed what again=move || orders.load(true)/> })}
            </div>
        </div>
    }
}

#[component]
fn Nothing(orders: Orders) -> impl IntoView {
    view! {
        <div class="empty">
            <Show
                when=move || orders.filter.with(|filter| *filter == Filter::default())
                fallback=move || view! {
                    <Show when=move || orders.has_more.get() fallback=|| view! {
                        <h2>"No order fits"</h2>
                        <p><A href="/orders">"Show all orders"</A></p>
                    }>
                        <h2>"None of the latest orders fits"</h2>
                        <p>"There are older ones that have not been looked at."</p>
                        <p><button class="button" on:click=move |_| orders.search_on()>"Look further back"</button> " " <A href="/orders">"Show all orders"</A></p>
                    </Show>
                }
            >
                <h2>"No orders yet"</h2>
                <p>"As soon as one is placed it appears here by itself. " <A href="/new">"Place one"</A></p>
            </Show>
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
