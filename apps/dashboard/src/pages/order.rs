//! One order: its events as swim lanes, live, and what can be done about it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use dashboard_model::{
    Kind, Timeline, Tone, curl, draw, duration, exact, lane, name, offers, said, waiting_behind,
};
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map};
use sagaline_views::{Entry, Order, Outcome, Told};

use crate::api::{self, ORDER, READ_MODEL, Reader};
use crate::browser;
use crate::live::{Link, Stream};
use crate::parts::{
    Ago, Asked, Command, Confirm, CopyButton, Failed, LinkState, Loading, OutcomePill, Pill,
    StatusPill,
};
use crate::places::use_places;
use crate::session::use_session;

/// How long events are collected before the document is read again.
const READ_AFTER: Duration = Duration::from_millis(120);

#[component]
pub(crate) fn OrderPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| {
        params.with(|params| params.get_str("id").unwrap_or_default().to_owned())
    });
    // Another order is another view: nothing of the one before stays.
    view! { {move || view! { <OneOrder id=id.get()/> }} }
}

/// What the view works on.
#[derive(Clone, Copy)]
struct One {
    id: StoredValue<String>,
    timeline: RwSignal<Timeline>,
    order: RwSignal<Option<Order>>,
    failure: RwSignal<Option<(u16, String)>>,
    chosen: RwSignal<Option<String>>,
    reader: Reader,
}

impl One {
    fn read(self) {
        self.reader.ask(move || async move {
            let Some(id) = self.id.try_get_value() else {
                return;
            };
            let url = format!("{READ_MODEL}/orders/{}", js_sys::encode_uri_component(&id));
            match api::get::<Order>(&url).await {
                Ok(order) => {
                    self.timeline.try_update(|timeline| timeline.read(&order));
                    self.order.try_set(Some(order));
                    self.failure.try_set(None);
                }
                Err(failure) => {
                    self.failure.try_set(Some((failure.status, failure.what)));
                }
            }
        });
    }
}

#[component]
fn OneOrder(id: String) -> impl IntoView {
    let one = One {
        id: StoredValue::new(id.clone()),
        timeline: RwSignal::new(Timeline::default()),
        order: RwSignal::new(None),
        failure: RwSignal::new(None),
        chosen: RwSignal::new(None),
        reader: Reader::new(),
    };
    let (link, set_link) = signal(Link::Connecting);
    let is_due = Rc::new(Cell::new(false));
    let on_data = move |data: &str| {
        let Ok(told) = serde_json::from_str::<Told>(data) else {
            return;
        };
        one.timeline.try_update(|timeline| timeline.tell(told));
        // The document has what the events make of the order. It is read when they tell something, never on a clock.
        if !is_due.replace(true) {
            let is_due = Rc::clone(&is_due);
            set_timeout(
                move || {
                    is_due.set(false);
                    one.read();
                },
                READ_AFTER,
            );
        }
    };
    let url = format!(
        "{READ_MODEL}/orders/{}/stream?from=start",
        js_sys::encode_uri_component(&id)
    );
    let stream = StoredValue::new_local(Some(Stream::open(url, set_link, on_data)));
    on_cleanup(move || drop(stream.try_update_value(Option::take)));
    one.read();
    let events = Memo::new(move |_| one.timeline.with(Timeline::events));
    let is_known = move || one.order.with(Option::is_some);
    view! {
        <section class="order">
            <header class="title">
                <A href="/orders" attr:class="back" attr:aria-label="Back to the orders">"←"</A>
                <h1 class="mono">{id.clone()}</h1>
                <CopyButton text={let id = id.clone(); move || id.clone()} label="Copy id"/>
                <LinkState link/>
                <Elsewhere id=id.clone()/>
            </header>
            <Show when=is_known fallback=move || view! { <Unknown one/> }>
                <Facts one events/>
                <Waiting one events/>
                <Lanes one events/>
                <div class="below">
                    <Events one events/>
                    <Chosen one events/>
                </div>
            </Show>
        </section>
    }
}

/// Another order: the one above or below in the list that was looked at last, or any by its id.
#[component]
fn Elsewhere(id: String) -> impl IntoView {
    let places = use_places();
    let beside = Memo::new(move |_| places.beside(&id));
    let navigate = use_navigate();
    let text = RwSignal::new(String::new());
    let go = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let id = text.get_untracked().trim().to_owned();
        if !id.is_empty() {
            let to = format!("/orders/{}", js_sys::encode_uri_component(&id));
            navigate(&to, leptos_router::NavigateOptions::default());
        }
    };
    let step = |id: Option<String>, class: &'static str, said: &'static str, sign: &'static str| {
        id.map(|id| view! {
            <A href=format!("/orders/{}", js_sys::encode_uri_component(&id)) attr:class=format!("button small {class}")
                attr:title=format!("{said}: {id}") attr:aria-label=format!("{said}: {id}")>{sign}</A>
        })
    };
    view! {
        <form class="elsewhere" role="search" on:submit=go>
            {move || step(beside.get().0, "above", "The order above in the list", "↑")}
            {move || step(beside.get().1, "below-it", "The order below in the list", "↓")}
            <input type="search" id="search" placeholder="Go to an order by its id" aria-label="Go to an order by its id" autocomplete="off"
                prop:value=text on:input=move |event| text.set(event_target_value(&event))/>
        </form>
    }
}

