//! What is looked for: it stands in the address.

use dashboard_model::{Filter, Standing, count, label};
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_query_map};
use sagaline_views::Status;

use crate::browser;
use crate::stats::use_stats;

/// In the order in which an order goes through them.
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

pub(super) fn wire_name(status: Status) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What the address asks for.
pub(super) fn use_filter() -> Memo<Filter> {
    let query = use_query_map();
    Memo::new(move |_| {
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
    })
}

#[component]
pub(super) fn Search(filter: Memo<Filter>) -> impl IntoView {
    let go = go(filter);
    view! {
        <input type="search" id="search" placeholder="Find by id or reason  ( / )" aria-label="Find orders by id or reason" autocomplete="off"
            prop:value=move || filter.with(|filter| filter.text.clone())
            on:keydown=move |event| if matches!(event.key().as_str(), "Enter" | "ArrowDown") {
                event.prevent_default();
                browser::focus("#order-rows .row .id a");
            }
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
pub(super) fn Filters(filter: Memo<Filter>) -> impl IntoView {
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
                    let wanted = STATUSES.into_iter().find(|status| wire_name(*status) == chosen);
                    status_go(Filter { status: wanted, ..filter.get_untracked() });
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
