//! The frame around every view: where one is, where one can go, who one is, and whether the pipeline answers.

use dashboard_model::{Token, duration};
use leptos::prelude::*;
use leptos_router::components::{A, Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::path;

use crate::browser;
use crate::pages::{
    audit::Audit, letters::Letters, new_order::NewOrder, order::OrderPage, orders::Orders,
    overview::Overview, stock::Stock,
};
use crate::parts::Dialog;
use crate::places::{Places, follow};
use crate::session::{Session, use_session};
use crate::stats::{Sampled, use_stats};

#[component]
pub(crate) fn App() -> impl IntoView {
    provide_context(Session::begin());
    provide_context(Sampled::begin());
    provide_context(Places::begin());
    view! {
        <Router>
            <Follow/>
            <a class="skip" href="#main">"Skip to the content"</a>
            <div class="frame">
                <Navigation/>
                <main id="main" tabindex="-1">
                    <Outage/>
                    <Ended/>
                    <Routes fallback=|| view! { <Nowhere/> }>
                        <Route path=path!("/orders") view=Orders/>
                        <Route path=path!("/orders/:id") view=OrderPage/>
                        <Route path=path!("/overview") view=Overview/>
                        <Route path=path!("/new") view=NewOrder/>
                        <Route path=path!("/dead-letters/:id?") view=Letters/>
                        <Route path=path!("/stock") view=Stock/>
                        <Route path=path!("/audit") view=Audit/>
                    </Routes>
                </main>
            </div>
        </Router>
    }
}

#[component]
fn Follow() -> impl IntoView {
    follow();
}

#[component]
fn Navigation() -> impl IntoView {
    let stats = use_stats();
    let waiting = move || {
        stats
            .latest
            .with(|stats| stats.as_ref().map_or(0, |stats| stats.dead_letters.waiting))
    };
    let location = use_location();
    let is_orders = move || location.pathname.with(|path| path.starts_with("/orders"));
    view! {
        <nav class="side" aria-label="Views">
            <A href="/orders" attr:class="brand">
                <svg viewBox="0 0 32 32" aria-hidden="true"><path d="M5 9h10a5 5 0 0 1 5 5v4a5 5 0 0 0 5 5h2"/><circle cx="5" cy="9" r="3"/><circle cx="27" cy="23" r="3"/></svg>
                <span>"Sagaline"</span>
            </A>
            <ul>
                <li><A href="/orders" attr:class=move || if is_orders() { "here" } else { "" }>"Orders"</A></li>
                <li><A href="/overview">"Overview"</A></li>
                <li>
                    <A href="/dead-letters">
                        "Dead letters"
                        <Show when=move || 0 < waiting()>
                            <span class="badge" aria-label=move || format!("{} waiting", waiting())>{waiting}</span>
                        </Show>
                    </A>
                </li>
                <li><A href="/stock">"Stock"</A></li>
                <li><A href="/audit">"Audit"</A></li>
            </ul>
            <A href="/new" attr:class="button primary">"New order"</A>
            <Account/>
        </nav>
    }
}

/// Says so when the pipeline does not answer; whatever is shown stays.
#[component]
fn Outage() -> impl IntoView {
    let stats = use_stats();
    view! {
        <div role="status" aria-live="polite">
            <Show when=move || stats.failure.with(Option::is_some)>
                <p class="outage">
                    <strong>"The pipeline does not answer. "</strong>
                    {move || stats.failure.get()}
                    {move || if stats.latest.with(Option::is_some) {
                        " What you see is the latest that was heard; it goes on by itself."
                    } else {
                        " It is asked again every second."
                    }}
                </p>
            </Show>
        </div>
    }
}

/// Says why nobody is signed in any more who did not sign out.
#[component]
fn Ended() -> impl IntoView {
    let session = use_session();
    view! {
        <div role="alert">
            {move || session.ended().map(|why| view! {
                <p class="ended" id="session-ended">
                    <strong>{why}</strong>
                    " You can read on. To act, sign in again: what you have written here is kept."
                </p>
            })}
        </div>
    }
}

#[component]
fn Account() -> impl IntoView {
    let session = use_session();
    let stats = use_stats();
    let is_open = RwSignal::new(false);
    // A token that has ended is worth nothing.
    Effect::new(move |_| {
        let now_s = stats.now.get().0.div_euclid(1_000_000);
        if session
            .0
            .with(|token| token.as_ref().is_some_and(|token| token.left_s(now_s) <= 0))
        {
            session.end("Your token has ended.");
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "seconds of a token's life")]
    let left = move || {
        let now_s = stats.now.get().0.div_euclid(1_000_000);
        session.0.with(|token| {
            token.as_ref().map(|token| {
                let left = token.left_s(now_s);
                duration((if left > 120 { left - left % 60 } else { left }) as f64 * 1_000.0)
            })
        })
    };
    view! {
        <div class="account">
            <Show
                when=move || session.is_signed_in()
                fallback=move || view! {
                    <p class="hint">"Read only"</p>
                    <button class="button" id="sign-in" on:click=move |_| is_open.set(true)>"Sign in"</button>
                }
            >
                <p><strong class="who">{move || session.0.with(|token| token.as_ref().map(|token| token.sub.clone()))}</strong></p>
                <p class="hint">"for " {left}</p>
                <button class="button" id="sign-out" on:click=move |_| session.sign_out()>"Sign out"</button>
            </Show>
            <SignIn is_open/>
        </div>
    }
}

#[component]
fn SignIn(is_open: RwSignal<bool>) -> impl IntoView {
    let session = use_session();
    let text = RwSignal::new(String::new());
    let wrong = RwSignal::new(None::<String>);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        match Token::parse(&text.get(), browser::now_s()) {
            Ok(token) => {
                session.sign_in(token);
                text.set(String::new());
                wrong.set(None);
                is_open.set(false);
            }
            Err(what) => wrong.set(Some(what)),
        }
    };
    view! {
        <Dialog is_open title="Sign in">
            <form on:submit=submit>
                <p>"Make a token on the machine where the pipeline runs, and paste it here:"</p>
                <pre class="command">"sagaline token --sub \"$USER\" --role admin --ttl 24h"</pre>
                <label for="token">"Token"</label>
                <textarea id="token" rows="4" autocomplete="off" spellcheck="false" prop:value=text
                    aria-describedby="token-wrong"
                    on:input=move |event| text.set(event_target_value(&event))></textarea>
                <p id="token-wrong" class="wrong" role="alert">{wrong}</p>
                <p class="hint">"It is kept in this tab only, and forgotten when the tab is closed."</p>
                <div class="buttons">
                    <button type="button" class="button" on:click=move |_| is_open.set(false)>"Cancel"</button>
                    <button type="submit" class="button primary" id="token-submit">"Sign in"</button>
                </div>
            </form>
        </Dialog>
    }
}

#[component]
fn Nowhere() -> impl IntoView {
    view! {
        <section class="empty">
            <h1>"There is nothing here"</h1>
            <p>"The address leads nowhere. " <A href="/orders">"Go to the orders"</A></p>
        </section>
    }
}