#[component]
fn Unknown(one: One) -> impl IntoView {
    move || {
        match one.failure.get() {
        None => view! { <Loading rows=5/> }.into_any(),
        Some((404, _)) => view! {
            <div class="empty">
                <h2>"No such order is known yet"</h2>
                <p>"If it was placed just now it appears here by itself. Otherwise look for it in " <A href="/orders">"the list"</A> "."</p>
            </div>
        }
        .into_any(),
        Some((_, what)) => view! { <Failed what again=move || one.read()/> }.into_any(),
    }
    }
}

#[component]
fn Facts(one: One, events: Memo<Vec<Entry>>) -> impl IntoView {
    let session = use_session();
    let command = RwSignal::new(None::<Command>);
    let asked = RwSignal::new(Asked::Not);
    let offered = Memo::new(move |_| {
        one.order.with(|order| {
            order.as_ref().map_or(Vec::new(), |order| {
                events.with(|events| offers(&order.state, events))
            })
        })
    });
    let ask = move |index: usize| {
        let offer = offered.with_untracked(|offered| offered.get(index).cloned());
        let id = one.id.get_value();
        if let Some(offer) = offer {
            command.set(Some(Command {
                label: offer.label,
                consequence: offer.consequence,
                url: format!(
                    "{ORDER}{}",
                    offer
                        .action
                        .path(&String::from(js_sys::encode_uri_component(&id)))
                ),
                body: offer.action.body(),
                is_grave: offer.is_grave,
            }));
        }
    };
    let with = move |part: fn(&Order) -> String| {
        one.order
            .with(|order| order.as_ref().map(part).unwrap_or_default())
    };
    view! {
        <div class="facts">
            <div class="pills">
                {move || one.order.with(|order| order.as_ref().map(|order| {
                    let state = &order.state;
                    let reason = state.reason.clone().filter(|_| state.outcome != Outcome::Confirmed);
                    view! {
                        <OutcomePill outcome=state.outcome/>
                        <StatusPill status=state.current_status/>
                        {state.stalled_since.map(|_| view! { <Pill tone=Tone::Waiting text="Stalled"/> })}
                        {reason.map(|reason| view! { <span class="note">{reason.replace('_', " ")}</span> })}
                    }
                }))}
            </div>
            <dl>
                <div><dt>"Total"</dt><dd class="mono">{move || with(|order| {
                    let total = order.state.total.map(|total| total.to_string()).unwrap_or_default();
                    format!("{total} {}", order.currency.as_deref().unwrap_or(""))
                })}</dd></div>
                <div><dt>"Items"</dt><dd>{move || with(|order| {
                    order.items.iter().map(|item| format!("{} × {}", item.qty, item.sku)).collect::<Vec<_>>().join(", ")
                })}</dd></div>
                <div><dt>"Customer"</dt><dd>{move || with(|order| order.customer_id.clone().unwrap_or_else(|| "–".to_owned()))}</dd></div>
                <div><dt>"Attempt"</dt><dd class="mono">{move || with(|order| order.state.attempt.to_string())}</dd></div>
                <div><dt>"Placed"</dt><dd>{move || one.order.with(|order| order.as_ref().map(|order| view! { <Ago at=order.state.created_at/> }))}</dd></div>
                <div><dt>"Took"</dt><dd class="mono">{move || with(|order| order.state.ended_at.map_or_else(
                    || "under way".to_owned(),
                    |ended| duration(ended.ms_since(order.state.created_at)),
                ))}</dd></div>
            </dl>
            <div class="actions">
                {move || offered.get().into_iter().enumerate().map(|(index, offer)| view! {
                    <button class=if offer.is_grave { "button grave" } else { "button primary" } data-action=offer.label.clone()
                        disabled=move || !session.is_signed_in()
                        title=move || if session.is_signed_in() { "" } else { "Sign in first" }
                        on:click=move |_| ask(index)>{offer.label.clone()}</button>
                }).collect_view()}
                <Show when=move || !session.is_signed_in() && !offered.with(Vec::is_empty)>
                    <span class="hint">"Sign in to act"</span>
                </Show>
                <CopyButton label="Copy as curl" text=move || curl(&browser::absolute(&format!(
                    "{READ_MODEL}/orders/{}", js_sys::encode_uri_component(&one.id.get_value()))), None)/>
                <CopyButton label="Copy JSON" text=move || one.order.with(|order| serde_json::to_string_pretty(order).unwrap_or_default())/>
            </div>
            <p class="answer" role="status">
                {move || match asked.get() {
                    Asked::Accepted(_) => Some("Accepted. What comes of it appears in the timeline."),
                    _ => None,
                }}
            </p>
            <Confirm command asked/>
        </div>
    }
}

