//! One letter: what it is, what is wrong with it, what waits behind it, and what is to become of it.

use dashboard_model::{Tone, curl, decoded, exact, name, payload_of, waiting_behind};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use sagaline_views::{DeadLetter, Order};
use serde_json::{Value, json};

use crate::api::{self, READ_MODEL, Reader, Sender};
use crate::browser;
use crate::parts::{Ago, Asked, Command, Confirm, CopyButton, Failed, Loading, Pill};
use crate::session::use_session;

use super::Desk;

/// What an operator is at: it outlives the letter's being read again.
#[derive(Clone, Copy)]
struct Work {
    command: RwSignal<Option<Command>>,
    asked: RwSignal<Asked>,
    is_editing: RwSignal<bool>,
    /// What was written, once something was.
    draft: RwSignal<Option<String>>,
    /// What the read model said of it.
    checked: RwSignal<Option<Result<(), String>>>,
}

#[component]
pub(super) fn OneLetter(desk: Desk, id: String) -> impl IntoView {
    let letter = RwSignal::new(None::<DeadLetter>);
    let failure = RwSignal::new(None::<String>);
    let work = Work {
        command: RwSignal::new(None),
        asked: RwSignal::new(Asked::Not),
        is_editing: RwSignal::new(false),
        draft: RwSignal::new(None),
        checked: RwSignal::new(None),
    };
    let url = StoredValue::new(format!(
        "{READ_MODEL}/dead-letters/{}",
        js_sys::encode_uri_component(&id)
    ));
    let reader = Reader::new();
    let load = move || {
        reader.ask(move || async move {
            let Some(url) = url.try_get_value() else {
                return;
            };
            match api::get::<DeadLetter>(&url).await {
                Ok(loaded) => {
                    if failure.try_with_untracked(Option::is_some) == Some(true) {
                        failure.set(None);
                    }
                    // Drawn again only when something was decided, or it died again.
                    if letter.try_with_untracked(|known| known.as_ref() != Some(&loaded))
                        == Some(true)
                    {
                        letter.set(Some(loaded));
                    }
                }
                Err(failed) => {
                    failure.try_set(Some(failed.what));
                }
            }
        });
    };
    // It is read again when the list is: something may have been decided.
    Effect::new(move |_| {
        desk.letters.track();
        load();
    });
    let asked = work.asked;
    view! {
        <aside class="one-letter" aria-label="The dead letter">
            {move || match (letter.get(), failure.get()) {
                (Some(letter), _) => view! { <Letter work letter/> }.into_any(),
                (None, Some(what)) => view! { <Failed what again=load/> }.into_any(),
                (None, None) => view! { <Loading rows=5/> }.into_any(),
            }}
            <p class="answer" role="status">{move || matches!(asked.get(), Asked::Accepted(_)).then_some("Accepted.")}</p>
            <Confirm command=work.command asked then=move |()| { desk.load(); load(); }/>
        </aside>
    }
}

