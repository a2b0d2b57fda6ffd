//! Parts that several views are made of.

mod command;

pub(crate) use command::{Asked, Command, Confirm, SignedOut};

use dashboard_model::{Tone, ago, exact, label, outcome_label, outcome_tone, status_tone};
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::{Moment, Outcome, Status};

use crate::live::Link;
use crate::stats::use_stats;

/// A word with a shape and a colour.
#[component]
pub(crate) fn Pill(tone: Tone, #[prop(into)] text: String) -> impl IntoView {
    view! { <span class=format!("pill {}", tone.class())>{text}</span> }
}

/// An order's status.
#[component]
pub(crate) fn StatusPill(status: Option<Status>) -> impl IntoView {
    match status {
        Some(status) => view! { <Pill tone=status_tone(status) text=label(status)/> }.into_any(),
        None => view! { <Pill tone=Tone::Plain text="Unknown"/> }.into_any(),
    }
}

/// An order's outcome.
#[component]
pub(crate) fn OutcomePill(outcome: Outcome) -> impl IntoView {
    view! { <Pill tone=outcome_tone(outcome) text=outcome_label(outcome)/> }
}

/// How long ago, kept up; in full when pointed at.
#[component]
pub(crate) fn Ago(#[prop(into)] at: Signal<Moment>) -> impl IntoView {
    let stats = use_stats();
    view! {
        <time datetime=move || at.get().to_string() title=move || exact(at.get())>
            {move || ago(at.get(), stats.now.get())}
        </time>
    }
}

/// How the stream stands.
#[component]
pub(crate) fn LinkState(link: ReadSignal<Link>) -> impl IntoView {
    let said = move || match link.get() {
        Link::Connecting => ("connecting", "Connecting…"),
        Link::Live => ("live", "Live"),
        Link::Lost => ("lost", "Connection lost, reconnecting…"),
        Link::Resting => ("resting", "Paused while hidden"),
    };
    view! { <span class=move || format!("link {}", said().0) role="status" id="link-state">{move || said().1}</span> }
}

/// A modal dialog: the browser's own, which keeps the focus inside and closes on Escape.
#[component]
pub(crate) fn Dialog(
    is_open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        match (is_open.get(), dialog.open()) {
            // It fails when the dialog is shown already.
            (true, false) => drop(dialog.show_modal()),
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    view! {
        <dialog node_ref=node on:close=move |_| is_open.set(false) aria-label=move || title.get()>
            <h2>{move || title.get()}</h2>
            {children()}
        </dialog>
    }
}

/// Something could not be loaded.
#[component]
pub(crate) fn Failed(#[prop(into)] what: String, again: impl Fn() + 'static) -> impl IntoView {
    view! {
        <div class="failed" role="alert">
            <p><strong>"This could not be loaded. "</strong>{what}</p>
            <button class="button" on:click=move |_| again()>"Try again"</button>
        </div>
    }
}

/// Rows that are on their way.
#[component]
pub(crate) fn Loading(#[prop(default = 6)] rows: usize) -> impl IntoView {
    view! {
        <div class="skeleton" role="status" aria-label="Loading">
            {(0..rows).map(|_| view! { <span></span> }).collect_view()}
        </div>
    }
}

/// A button that copies, and says whether it did.
#[component]
pub(crate) fn CopyButton(
    text: impl Fn() -> String + 'static,
    #[prop(into)] label: String,
) -> impl IntoView {
    let said = RwSignal::new(None::<&'static str>);
    view! {
        <button class="button small" type="button" on:click=move |_| {
            let text = text();
            spawn_local(async move {
                let is_copied = crate::browser::copy(text).await;
                said.try_set(Some(if is_copied { "Copied" } else { "Not copied: refused" }));
                set_timeout(move || { said.try_set(None); }, std::time::Duration::from_millis(1_500));
            });
        }>{move || said.get().map_or_else(|| label.clone(), str::to_owned)}</button>
    }
}