/// What waits for an operator, and what waits behind that.
#[component]
fn Waiting(one: One, events: Memo<Vec<Entry>>) -> impl IntoView {
    move || {
        let order = one.order.get()?;
        let events = events.get();
        let letters = order
            .dead_letters
            .into_iter()
            .filter(|letter| letter.status == "dead");
        let shown = letters.map(|letter| {
            let consumer = letter.consumer.unwrap_or_default();
            let id = letter.dead_letter_id.unwrap_or_default();
            let behind = behind(&consumer, &id, &events);
            let to = format!("/dead-letters/{id}");
            view! {
                <div class="parked">
                    <Pill tone=Tone::Waiting text="Parked"/>
                    <div>
                        <p><strong>{consumer.clone()}</strong> " could not handle a message from " <span class="mono">{letter.topic}</span> ": " {letter.error} ". " <A href=to>"Look at it"</A></p>
                        <p class="quiet">{behind}</p>
                    </div>
                </div>
            }
        });
        Some(shown.collect_view())
    }
}

/// What waits at this service behind this letter, in words.
fn behind(consumer: &str, letter: &str, events: &[Entry]) -> String {
    let died = events.iter().find(|entry| {
        Kind::of(entry) == Kind::Dead
            && entry.details["consumer"].as_str() == Some(consumer)
            && entry.details["deadLetterId"]
                .as_str()
                .is_none_or(|id| id == letter)
            && entry.status.as_deref() == Some("dead")
    });
    let behind = died.map(|died| waiting_behind(consumer, died.at, events));
    match behind.as_deref() {
        None | Some([]) => "Later events of this order will wait there.".to_owned(),
        Some(behind) => {
            let names: Vec<String> = behind.iter().map(|entry| name(entry)).collect();
            format!("Waiting behind it: {}.", names.join(", "))
        }
    }
}

#[component]
fn Lanes(one: One, events: Memo<Vec<Entry>>) -> impl IntoView {
    let drawing = Memo::new(move |_| events.with(|events| draw(events)));
    view! {
        <div class="lanes">
            <div class="lane-names" aria-hidden="true">
                {move || drawing.with(|drawing| drawing.rows.iter().map(|row| view! {
                    <span style:top=format!("{}px", row.y)>{row.lane.label()}</span>
                }).collect_view())}
            </div>
            <div class="lane-scroll" tabindex="0" role="group" aria-label="Timeline: a row for each service, time from left to right. The events stand in the table below as well.">
                <svg width=move || drawing.with(|d| d.width) height=move || drawing.with(|d| d.height)>
                    <defs>
                        <marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>
                        <marker id="tip-undone" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>
                    </defs>
                    {move || drawing.with(|drawing| {
                        let height = drawing.height;
                        let rows = drawing.rows.iter().map(|row| view! { <line class="lane-line" x1="0" x2="100%" y1=row.y y2=row.y/> }).collect_view();
                        let bands = drawing.attempts.iter().enumerate().map(|(at, band)| view! {
                            <rect class=if at % 2 == 0 { "attempt" } else { "attempt odd" } x=band.from y="0" width=band.to - band.from height=height/>
                            <text class="attempt-name" x=band.from + 10.0 y="16">{band.label.clone()}</text>
                        }).collect_view();
                        let waits = drawing.waits.iter().map(|band| view! {
                            <text class="wait" x=f64::midpoint(band.from, band.to) y=height - 6.0>{band.label.clone()}</text>
                        }).collect_view();
                        let arrows = drawing.arrows.iter().map(|arrow| view! {
                            <path class=if arrow.is_compensation { "arrow undone" } else { "arrow" } d=arrow.path.clone()
                                marker-end=if arrow.is_compensation { "url(#tip-undone)" } else { "url(#tip)" }/>
                        }).collect_view();
                        view! { {bands} {rows} {waits} {arrows} }
                    })}
                    {move || drawing.with(|drawing| events.with(|events| drawing.nodes.iter().filter_map(|node| {
                        let entry = events.get(node.index)?.clone();
                        Some(view! { <EventNode one entry x=node.x y=node.y after=node.after.clone()/> })
                    }).collect_view()))}
                </svg>
            </div>
        </div>
    }
}

