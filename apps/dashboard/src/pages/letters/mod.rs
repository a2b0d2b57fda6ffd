//! Messages that could not be handled: what they are, what is wrong with them, who waits, and what is to become of them.

use std::collections::BTreeSet;
use std::time::Duration;

use dashboard_model::{Group, Tone, decoded, exact, groups, payload_of};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;
use sagaline_views::{Accepted, DeadLetter};
use serde_json::{Value, json};

use crate::api::{self, READ_MODEL, Sender};
use crate::parts::{Ago, Asked, Command, Confirm, CopyButton, Dialog, Failed, Loading, Pill};
use crate::session::use_session;
use crate::stats::use_stats;

/// Letters that are loaded at most; more are counted, and come when these are decided.
const LOADED_MAX: usize = 1_000;
/// Between two decisions of many: the services have other work too.
const BULK_EVERY_MS: u64 = 50;

#[derive(Clone, Copy)]
struct Desk {
    letters: RwSignal<Option<Vec<DeadLetter>>>,
    failure: RwSignal<Option<String>>,
    state: RwSignal<&'static str>,
    chosen: RwSignal<BTreeSet<String>>,
}

impl Desk {
    fn load(self) {
        let state = self.state.get_untracked();
        spawn_local(async move {
            let mut letters = Vec::new();
            let mut url = format!("/dead-letters?state={state}&limit=100");
            loop {
                match api::get_as::<Vec<DeadLetter>>(
                    &format!("{READ_MODEL}{url}"),
                    Sender::default(),
                )
                .await
                {
                    Ok(page) => {
                        letters.extend(page.items);
                        match page.next {
                            Some(next) if letters.len() < LOADED_MAX => url = next,
                            _ => break,
                        }
                    }
                    Err(failure) => {
                        self.failure.try_set(Some(failure.what));
                        return;
                    }
                }
            }
            if self.state.try_get_untracked() == Some(state) {
                self.failure.set(None);
                self.letters.set(Some(letters));
            }
        });
    }
}

#[component]
pub(crate) fn Letters() -> impl IntoView {
    let desk = Desk {
        letters: RwSignal::new(None),
        failure: RwSignal::new(None),
        state: RwSignal::new("waiting"),
        chosen: RwSignal::new(BTreeSet::new()),
    };
    let stats = use_stats();
    // The count is told once a second; when it changes there is something else to show.
    let waiting = Memo::new(move |_| {
        stats
            .latest
            .with(|stats| stats.as_ref().map(|stats| stats.dead_letters.waiting))
    });
    Effect::new(move |_| {
        waiting.track();
        desk.state.track();
        desk.load();
    });
    let params = use_params_map();
    let shown = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned)));
    let grouped = move || desk.letters.with(|letters| letters.clone().map(groups));
    view! {
        <section class="letters">
            <header class="title">
                <h1>"Dead letters"</h1>
                <div class="segments" role="group" aria-label="State">
                    {["waiting", "redriven", "discarded"].map(|state| view! {
                        <button class=move || if desk.state.get() == state { "segment here" } else { "segment" }
                            aria-pressed=move || (desk.state.get() == state).to_string()
                            on:click=move |_| { desk.letters.set(None); desk.chosen.set(BTreeSet::new()); desk.state.set(state); }>
                            {match state { "waiting" => "Waiting", "redriven" => "Redriven", _ => "Discarded" }}
                        </button>
                    }).collect_view()}
                </div>
                <Bulk desk/>
            </header>
            <div class=move || if shown.get().is_some() { "split open" } else { "split" }>
                <div class="groups">
                    {move || desk.failure.get().map(|what| view! { <Failed what again=move || desk.load()/> })}
                    {move || match grouped() {
                        None if desk.failure.with(Option::is_none) => view! { <Loading rows=6/> }.into_any(),
                        None => ().into_any(),
                        Some(groups) if groups.is_empty() => view! { <Nothing desk/> }.into_any(),
                        Some(groups) => groups.into_iter().map(|group| view! { <OneGroup desk group shown/> }).collect_view().into_any(),
                    }}
                </div>
                {move || shown.get().map(|id| view! { <OneLetter desk id/> })}
            </div>
        </section>
    }
}

#[component]
fn Nothing(desk: Desk) -> impl IntoView {
    view! {
        <div class="empty">
            {move || match desk.state.get() {
                "waiting" => view! {
                    <h2>"Nothing waits for you"</h2>
                    <p>"A message that a service cannot handle appears here, and its order waits at that service until you have decided. All other orders flow on."</p>
                }.into_any(),
                _ => view! { <p>"None."</p> }.into_any(),
            }}
        </div>
    }
}

