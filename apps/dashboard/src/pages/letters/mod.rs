//! Messages that could not be handled: what they are, what is wrong with them, who waits, and what is to become of them.

mod bulk;
mod group;
mod one;

use std::collections::BTreeSet;

use dashboard_model::{Group, groups};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use sagaline_views::DeadLetter;

use crate::api::{self, READ_MODEL, Reader, Sender};
use crate::browser;
use crate::parts::{Failed, Loading};
use crate::stats::use_stats;

use bulk::Bulk;
use group::OneGroup;
use one::OneLetter;

/// Letters that are loaded at most; more are counted, and come when these are decided.
const LOADED_MAX: usize = 1_000;
/// How often the list is read again though no count has changed.
const LOOK_EVERY_US: i64 = 5_000_000;

#[derive(Clone, Copy)]
struct Desk {
    letters: RwSignal<Option<Vec<DeadLetter>>>,
    failure: RwSignal<Option<String>>,
    state: RwSignal<&'static str>,
    chosen: RwSignal<BTreeSet<String>>,
    /// There are more than are loaded.
    is_cut: RwSignal<bool>,
    reader: Reader,
}

impl Desk {
    fn load(self) {
        self.reader.ask(move || self.read());
    }

    async fn read(self) {
        let Some(state) = self.state.try_get_untracked() else {
            return;
        };
        let mut letters = Vec::new();
        let mut url = format!("/dead-letters?state={state}&limit=100");
        let is_cut = loop {
            let answer =
                api::get_as::<Vec<DeadLetter>>(&format!("{READ_MODEL}{url}"), Sender::default())
                    .await;
            // Somebody looks at others by now, for which another request follows, or at none.
            if self.state.try_get_untracked() != Some(state) {
                return;
            }
            match answer {
                Ok(page) => {
                    letters.extend(page.items);
                    match page.next {
                        Some(next) if letters.len() < LOADED_MAX => url = next,
                        next => break next.is_some(),
                    }
                }
                Err(failure) => {
                    self.failure.set(Some(failure.what));
                    return;
                }
            }
        };
        self.failure.set(None);
        self.is_cut.set(is_cut);
        // Drawn only when it is another list: nobody loses their place because nothing happened.
        if self
            .letters
            .with_untracked(|shown| shown.as_ref() != Some(&letters))
        {
            self.letters.set(Some(letters));
        }
    }

    fn show(self, state: &'static str) {
        self.letters.set(None);
        self.chosen.set(BTreeSet::new());
        self.state.set(state);
    }
}

#[component]
pub(crate) fn Letters() -> impl IntoView {
    let desk = Desk {
        letters: RwSignal::new(None),
        failure: RwSignal::new(None),
        state: RwSignal::new("waiting"),
        chosen: RwSignal::new(BTreeSet::new()),
        is_cut: RwSignal::new(false),
        reader: Reader::new(),
    };
    let stats = use_stats();
    // The count is told once a second; when it changes there is something else to show. One that is decided while another dies
    // changes no count, and is seen a little later.
    let looks = Memo::new(move |_| stats.now.get().0 / LOOK_EVERY_US);
    let waiting = Memo::new(move |_| {
        stats
            .latest
            .with(|stats| stats.as_ref().map(|stats| stats.dead_letters.waiting))
    });
    Effect::new(move |before: Option<()>| {
        // Read, not only tracked: a memo that nobody reads never looks.
        let _ = (looks.get(), waiting.get(), desk.state.get());
        if before.is_none() || browser::is_visible() {
            desk.load();
        }
    });
    let params = use_params_map();
    let shown = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned)));
    let grouped = Memo::new(move |_| desk.letters.with(|letters| letters.clone().map(groups)));
    let list = move || grouped.get().unwrap_or_default();
    view! {
        <section class="letters">
            <header class="title">
                <h1>"Dead letters"</h1>
                <div class="segments" role="group" aria-label="State">
                    {["waiting", "redriven", "discarded"].map(|state| view! {
                        <button class=move || if desk.state.get() == state { "segment here" } else { "segment" }
                            aria-pressed=move || (desk.state.get() == state).to_string()
                            on:click=move |_| desk.show(state)>
                            {match state { "waiting" => "Waiting", "redriven" => "Redriven", _ => "Discarded" }}
                        </button>
                    }).collect_view()}
                </div>
                <Bulk desk/>
            </header>
            <div class=move || if shown.get().is_some() { "split open" } else { "split" }>
                <div class="groups">
                    {move || desk.failure.get().map(|what| view! { <Failed what again=move || desk.load()/> })}
                    <Show when=move || desk.is_cut.get()>
                        <p class="hint cut">{format!("These are the latest {LOADED_MAX}. There are more; they come when these are decided.")}</p>
                    </Show>
                    <Show when=move || grouped.with(Option::is_none) && desk.failure.with(Option::is_none)><Loading rows=6/></Show>
                    <Show when=move || grouped.with(|groups| groups.as_ref().is_some_and(Vec::is_empty))><Nothing desk/></Show>
                    <For each=list key=|group| key(group) let:group>
                        <OneGroup desk group grouped shown/>
                    </For>
                </div>
                {move || shown.get().map(|id| view! { <OneLetter desk id/> })}
            </div>
        </section>
    }
}

/// What makes a group this one, whatever letters are in it.
fn key(group: &Group) -> (String, String, String) {
    (
        group.topic.clone(),
        group.consumers.clone(),
        group.reason.clone(),
    )
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
