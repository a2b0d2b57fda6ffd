//! Commands: asked for once, however often somebody clicks, and confirmed before they are sent.

use dashboard_model::curl;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sagaline_views::Accepted;
use serde_json::Value;

use crate::api::{self, Sender};
use crate::browser;
use crate::parts::{CopyButton, Dialog};
use crate::session::use_session;

/// What is asked of a service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    /// On the button that sends it.
    pub(crate) label: String,
    /// What will happen.
    pub(crate) consequence: String,
    /// Where.
    pub(crate) url: String,
    /// What is sent.
    pub(crate) body: Value,
    /// It cannot be taken back.
    pub(crate) is_grave: bool,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing was asked.
    Not,
    /// On its way.
    Sending,
    /// It was taken; what comes of it is in the timeline.
    Accepted(String),
    /// It was refused.
    Refused(String),
}

/// In a dialog that was opened by somebody who is signed out by now.
#[component]
pub(crate) fn SignedOut() -> impl IntoView {
    let session = use_session();
    view! {
        <Show when=move || !session.is_signed_in()>
            <p class="wrong" role="alert">"You are signed out, and nothing more is sent. Close this, sign in, and ask again."</p>
        </Show>
    }
}

/// Asks whether a command is meant, sends it, and says what the service answered. A dialog that is open has one key, so a double
/// click is one effect, and so is a click after an answer that was lost.
#[component]
pub(crate) fn Confirm(
    command: RwSignal<Option<Command>>,
    asked: RwSignal<Asked>,
    #[prop(optional, into)] then: Option<Callback<()>>,
) -> impl IntoView {
    let session = use_session();
    let is_open = RwSignal::new(false);
    let key = RwSignal::new(String::new());
    Effect::new(move |_| {
        if command.with(Option::is_some) {
            key.set(browser::random_key());
            asked.set(Asked::Not);
            is_open.set(true);
        }
    });
    Effect::new(move |_| {
        if !is_open.get() && command.with_untracked(Option::is_some) {
            command.set(None);
        }
    });
    let send = move |_| {
        let Some(meant) = command.get_untracked() else {
            return;
        };
        asked.set(Asked::Sending);
        let (token, key) = (session.token(), key.get_untracked());
        spawn_local(async move {
            let sender = Sender {
                token: token.as_deref(),
                key: Some(&key),
            };
            let answer = api::post::<Accepted>(&meant.url, &meant.body, sender).await;
            match answer {
                Ok(accepted) => {
                    asked.try_set(Asked::Accepted(accepted.command_id));
                    is_open.try_set(false);
                    if let Some(then) = then {
                        // The view may have been left meanwhile.
                        then.try_run(());
                    }
                }
                Err(failure) => {
                    session.hear(&failure);
                    asked.try_set(Asked::Refused(failure.what));
                }
            }
        });
    };
    let of = move |part: fn(&Command) -> String| {
        command.with(|command| command.as_ref().map(part).unwrap_or_default())
    };
    let title = Signal::derive(move || format!("{}?", of(|command| command.label.clone())));
    let refused = move || {
        asked.with(|asked| match asked {
            Asked::Refused(why) => Some(why.clone()),
            _ => None,
        })
    };
    view! {
        <Dialog is_open title>
            <p>{move || of(|command| command.consequence.clone())}</p>
            <p class="wrong" role="alert" id="refused">{refused}</p>
            <SignedOut/>
            <div class="buttons">
                <span class="first"><CopyButton label="Copy as curl" text=move || command.with(|command| command.as_ref().map(|command| {
                    curl(&browser::absolute(&command.url), Some(&command.body))
                }).unwrap_or_default())/></span>
                <button type="button" class="button" on:click=move |_| is_open.set(false)>"Keep as it is"</button>
                <button type="button" id="confirm"
                    class=move || if command.with(|c| c.as_ref().is_some_and(|c| c.is_grave)) { "button grave" } else { "button primary" }
                    disabled=move || !session.is_signed_in()
                    on:click=send>
                    {move || if asked.get() == Asked::Sending { "Sending…".to_owned() } else { of(|command| command.label.clone()) }}
                </button>
            </div>
        </Dialog>
    }
}
