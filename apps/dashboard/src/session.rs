//! Who is signed in. The token is kept in the tab's memory and nowhere else.

use dashboard_model::Token;
use leptos::prelude::*;

use crate::browser;

const KEY: &str = "sagaline-token";

/// Who is signed in, if anybody is.
#[derive(Clone, Copy)]
pub(crate) struct Session(pub(crate) RwSignal<Option<Token>>);

impl Session {
    /// Takes over what the tab remembers, or what `sagaline token --open` put into the address.
    pub(crate) fn begin() -> Self {
        let handed_over = handed_over();
        let kept =
            browser::session_storage().and_then(|storage| storage.get_item(KEY).ok().flatten());
        let token = handed_over
            .or(kept)
            .and_then(|text| Token::parse(&text, browser::now_s()).ok());
        let session = Self(RwSignal::new(None));
        if let Some(token) = token {
            session.sign_in(token);
        }
        session
    }

    pub(crate) fn sign_in(self, token: Token) {
        if let Some(storage) = browser::session_storage() {
            // Without it the token is good until the page is reloaded.
            let _ = storage.set_item(KEY, &token.text);
        }
        self.0.set(Some(token));
    }

    pub(crate) fn sign_out(self) {
        if let Some(storage) = browser::session_storage() {
            let _ = storage.remove_item(KEY);
        }
        self.0.set(None);
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
