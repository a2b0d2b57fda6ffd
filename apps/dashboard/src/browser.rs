//! The few things that are asked of the browser directly.

use sagaline_views::Moment;
use wasm_bindgen::JsCast;

/// Now, by the clock of the machine that shows the page.
#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds since 1970 are exact"
)]
pub(crate) fn now() -> Moment {
    Moment(js_sys::Date::now() as i64 * 1_000)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    now().0.div_euclid(1_000_000)
}

/// Something that nobody has drawn before: the time and some fifty random bits.
pub(crate) fn random_key() -> String {
    format!(
        "ui-{:.0}-{:.0}",
        js_sys::Date::now(),
        js_sys::Math::random() * 1e15
    )
}

/// The page's loading text has done its work.
pub(crate) fn remove_loading_shell() {
    if let Some(shell) = leptos::prelude::document().get_element_by_id("loading") {
        shell.remove();
    }
}

/// Whether somebody can see the page.
pub(crate) fn is_visible() -> bool {
    !leptos::prelude::document().hidden()
}

/// What the tab remembers until it is closed.
pub(crate) fn session_storage() -> Option<web_sys::Storage> {
    leptos::prelude::window().session_storage().ok().flatten()
}

/// Puts text on the clipboard.
pub(crate) fn copy(text: &str) {
    let clipboard = leptos::prelude::window().navigator().clipboard();
    // Refused where the page is not trusted; the text is selectable as well.
    let _ = clipboard.write_text(text);
}

/// Moves the focus to the first element of this selector.
pub(crate) fn focus(selector: &str) {
    let found = leptos::prelude::document()
        .query_selector(selector)
        .ok()
        .flatten();
    if let Some(element) = found.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
    {
        // It fails when the element is not shown.
        let _ = element.focus();
    }
}

/// Whether a key was pressed while somebody writes.
pub(crate) fn is_writing() -> bool {
    let active = leptos::prelude::document().active_element();
    active.is_some_and(|element| {
        matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
    })
}