#[component]
fn EventNode(one: One, entry: Entry, x: f64, y: f64, after: Option<String>) -> impl IntoView {
    let kind = Kind::of(&entry);
    let tone = Kind::tone(&entry);
    let name = name(&entry);
    let id = entry.event_id.clone();
    let for_key = id.clone();
    let for_class = id.clone();
    let is_chosen = move || {
        one.chosen
            .with(|chosen| chosen.as_deref() == Some(for_class.as_str()))
    };
    let spoken = format!("{}: {name}", lane(&entry).label());
    let title = format!("{} – {} – {}", entry.r#type, exact(entry.at), said(&entry));
    let shape = match kind {
        Kind::Failure | Kind::Refusal => view! { <path d="M0 -9L9 0L0 9L-9 0z"/> }.into_any(),
        Kind::Compensation => view! { <path d="M-9 0L6 -8.5V8.5z"/> }.into_any(),
        Kind::Command => {
            view! { <rect x="-7.5" y="-7.5" width="15" height="15" rx="2"/> }.into_any()
        }
        Kind::Dead => {
            view! { <path d="M-8 -8H8V8H-8z"/><path class="cross" d="M-4 -4L4 4M4 -4L-4 4"/> }
                .into_any()
        }
        Kind::End => view! { <circle r="9"/><circle class="core" r="4"/> }.into_any(),
        Kind::Step => view! { <circle r="8"/> }.into_any(),
    };
    view! {
        <g class=move || format!("node {} {}{}", kind.class(), tone.class(), if is_chosen() { " chosen" } else { "" })
            transform=format!("translate({x:.1} {y:.1})") role="button" tabindex="0" aria-label=spoken
            on:click=move |_| one.chosen.set(Some(id.clone()))
            on:keydown=move |event| if matches!(event.key().as_str(), "Enter" | " ") {
                event.prevent_default();
                one.chosen.set(Some(for_key.clone()));
            }>
            <title>{title}</title>
            <rect class="touch" x="-22" y="-24" width="44" height="48"/>
            {shape}
            <text class="node-name" y="24">{name}</text>
            <text class="node-after" y="-15">{after}</text>
        </g>
    }
}

#[component]
fn Events(one: One, events: Memo<Vec<Entry>>) -> impl IntoView {
    view! {
        <table class="events" id="events">
            <caption class="quiet">{move || format!("{} events", events.with(Vec::len))}</caption>
            <thead><tr><th scope="col">"Time (UTC)"</th><th scope="col" class="number">"Since start"</th><th scope="col">"Service"</th><th scope="col">"Event"</th><th scope="col">"What it says"</th></tr></thead>
            <tbody>
                <For
                    each=move || {
                        let events = events.get();
                        let start = events.first().map(|entry| entry.at).unwrap_or_default();
                        events.into_iter().map(move |entry| (start, entry)).collect::<Vec<_>>()
                    }
                    key=|(_, entry)| (entry.event_id.clone(), entry.status.clone(), entry.at)
                    let((start, entry))
                >
                    <EventRow one entry start/>
                </For>
            </tbody>
        </table>
    }
}

#[component]
fn EventRow(one: One, entry: Entry, start: sagaline_views::Moment) -> impl IntoView {
    let id = StoredValue::new(entry.event_id.clone());
    let is_chosen = move || {
        one.chosen
            .with(|chosen| chosen.as_deref() == Some(id.get_value().as_str()))
    };
    view! {
        <tr class=move || if is_chosen() { "chosen" } else { "" } data-event=entry.event_id.clone() on:click=move |_| one.chosen.set(Some(id.get_value()))>
            <td class="mono" title=exact(entry.at)>{entry.at.time_of_day()}</td>
            <td class="mono number">{duration(entry.at.ms_since(start))}</td>
            <td>{lane(&entry).label()}</td>
            <td><button class="link" on:click=move |_| one.chosen.set(Some(id.get_value()))><Pill tone=Kind::tone(&entry) text=name(&entry)/></button></td>
            <td class="said">{said(&entry)}</td>
        </tr>
    }
}

/// All of one event.
#[component]
fn Chosen(one: One, events: Memo<Vec<Entry>>) -> impl IntoView {
    let chosen = move || {
        one.chosen.get().and_then(|id| {
            events.with(|events| events.iter().find(|entry| entry.event_id == id).cloned())
        })
    };
    move || {
        chosen().map(|entry| {
            let json = serde_json::to_string_pretty(&entry).unwrap_or_default();
            let copied = json.clone();
            view! {
                <aside class="chosen" aria-label="The event in full">
                    <header>
                        <h2>{name(&entry)}</h2>
                        <CopyButton label="Copy JSON" text=move || copied.clone()/>
                        <button class="button small" aria-label="Close" on:click=move |_| one.chosen.set(None)>"✕"</button>
                    </header>
                    <p class="mono quiet">{entry.r#type.clone()} <br/> {exact(entry.at)}</p>
                    <pre class="json" tabindex="0">{json}</pre>
                </aside>
            }
        })
    }
}
