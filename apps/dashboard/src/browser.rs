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

/// Puts text on the clipboard; says whether it is there.
pub(crate) async fn copy(text: String) -> bool {
    let navigator = leptos::prelude::window().navigator();
    // There is none where the page is not trusted: over plain HTTP from another machine.
    let is_there = js_sys::Reflect::get(&navigator, &"clipboard".into())
        .is_ok_and(|clipboard| clipboard.is_object());
    if is_there
        && wasm_bindgen_futures::JsFuture::from(navigator.clipboard().write_text(&text))
            .await
            .is_ok()
    {
        return true;
    }
    copy_selected(&text).unwrap_or(false)
}

/// The old way: what is selected is copied. Within a dialog, because nothing outside of one that is open can be selected.
fn copy_selected(text: &str) -> Option<bool> {
    let document = leptos::prelude::document();
    let area = document.create_element("textarea").ok()?;
    let area: web_sys::HtmlTextAreaElement = area.dyn_into().ok()?;
    area.set_value(text);
    area.set_class_name("off-screen");
    let place = document.query_selector("dialog[open]").ok().flatten();
    let place = place.or_else(|| document.body().map(Into::into))?;
    let before = document.active_element();
    place.append_child(&area).ok()?;
    area.select();
    let document: web_sys::HtmlDocument = document.dyn_into().ok()?;
    let is_copied = document.exec_command("copy").unwrap_or(false);
    area.remove();
    if let Some(before) = before.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
    {
        // It fails when the element is not shown any more.
        let _ = before.focus();
    }
    Some(is_copied)
}

/// An address with this page's origin before it.
pub(crate) fn absolute(path: &str) -> String {
    let origin = leptos::prelude::window().location().origin();
    format!("{}{path}", origin.unwrap_or_default())
}

/// `/` is the list of orders: one address, so that looking for something there stays on the same view.
pub(crate) fn go_home() -> Option<()> {
    let location = leptos::prelude::window().location();
    if location.pathname().ok()? == "/" {
        let to = format!(
            "/orders{}{}",
            location.search().ok()?,
            location.hash().ok()?
        );
        let history = leptos::prelude::window().history().ok()?;
        history
            .replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&to))
            .ok()?;
    }
    Some(())
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

/// Takes the focus from whatever has it within an element.
pub(crate) fn blur_within(element: &web_sys::Node) {
    let active = leptos::prelude::document().active_element();
    if let Some(active) = active.filter(|active| element.contains(Some(active)))
        && let Some(active) = active.dyn_ref::<web_sys::HtmlElement>()
    {
        // It fails when the element has gone meanwhile.
        let _ = active.blur();
    }
}

/// Whether a key was pressed while somebody writes.
pub(crate) fn is_writing() -> bool {
    let active = leptos::prelude::document().active_element();
    active.is_some_and(|element| {
        matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
    })
}
