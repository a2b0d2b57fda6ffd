//! Who is signed in. The token is kept in the tab's memory and nowhere else.

use dashboard_model::Token;
use leptos::prelude::*;

use crate::api::Failure;
use crate::browser;

const KEY: &str = "sagaline-token";

/// HTTP's word for a token that is worth nothing.
const UNAUTHORIZED: u16 = 401;

/// Who is signed in, if anybody is, and why somebody is no longer who did not sign out.
#[derive(Clone, Copy)]
pub(crate) struct Session(
    pub(crate) RwSignal<Option<Token>>,
    RwSignal<Option<&'static str>>,
);

impl Session {
    /// Takes over what the tab remembers, or what `sagaline token --open` put into the address.
    pub(crate) fn begin() -> Self {
        let handed_over = handed_over();
        let kept =
            browser::session_storage().and_then(|storage| storage.get_item(KEY).ok().flatten());
        let session = Self(RwSignal::new(None), RwSignal::new(None));
        if let Some(text) = handed_over.or(kept) {
            match Token::parse(&text, browser::now_s()) {
                Ok(token) => session.sign_in(token),
                Err(_) => session.end("The token that this tab had is no longer good."),
            }
        }
        session
    }

    pub(crate) fn sign_in(self, token: Token) {
        if let Some(storage) = browser::session_storage() {
            // Without it the token is good until the page is reloaded.
            let _ = storage.set_item(KEY, &token.text);
        }
        self.1.set(None);
        self.0.set(Some(token));
    }

    pub(crate) fn sign_out(self) {
        if let Some(storage) = browser::session_storage() {
            let _ = storage.remove_item(KEY);
        }
        self.1.set(None);
        self.0.set(None);
    }

    /// Signs out somebody who did not ask for it, and says why.
    pub(crate) fn end(self, why: &'static str) {
        self.sign_out();
        self.1.set(Some(why));
    }

    /// Why somebody was signed out who did not ask for it.
    pub(crate) fn ended(self) -> Option<&'static str> {
        self.1.get()
    }

    /// Whatever was refused: when the token was, nobody is signed in any more.
    pub(crate) fn hear(self, failure: &Failure) {
        if failure.status == UNAUTHORIZED && self.0.with_untracked(Option::is_some) {
            self.end("The services no longer take your token.");
        }
    }

    pub(crate) fn is_signed_in(self) -> bool {
        self.0.with(Option::is_some)
    }

    /// The token, for a request.
    pub(crate) fn token(self) -> Option<String> {
        self.0
            .with_untracked(|token| token.as_ref().map(|token| token.text.clone()))
    }
}

/// `#token=…` in the address: servers never see it, and it is taken out at once so that nobody copies it.
fn handed_over() -> Option<String> {
    let location = window().location();
    let token = location.hash().ok()?.strip_prefix("#token=")?.to_owned();
    let clean = location.pathname().ok()?;
    let history = window().history().ok()?;
    let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&clean));
    Some(token)
}

pub(crate) fn use_session() -> Session {
    expect_context::<Session>()
}