#[component]
fn OneGroup(desk: Desk, group: Group, shown: Memo<Option<String>>) -> impl IntoView {
    let ids: Vec<String> = group
        .letters
        .iter()
        .map(|letter| letter.dead_letter_id.clone())
        .collect();
    let all = ids.clone();
    let are_all_chosen = {
        let ids = ids.clone();
        move || {
            desk.chosen
                .with(|chosen| ids.iter().all(|id| chosen.contains(id)))
        }
    };
    let heading = group.reason.clone();
    view! {
        <article class="group">
            <header>
                <label class="check" title="Choose all of these">
                    <input type="checkbox" aria-label=format!("Choose all: {heading}") prop:checked=are_all_chosen
                        on:change=move |event| {
                            let is_checked = event_target_checked(&event);
                            desk.chosen.update(|chosen| for id in &all {
                                if is_checked { chosen.insert(id.clone()); } else { chosen.remove(id); }
                            });
                        }/>
                </label>
                <div>
                    <h2>{heading.clone()}</h2>
                    <p class="quiet"><span class="mono">{group.topic.clone()}</span> " · refused by " {group.consumers.clone()}</p>
                </div>
                <span class="badge">{group.letters.len()}</span>
            </header>
            <ul>
                {group.letters.into_iter().take(200).map(|letter| {
                    let id = letter.dead_letter_id.clone();
                    let (for_check, for_change, for_here) = (id.clone(), id.clone(), id.clone());
                    view! {
                        <li class=move || if shown.with(|shown| shown.as_deref() == Some(for_here.as_str())) { "letter here" } else { "letter" }>
                            <input type="checkbox" aria-label=format!("Choose the letter of {}", letter.order_id.clone().unwrap_or_default())
                                prop:checked=move || desk.chosen.with(|chosen| chosen.contains(&for_check))
                                on:change=move |event| {
                                    let is_checked = event_target_checked(&event);
                                    desk.chosen.update(|chosen| { if is_checked { chosen.insert(for_change.clone()); } else { chosen.remove(&for_change); } });
                                }/>
                            <A href=format!("/dead-letters/{id}")>{letter.order_id.clone().unwrap_or_else(|| "belongs to no order".to_owned())}</A>
                            <span class="quiet"><Ago at=letter.last_died_at/></span>
                        </li>
                    }
                }).collect_view()}
            </ul>
        </article>
    }
}

/// Many at once: first what would happen, then one after the other.
#[component]
fn Bulk(desk: Desk) -> impl IntoView {
    let session = use_session();
    let is_open = RwSignal::new(false);
    let action = RwSignal::new("redrive");
    let progress = RwSignal::new(None::<(usize, usize, Vec<String>)>);
    let is_running = move || {
        progress.with(|progress| progress.as_ref().is_some_and(|(done, all, _)| done < all))
    };
    let meant = move || {
        let chosen = desk.chosen.get();
        desk.letters.with(|letters| {
            let letters = letters.iter().flatten().filter(|letter| {
                chosen.contains(&letter.dead_letter_id) && letter.state == "waiting"
            });
            letters.cloned().collect::<Vec<_>>()
        })
    };
    let ask = move |what: &'static str| {
        action.set(what);
        progress.set(None);
        is_open.set(true);
    };
    let run = move |_| {
        let (letters, what) = (meant(), action.get_untracked());
        if is_running() || letters.is_empty() {
            return;
        }
        progress.set(Some((0, letters.len(), Vec::new())));
        spawn_local(async move {
            for letter in letters {
                let token = session.token();
                let url = format!(
                    "{READ_MODEL}/admin/dead-letters/{}/{what}",
                    letter.dead_letter_id
                );
                let sender = Sender {
                    token: token.as_deref(),
                    key: None,
                };
                let failed = api::post::<Accepted>(&url, &json!({}), sender).await.err();
                progress.try_update(|progress| {
                    if let Some((done, _, failures)) = progress {
                        *done += 1;
                        failures.extend(failed.map(|failure| failure.what));
                    }
                });
                pause(BULK_EVERY_MS).await;
            }
            desk.chosen.try_set(BTreeSet::new());
            desk.load();
        });
    };
    let title = Signal::derive(move || {
        match action.get() {
            "redrive" => "Redrive the chosen letters",
            _ => "Discard the chosen letters",
        }
        .to_owned()
    });
    view! {
        <div class="actions">
            <Show when=move || !desk.chosen.with(BTreeSet::is_empty) && desk.state.get() == "waiting">
                <span class="quiet">{move || format!("{} chosen", meant().len())}</span>
                <button class="button" id="bulk-redrive" disabled=move || !session.is_signed_in() on:click=move |_| ask("redrive")>"Redrive…"</button>
                <button class="button grave" id="bulk-discard" disabled=move || !session.is_signed_in() on:click=move |_| ask("discard")>"Discard…"</button>
            </Show>
            <Dialog is_open title>
                <Show when=move || progress.with(Option::is_none) fallback=move || view! {
                    <p role="status">{move || progress.with(|progress| progress.as_ref().map(|(done, all, failures)| {
                        format!("{done} of {all} done, {} refused", failures.len())
                    }))}</p>
                    <ul class="wrong">{move || progress.with(|progress| progress.iter().flat_map(|(_, _, failures)| failures.iter().take(5).cloned())
                        .map(|what| view! { <li>{what}</li> }).collect_view())}</ul>
                }>
                    <p>"Nothing has been done yet. This is what would happen:"</p>
                    <ul>
                        <li>{move || {
                            let letters = meant();
                            let orders: BTreeSet<_> = letters.iter().filter_map(|letter| letter.order_id.clone()).collect();
                            format!("{} messages of {} orders are {}", letters.len(), orders.len(), match action.get() {
                                "redrive" => "handled again as they were; those that fail again come back here",
                                _ => "dropped for good; what waits behind them is handled next",
                            })
                        }}</li>
                        <li>{move || {
                            let without = meant().iter().filter(|letter| letter.order_id.is_none()).count();
                            format!("{without} of them belong to no order{}", if without > 0 && action.get() == "redrive" { ", and will be refused: they have to be edited" } else { "" })
                        }}</li>
                        <li>"At most 20 a second; each stands in the audit under your name"</li>
                    </ul>
                </Show>
                <div class="buttons">
                    <button class="button" type="button" on:click=move |_| is_open.set(false)>{move || if progress.with(Option::is_some) { "Close" } else { "Keep as they are" }}</button>
                    <Show when=move || progress.with(Option::is_none)>
                        <button class="button grave" type="button" id="bulk-confirm" on:click=run>{move || title.get()}</button>
                    </Show>
                </div>
            </Dialog>
        </div>
    }
}

