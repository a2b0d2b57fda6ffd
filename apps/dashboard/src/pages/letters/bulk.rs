//! Many letters at once: first what would happen, tried if somebody wants to know, then one after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::DeadLetter;
use serde_json::{Value, json};

use crate::api::{self, READ_MODEL, Sender};
use crate::parts::{Dialog, SignedOut};
use crate::session::{Session, use_session};

use super::Desk;

/// Decisions a second that can be chosen: the services have other work too.
const RATES: [u64; 3] = [5, 20, 50];
const RATE_DEFAULT: u64 = 20;
/// Complaints that are shown.
const SHOWN_MAX: usize = 5;

/// How far it is.
#[derive(Debug, Clone, Default)]
struct Progress {
    is_trial: bool,
    done: usize,
    all: usize,
    refused: Vec<String>,
    is_over: bool,
    is_stopped: bool,
}

impl Progress {
    fn said(&self) -> String {
        let (done, all, refused) = (self.done, self.all, self.refused.len());
        let fine = done - refused;
        let begun = match (self.is_trial, self.is_stopped) {
            (true, _) if self.is_over => {
                return format!(
                    "Tried, and nothing has been sent: {fine} would be taken, {refused} refused."
                );
            }
            (true, _) => "Trying",
            (false, true) => "Stopped",
            (false, false) if self.is_over => "Done",
            (false, false) => "Under way",
        };
        format!("{begun}: {done} of {all}, {refused} refused")
    }
}

#[derive(Clone, Copy)]
struct Work {
    desk: Desk,
    session: Session,
    action: RwSignal<&'static str>,
    progress: RwSignal<Option<Progress>>,
    rate: RwSignal<u64>,
}

impl Work {
    fn is_running(self) -> bool {
        self.progress
            .with(|progress| progress.as_ref().is_some_and(|progress| !progress.is_over))
    }

    /// Nothing was done but tried.
    fn is_open(self) -> bool {
        self.progress
            .with(|progress| progress.as_ref().is_none_or(|p| p.is_trial && p.is_over))
    }

    fn meant(self) -> Vec<DeadLetter> {
        let chosen = self.desk.chosen.get();
        self.desk.letters.with(|letters| {
            let letters = letters.iter().flatten().filter(|letter| {
                chosen.contains(&letter.dead_letter_id) && letter.state == "waiting"
            });
            letters.cloned().collect()
        })
    }

    fn stop(self) {
        self.progress.update(|progress| {
            if let Some(progress) = progress {
                progress.is_stopped = true;
            }
        });
    }

    /// Decides one after the other. Leaving the view, signing out and stopping end it; what is decided stays so. No key is
    /// needed: the same decision about the same letter is one decision.
    fn run(self, is_trial: bool) {
        let (letters, what) = untrack(|| (self.meant(), self.action.get()));
        if untrack(|| self.is_running()) || letters.is_empty() {
            return;
        }
        let all = letters.len();
        self.progress.set(Some(Progress {
            is_trial,
            all,
            ..Progress::default()
        }));
        let rest = if is_trial { "?dryRun=true" } else { "" };
        spawn_local(async move {
            for letter in letters {
                let is_on = self.progress.try_with_untracked(|progress| {
                    progress
                        .as_ref()
                        .is_some_and(|progress| !progress.is_stopped)
                });
                let Some(token) = self.session.token().filter(|_| is_on == Some(true)) else {
                    break;
                };
                let id = &letter.dead_letter_id;
                let url = format!("{READ_MODEL}/admin/dead-letters/{id}/{what}{rest}");
                let sender = Sender {
                    token: Some(&token),
                    key: None,
                };
                let failed = api::post::<Value>(&url, &json!({}), sender).await.err();
                if let Some(failure) = &failed {
                    self.session.hear(failure);
                }
                self.progress.try_update(|progress| {
                    if let Some(progress) = progress {
                        progress.done += 1;
                        progress.refused.extend(failed.map(|failure| failure.what));
                    }
                });
                let Some(rate) = self.rate.try_get_untracked() else {
                    return;
                };
                pause(1_000 / rate).await;
            }
            self.progress.try_update(|progress| {
                if let Some(progress) = progress {
                    progress.is_over = true;
                    progress.is_stopped |= progress.done < progress.all;
                }
            });
            if !is_trial {
                self.desk.chosen.try_set(BTreeSet::new());
                self.desk.load();
            }
        });
    }
}

