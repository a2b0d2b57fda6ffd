//! The rows that can be seen, and how one goes from one to the next.

use std::sync::Arc;
use std::time::Duration;

use dashboard_model::{Filter, Tone, duration, exact};
use leptos::prelude::*;
use leptos_router::components::A;
use sagaline_views::State;
use wasm_bindgen::JsCast;

use crate::browser;
use crate::parts::{Ago, Failed, Loading, OutcomePill, Pill, StatusPill};

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
            orders.load(false);
        }
    };
    let show_newest = move |_| {
        to_top();
        orders.draw_anew();
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
                <button class="held-back" on:click=show_newest>
                    {move || match orders.held_back.get() { 1 => "1 newer order".to_owned(), n => format!("{n} newer orders") }}
                    " – show"
                </button>
            </Show>
            <div class="scroll" node_ref=node on:scroll=scroll role="rowgroup" tabindex="-1" id="order-rows"
                on:pointermove=move |_| orders.keep_still(STILL_FOR) on:pointerleave=move |_| orders.keep_still(Duration::ZERO)>
                <div class="whole" style:height=whole>
                    <div style:height=before></div>
                    <For each=rows key=|state| state.order_id.clone() let:state>
                        <OrderRow orders state/>
                    </For>
                </div>
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
                    <Show when=move || orders.next.with(Option::is_some) fallback=|| view! {
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

/// A row stays the same element while its order changes, so that it keeps the focus.
#[component]
fn OrderRow(orders: Orders, state: Arc<State>) -> impl IntoView {
    let (id, href) = (
        state.order_id.clone(),
        format!("/orders/{}", js_sys::encode_uri_component(&state.order_id)),
    );
    let state = {
        let id = id.clone();
        Memo::new(move |_| {
            orders.listed.track();
            orders.latest(&id).unwrap_or_else(|| Arc::clone(&state))
        })
    };
    let index = {
        let id = id.clone();
        move || orders.row_of(&id).map(|row| (row + 1).to_string())
    };
    let attempt = move || {
        let attempt = state.with(|state| state.attempt);
        (attempt > 1).then(|| view! { <span class="note">{format!("attempt {attempt}")}</span> })
    };
    let took = move || {
        state.with(|state| {
            let ended = state.ended_at?;
            Some(duration(ended.ms_since(state.created_at)))
        })
    };
    let flags = move || {
        let state = state.get();
        view! {
            <OutcomePill outcome=state.outcome/>
            {state.stalled_since.map(|_| view! { <Pill tone=Tone::Waiting text="Stalled"/> })}
            {(state.dead_letters_waiting > 0).then(|| view! { <Pill tone=Tone::Waiting text="Parked"/> })}
            {state.reason.clone().map(|reason| view! { <span class="note">{reason.replace('_', " ")}</span> })}
        }
    };
    let updated = Memo::new(move |_| state.with(|state| state.updated_at));
    view! {
        <div class="row" role="row" aria-rowindex=index>
            <span role="cell" class="id"><A href=href>{id}</A>{attempt}</span>
            <span role="cell">{move || view! { <StatusPill status=state.with(|state| state.current_status)/> }}</span>
            <span role="cell" class="flags">{flags}</span>
            <span role="cell" class="number">{move || state.with(|state| state.total.map(|total| total.to_string()))}</span>
            <span role="cell" class="number">{took}</span>
            <span role="cell" class="number" title=move || exact(updated.get())>{move || view! { <Ago at=updated.get()/> }}</span>
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