async fn pause(ms: u64) {
    let (done, wait) = futures_channel();
    set_timeout(move || done(), Duration::from_millis(ms));
    wait.await;
}

/// A future that ends when the function is called.
fn futures_channel() -> (impl FnOnce() + 'static, impl Future<Output = ()>) {
    let mut resolve = None;
    let promise = js_sys::Promise::new(&mut |resolved, _| resolve = Some(resolved));
    let done = move || {
        if let Some(resolve) = resolve {
            let _ = resolve.call0(&wasm_bindgen::JsValue::NULL);
        }
    };
    (done, async move {
        let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
    })
}

#[component]
fn OneLetter(desk: Desk, id: String) -> impl IntoView {
    let letter = RwSignal::new(None::<DeadLetter>);
    let failure = RwSignal::new(None::<String>);
    let load = {
        let id = id.clone();
        move || {
            let url = format!(
                "{READ_MODEL}/dead-letters/{}",
                js_sys::encode_uri_component(&id)
            );
            spawn_local(async move {
                match api::get::<DeadLetter>(&url).await {
                    Ok(loaded) => {
                        failure.try_set(None);
                        letter.try_set(Some(loaded));
                    }
                    Err(failed) => {
                        failure.try_set(Some(failed.what));
                    }
                }
            });
        }
    };
    // It is read again when the list is: something may have been decided.
    let on_list = load.clone();
    Effect::new(move |_| {
        desk.letters.track();
        on_list();
    });
    view! {
        <aside class="one-letter" aria-label="The dead letter">
            {move || match (letter.get(), failure.get()) {
                (Some(letter), _) => view! { <Letter desk letter/> }.into_any(),
                (None, Some(what)) => { let load = load.clone(); view! { <Failed what again=move || load()/> }.into_any() }
                (None, None) => view! { <Loading rows=5/> }.into_any(),
            }}
        </aside>
    }
}

