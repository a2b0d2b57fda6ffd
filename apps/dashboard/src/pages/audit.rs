//! Who asked for what, when, and what came of it.

use dashboard_model::{Act, Tone, count, exact, trail};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use sagaline_views::{AuditEntry, Restock};

use crate::api::{self, INVENTORY, READ_MODEL, Sender, Turns};
use crate::parts::{Ago, Failed, Loading, Pill};
use crate::session::use_session;

#[component]
pub(crate) fn Audit() -> impl IntoView {
    let session = use_session();
    let entries = RwSignal::new(None::<Vec<AuditEntry>>);
    let next = RwSignal::new(None::<String>);
    let failure = RwSignal::new(None::<String>);
    let restocks = RwSignal::new(Vec::<Restock>::new());
    let unknown_restocks = RwSignal::new(None::<String>);
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
    let restock_turns = Turns::new();
    // Another service's to tell: without it the others are shown, and what is missing is said.
    let load_restocks = move || {
        let Some(turn) = restock_turns.take() else {
            return;
        };
        spawn_local(async move {
            let token = session.token();
            let sender = Sender {
                token: token.as_deref(),
                key: None,
            };
            let url = format!("{INVENTORY}/admin/restocks?limit=1000");
            let answer = api::get_as::<Vec<Restock>>(&url, sender).await;
            if !turn.counts() {
                return;
            }
            match answer {
                Ok(page) => {
                    unknown_restocks.try_set(None);
                    restocks.try_set(page.items);
                }
                Err(failed) => {
                    session.hear(&failed);
                    unknown_restocks.try_set(Some(failed.what));
                }
            }
        });
    };
    let again = move || {
        entries.set(None);
        load("/admin/audit?limit=100".to_owned());
        load_restocks();
    };
    // Of two failures one is enough: what is tried again then is both.
    let missing = move || {
        let is_alone = failure.with(Option::is_none);
        is_alone.then(|| unknown_restocks.get()).flatten()
    };
    let acts = move || {
        let whole = next.with(Option::is_none);
        entries.with(|entries| {
            let entries = entries.as_ref()?;
            Some(restocks.with(|restocks| trail(entries, restocks, whole)))
        })
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
                {move || missing().map(|what| view! { <Failed what=format!("Who added to the stock: {what}") again=load_restocks/> })}
                {move || match acts() {
                    None if failure.with(Option::is_some) => ().into_any(),
                    None => view! { <Loading rows=8/> }.into_any(),
                    Some(acts) if acts.is_empty() => view! {
                        <div class="empty"><h2>"Nobody has asked for anything yet"</h2><p>"Every retry, refund, cancellation, restock and decision about a dead letter is recorded here."</p></div>
                    }.into_any(),
                    Some(acts) => view! {
                        <div class="table-frame">
                        <table class="entries">
                            <thead><tr><th scope="col">"When"</th><th scope="col">"Who"</th><th scope="col">"What"</th><th scope="col">"About"</th><th scope="col">"Outcome"</th></tr></thead>
                            <tbody>{acts.into_iter().map(|act| match act {
                                Act::Command(entry) => view! { <Row entry/> }.into_any(),
                                Act::Restock(restock) => view! { <Added restock/> }.into_any(),
                            }).collect_view()}</tbody>
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

#[component]
fn Added(restock: Restock) -> impl IntoView {
    let units = match restock.qty {
        1 => "one unit more".to_owned(),
        qty => format!("{} units more", count(u64::from(qty))),
    };
    view! {
        <tr>
            <td class="when" title=exact(restock.at)><Ago at=restock.at/></td>
            <td class="who-asked"><strong>{restock.requested_by}</strong></td>
            <td class="what">"restock" <span class="note">{units}</span></td>
            <td class="about"><A href="/stock">{restock.sku}</A></td>
            <td class="came-of-it"><Pill tone=Tone::Good text="Accepted"/></td>
        </tr>
    }
}
