//! Who asked for what, when, and what came of it.

use dashboard_model::{Tone, exact};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use sagaline_views::AuditEntry;

use crate::api::{self, READ_MODEL, Sender, Turns};
use crate::parts::{Ago, Failed, Loading, Pill};
use crate::session::use_session;

#[component]
pub(crate) fn Audit() -> impl IntoView {
    let session = use_session();
    let entries = RwSignal::new(None::<Vec<AuditEntry>>);
    let next = RwSignal::new(None::<String>);
    let failure = RwSignal::new(None::<String>);
    let turns = Turns::new();
    let load = move |url: String| {
        let Some(turn) = turns.take() else { return };
        spawn_local(async move {
            let token = session.token();
            let sender = Sender {
                token: token.as_deref(),
                key: None,
            };
            let answer =
                api::get_as::<Vec<AuditEntry>>(&format!("{READ_MODEL}{url}"), sender).await;
            if !turn.counts() {
                return;
            }
            match answer {
                Ok(page) => {
                    failure.try_set(None);
                    entries
                        .try_update(|entries| entries.get_or_insert_default().extend(page.items));
                    next.try_set(page.next);
                }
                Err(failed) => {
                    session.hear(&failed);
                    failure.try_set(Some(failed.what));
                }
            }
        });
    };
    let again = move || {
        entries.set(None);
        load("/admin/audit?limit=100".to_owned());
    };
    Effect::new(move |_| {
        if session.is_signed_in() {
            again();
        }
    });
    view! {
        <section class="audit">
            <header class="title">
                <h1>"Audit"</h1>
                <Show when=move || session.is_signed_in()><button class="button" on:click=move |_| again()>"Refresh"</button></Show>
            </header>
            <Show when=move || session.is_signed_in() fallback=|| view! {
                <div class="empty"><h2>"Sign in to read the audit"</h2><p>"It names people, so it is shown to operators only."</p></div>
            }>
                {move || failure.get().map(|what| view! { <Failed what again=again/> })}
                {move || match entries.get() {
                    None if failure.with(Option::is_some) => ().into_any(),
                    None => view! { <Loading rows=8/> }.into_any(),
                    Some(entries) if entries.is_empty() => view! {
                        <div class="empty"><h2>"Nobody has asked for anything yet"</h2><p>"Every retry, refund, cancellation and decision about a dead letter is recorded here."</p></div>
                    }.into_any(),
                    Some(entries) => view! {
                        <div class="table-frame">
                        <table class="entries">
                            <thead><tr><th scope="col">"When"</th><th scope="col">"Who"</th><th scope="col">"What"</th><th scope="col">"About"</th><th scope="col">"Outcome"</th></tr></thead>
                            <tbody>{entries.into_iter().map(|entry| view! { <Row entry/> }).collect_view()}</tbody>
                        </table>
                        </div>
                    }.into_any(),
                }}
                {move || next.get().map(|url| view! { <button class="button" on:click=move |_| load(url.clone())>"Older"</button> })}
            </Show>
        </section>
    }
}

#[component]
fn Row(entry: AuditEntry) -> impl IntoView {
    let tone = match entry.outcome.as_str() {
        "accepted" => Tone::Good,
        "rejected" => Tone::Bad,
        _ => Tone::Active,
    };
    let outcome = match entry.outcome.as_str() {
        "accepted" => "Accepted",
        "rejected" => "Rejected",
        _ => "Pending",
    };
    view! {
        <tr>
            <td class="when" title=exact(entry.at)><Ago at=entry.at/></td>
            <td class="who-asked"><strong>{entry.requested_by.clone()}</strong></td>
            <td class="what">{entry.command.clone()} {entry.note.clone().map(|note| view! { <span class="note">{note}</span> })}</td>
            <td class="about">{entry.order_id.clone().map(|id| view! { <A href=format!("/orders/{}", js_sys::encode_uri_component(&id))>{id.clone()}</A> })}
                {entry.attempt.filter(|attempt| *attempt > 1).map(|attempt| view! { <span class="note">{format!("attempt {attempt}")}</span> })}
                {entry.dead_letter_id.clone().map(|id| view! { " " <A href=format!("/dead-letters/{id}")>"dead letter"</A> })}</td>
            <td class="came-of-it"><Pill tone text=outcome/> {entry.reason.clone().map(|reason| view! { <span class="note">{reason}</span> })}</td>
        </tr>
    }
}
