//! Where one has been, and where one is: the list that an order was opened from, the title of the tab, and the focus.

use dashboard_model::title;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

use crate::browser;

/// The orders of the list that was looked at last, as they stood in it.
#[derive(Clone, Copy)]
pub(crate) struct Places(RwSignal<Vec<String>>);

impl Places {
    /// Ids that are kept; further down nobody goes step by step.
    pub(crate) const KEPT_MAX: usize = 2_000;

    pub(crate) fn begin() -> Self {
        Self(RwSignal::new(Vec::new()))
    }

    pub(crate) fn keep(self, mut ids: Vec<String>) {
        ids.truncate(Self::KEPT_MAX);
        self.0.set(ids);
    }

    /// The order above this one, and the one below. A list is left after the order is shown, so this changes then.
    pub(crate) fn beside(self, id: &str) -> (Option<String>, Option<String>) {
        self.0.with(|ids| {
            let Some(at) = ids.iter().position(|other| other == id) else {
                return (None, None);
            };
            let above = at.checked_sub(1).and_then(|at| ids.get(at));
            (above.cloned(), ids.get(at + 1).cloned())
        })
    }
}

pub(crate) fn use_places() -> Places {
    expect_context::<Places>()
}

/// Follows where one goes: the tab is named so, and the focus goes there, so that who cannot see it hears it and who uses keys
/// begins there.
pub(crate) fn follow() {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        document().set_title(&title(&now));
        let view = |path: &str| path.split('/').nth(1).map(str::to_owned);
        // A letter is opened beside its list, which keeps the focus.
        let is_other = before.as_deref().is_some_and(|before| {
            before != now && (view(before) != view(&now) || now.starts_with("/orders"))
        });
        if is_other {
            browser::focus("#main");
        }
        now
    });
}