#[component]
pub(super) fn Bulk(desk: Desk) -> impl IntoView {
    let session = use_session();
    let is_open = RwSignal::new(false);
    let work = Work {
        desk,
        session,
        action: RwSignal::new("redrive"),
        progress: RwSignal::new(None),
        rate: RwSignal::new(RATE_DEFAULT),
    };
    let ask = move |what: &'static str| {
        // While one is under way it is shown, and no other begun.
        if !work.is_running() {
            work.action.set(what);
            work.progress.set(None);
        }
        is_open.set(true);
    };
    let title = Signal::derive(move || {
        match work.action.get() {
            "redrive" => "Redrive the chosen letters",
            _ => "Discard the chosen letters",
        }
        .to_owned()
    });
    view! {
        <div class="actions">
            <Show when=move || work.is_running()>
                <button class="button" id="bulk-progress" on:click=move |_| is_open.set(true)>{move || work.progress.get().map(|progress| progress.said())}</button>
            </Show>
            <Show when=move || !desk.chosen.with(BTreeSet::is_empty) && desk.state.get() == "waiting" && !work.is_running()>
                <span class="quiet">{move || format!("{} chosen", work.meant().len())}</span>
                <button class="button" id="bulk-redrive" disabled=move || !session.is_signed_in() on:click=move |_| ask("redrive")>"Redrive…"</button>
                <button class="button grave" id="bulk-discard" disabled=move || !session.is_signed_in() on:click=move |_| ask("discard")>"Discard…"</button>
            </Show>
            <Dialog is_open title>
                <Show when=move || work.is_open()><Meant work/></Show>
                <p role="status" id="bulk-said">{move || work.progress.get().map(|progress| progress.said())}</p>
                <ul class="wrong">{move || work.progress.get().map(|progress| progress.refused.into_iter().take(SHOWN_MAX)
                    .map(|what| view! { <li>{what}</li> }).collect_view())}</ul>
                <SignedOut/>
                <div class="buttons">
                    <Show when=move || work.is_running()>
                        <button class="button grave" type="button" id="bulk-stop" on:click=move |_| work.stop()>"Stop"</button>
                    </Show>
                    <button class="button" type="button" id="bulk-close" on:click=move |_| is_open.set(false)>{move || if work.is_open() { "Keep them" } else { "Close" }}</button>
                    <Show when=move || work.is_open() && work.action.get() == "redrive">
                        <button class="button" type="button" id="bulk-try" disabled=move || !session.is_signed_in() on:click=move |_| work.run(true)>"Try without sending"</button>
                    </Show>
                    <Show when=move || work.is_open()>
                        <button class="button grave" type="button" id="bulk-confirm" disabled=move || !session.is_signed_in() on:click=move |_| work.run(false)>{move || if work.action.get() == "redrive" { "Redrive them" } else { "Discard them" }}</button>
                    </Show>
                </div>
            </Dialog>
        </div>
    }
}

/// What would happen.
#[component]
fn Meant(work: Work) -> impl IntoView {
    let is_redrive = move || work.action.get() == "redrive";
    let whole = move || {
        let letters = work.meant();
        let orders: BTreeSet<_> = letters
            .iter()
            .filter_map(|letter| letter.order_id.clone())
            .collect();
        let what = if is_redrive() {
            "handled again as they were; those that fail again come back here"
        } else {
            "dropped for good; what waits behind them is handled next"
        };
        format!(
            "{} messages of {} orders are {what}",
            letters.len(),
            orders.len()
        )
    };
    let without = move || {
        let without = work
            .meant()
            .iter()
            .filter(|letter| letter.order_id.is_none())
            .count();
        let refused = if without > 0 && is_redrive() {
            ", and will be refused: they have to be edited"
        } else {
            ""
        };
        format!("{without} of them belong to no order{refused}")
    };
    view! {
        <p>"Nothing has been done yet. This is what would happen:"</p>
        <ul>
            <li>{whole}</li>
            <li>{without}</li>
            <li>"Each stands in the audit under your name; it can be stopped at any time"</li>
        </ul>
        <label class="choice">
            <span>"At most"</span>
            <select on:change=move |event| if let Ok(rate) = event_target_value(&event).parse() { work.rate.set(rate); }>
                {RATES.map(|rate| view! { <option value=rate.to_string() selected=rate == work.rate.get_untracked()>{format!("{rate} a second")}</option> }).collect_view()}
            </select>
        </label>
    }
}

async fn pause(ms: u64) {
    let (done, wait) = futures_channel();
    set_timeout(done, Duration::from_millis(ms));
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