/// What waits behind it, as far as the order's timeline tells.
#[component]
fn Behind(letter: DeadLetter) -> impl IntoView {
    let order = RwSignal::new(None::<Order>);
    let id = letter
        .order_id
        .clone()
        .filter(|_| letter.state == "waiting");
    if let Some(id) = id {
        spawn_local(async move {
            let url = format!("{READ_MODEL}/orders/{}", js_sys::encode_uri_component(&id));
            // Without the order nothing is known to wait: a message may be all that there is of it.
            if let Ok(loaded) = api::get::<Order>(&url).await {
                order.try_set(Some(loaded));
            }
        });
    }
    move || {
        let order = order.get()?;
        let waiting = letter
            .consumers
            .iter()
            .filter(|copy| copy.state == "waiting");
        let lines = waiting.map(|copy| {
            let behind = waiting_behind(&copy.consumer, letter.at, &order.timeline);
            let said = match behind.as_slice() {
                [] => "nothing yet; what comes will wait".to_owned(),
                behind => behind
                    .iter()
                    .map(|entry| name(entry))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            view! { <li><strong>{copy.consumer.clone()}</strong> ": " {said}</li> }
        });
        Some(
            view! { <h3>"What waits behind it"</h3><ul class="complaints">{lines.collect_view()}</ul> },
        )
    }
}

#[component]
fn Letter(work: Work, letter: DeadLetter) -> impl IntoView {
    let session = use_session();
    let Work {
        command,
        is_editing,
        draft,
        ..
    } = work;
    let is_waiting = letter.state == "waiting";
    let url = format!("{READ_MODEL}/admin/dead-letters/{}", letter.dead_letter_id);
    let message = decoded(&letter);
    let kept = StoredValue::new(letter.clone());
    let edited = move || {
        draft
            .get()
            .unwrap_or_else(|| kept.with_value(first_payload))
    };
    let verdict = Memo::new(move |_| kept.with_value(|letter| payload_of(&edited(), letter)));
    let (check_url, get_url) = (
        format!("{url}/redrive?dryRun=true"),
        format!("{READ_MODEL}/dead-letters/{}", letter.dead_letter_id),
    );
    let (redrive_url, edit_url, discard_url) = (
        format!("{url}/redrive"),
        format!("{url}/redrive"),
        format!("{url}/discard"),
    );
    let copied = message.clone();
    let checked = work.checked;
    // The read model does all but send it.
    let check = move |url: String, payload: Value| {
        spawn_local(async move {
            let token = session.token();
            let sender = Sender {
                token: token.as_deref(),
                key: None,
            };
            let body = json!({ "payload": payload });
            let answer = api::post::<Value>(&url, &body, sender).await;
            if let Err(failure) = &answer {
                session.hear(failure);
            }
            checked.try_set(Some(answer.map(drop).map_err(|failure| failure.what)));
        });
    };
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
            <div><dt>"Says it is"</dt><dd class="mono">{letter.original_type.clone()}</dd></div>
            <div><dt>"Event"</dt><dd class="mono">{letter.original_event_id.clone()}</dd></div>
            <div><dt>"First died"</dt><dd>{exact(letter.at)}</dd></div>
        </dl>
        <h3>"What is wrong"</h3>
        <ul class="complaints">
            {letter.consumers.iter().map(|copy| view! {
                <li><strong>{copy.consumer.clone()}</strong> {format!(" (tried {}×): ", copy.attempts)} <span class="mono">{copy.error.clone()}</span></li>
            }).collect_view()}
        </ul>
        <h3 class="with-buttons">{if letter.raw.is_some() { "The message, as text" } else { "Its payload, as it was read" }}
            <CopyButton label="Copy" text=move || copied.clone()/>
            <CopyButton label="Copy as curl" text=move || curl(&browser::absolute(&get_url), None)/>
        </h3>
        <div class=if letter.raw.is_some() { "beside" } else { "" }>
            <pre class="json" tabindex="0">{message}</pre>
            {letter.raw.clone().map(|raw| view! { <div><p class="hint">"The bytes, in base64"</p><pre class="json" tabindex="0">{raw}</pre></div> })}
        </div>
        <Behind letter=letter.clone()/>
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
                            on:input=move |event| { checked.set(None); draft.set(Some(event_target_value(&event))); }></textarea>
                        <p id="payload-wrong" class="wrong" role="alert">{move || verdict.get().err()}</p>
                        <p class="answer" role="status">{move || checked.get().and_then(Result::ok).map(|()| "It fits the schema. Nothing has been sent.")}</p>
                        <p class="wrong" role="alert" id="payload-refused">{move || checked.get().and_then(Result::err)}</p>
                        <div class="actions">
                        <button class="button" id="edit-check" type="button" disabled=move || !session.is_signed_in() || verdict.with(Result::is_err)
                            on:click={let check_url = check_url.clone(); move |_| if let Ok(payload) = verdict.get() { check(check_url.clone(), payload); }}>"Check"</button>
                        <button class="button primary" id="edit-redrive" disabled=move || !session.is_signed_in() || verdict.with(Result::is_err)
                            on:click={let edit_url = edit_url.clone(); move |_| if let Ok(payload) = verdict.get() {
                                ask("Redrive as edited", "The message is handled with this payload. It is checked against the schema first; when it does not fit, nothing is sent.",
                                    &edit_url, json!({ "payload": payload }), false);
                            }}>"Redrive as edited"</button>
                        </div>
                    </div>
                </Show>
            }
        })}
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