#[component]
fn Letter(desk: Desk, letter: DeadLetter) -> impl IntoView {
    let session = use_session();
    let command = RwSignal::new(None::<Command>);
    let asked = RwSignal::new(Asked::Not);
    let is_waiting = letter.state == "waiting";
    let url = format!("{READ_MODEL}/admin/dead-letters/{}", letter.dead_letter_id);
    let message = decoded(&letter);
    let edited = RwSignal::new(first_payload(&letter));
    let is_editing = RwSignal::new(false);
    let kept = StoredValue::new(letter.clone());
    let verdict =
        Memo::new(move |_| kept.with_value(|letter| edited.with(|text| payload_of(text, letter))));
    let (redrive_url, edit_url, discard_url) = (
        format!("{url}/redrive"),
        format!("{url}/redrive"),
        format!("{url}/discard"),
    );
    let copied = message.clone();
    view! {
        <header class="title">
            <h2>"Message " <span class="mono">{letter.partition.zip(letter.offset).map(|(partition, offset)| format!("{partition}/{offset}"))}</span></h2>
            <Pill tone=if is_waiting { Tone::Waiting } else { Tone::Plain } text=match letter.state.as_str() {
                "waiting" => "Waiting", "redriven" => "Redriven", _ => "Discarded",
            }/>
            <A href="/dead-letters" attr:class="button small" attr:aria-label="Close">"✕"</A>
        </header>
        <dl class="wide">
            <div><dt>"Topic"</dt><dd class="mono">{letter.topic.clone()}</dd></div>
            <div><dt>"Order"</dt><dd>{match letter.order_id.clone() {
                Some(id) => view! { <A href=format!("/orders/{}", js_sys::encode_uri_component(&id))>{id.clone()}</A> }.into_any(),
                None => "none that could be made out".into_any(),
            }}</dd></div>
            <div><dt>"First died"</dt><dd>{exact(letter.at)}</dd></div>
        </dl>
        <h3>"What is wrong"</h3>
        <ul class="complaints">
            {letter.consumers.iter().map(|copy| view! {
                <li><strong>{copy.consumer.clone()}</strong> {format!(" (tried {}×): ", copy.attempts)} <span class="mono">{copy.error.clone()}</span></li>
            }).collect_view()}
        </ul>
        <h3>{if letter.raw.is_some() { "The message, as text" } else { "Its payload" }} " " <CopyButton label="Copy" text=move || copied.clone()/></h3>
        <pre class="json" tabindex="0">{message}</pre>
        {letter.raw.clone().map(|raw| view! { <details><summary>"The bytes (base64)"</summary><pre class="json">{raw}</pre></details> })}
        {(!letter.decisions.is_empty()).then(|| view! {
            <h3>"Decided"</h3>
            <ul class="complaints">{letter.decisions.iter().map(|decision| view! {
                <li>{decision.action.clone()} {if decision.edited { ", edited," } else { "" }} " by " <strong>{decision.requested_by.clone()}</strong> ", " <Ago at=decision.at/></li>
            }).collect_view()}</ul>
        })}
        {is_waiting.then(|| {
            let ask = move |label: &str, consequence: &str, url: &str, body: Value, is_grave: bool| command.set(Some(Command {
                label: label.to_owned(), consequence: consequence.to_owned(), url: url.to_owned(), body, is_grave,
            }));
            view! {
                <div class="actions">
                    <button class="button" id="redrive" disabled=move || !session.is_signed_in()
                        on:click=move |_| ask("Redrive", "The message is handled again as it was. When it fails again it comes back here.", &redrive_url, json!({}), false)>"Redrive"</button>
                    <button class="button" id="edit" aria-expanded=move || is_editing.get().to_string() on:click=move |_| is_editing.update(|is| *is = !*is)>"Edit…"</button>
                    <button class="button grave" id="discard" disabled=move || !session.is_signed_in()
                        on:click=move |_| ask("Discard", "The message is dropped for good, and what waits behind it is handled next. If the order needs it, it will not go on.", &discard_url, json!({}), true)>"Discard"</button>
                    <Show when=move || !session.is_signed_in()><span class="hint">"Sign in to decide"</span></Show>
                </div>
                <Show when=move || is_editing.get()>
                    <div class="edit">
                        <label for="payload">"The payload to handle in its place"</label>
                        <textarea id="payload" rows="10" spellcheck="false" class="mono" prop:value=edited aria-describedby="payload-wrong"
                            on:input=move |event| edited.set(event_target_value(&event))></textarea>
                        <p id="payload-wrong" class="wrong" role="alert">{move || verdict.get().err()}</p>
                        <button class="button primary" id="edit-redrive" disabled=move || !session.is_signed_in() || verdict.with(Result::is_err)
                            on:click={let edit_url = edit_url.clone(); move |_| if let Ok(payload) = verdict.get() {
                                ask("Redrive as edited", "The message is handled with this payload. It is checked against the schema first; when it does not fit, nothing is sent.",
                                    &edit_url, json!({ "payload": payload }), false);
                            }}>"Redrive as edited"</button>
                    </div>
                </Show>
            }
        })}
        <p class="answer" role="status">{move || matches!(asked.get(), Asked::Accepted(_)).then_some("Accepted.")}</p>
        <Confirm command asked then=move |()| desk.load()/>
    }
}

/// What to begin with when there is no payload: the order's id is needed at least.
fn first_payload(letter: &DeadLetter) -> String {
    let payload = if letter.payload.is_object() {
        letter.payload.clone()
    } else {
        json!({})
    };
    let mut payload = payload;
    if payload.get("orderId").is_none()
        && let Some(id) = &letter.order_id
    {
        payload["orderId"] = id.clone().into();
    }
    serde_json::to_string_pretty(&payload).unwrap_or_default()
}
