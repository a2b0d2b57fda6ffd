//! Letters that are alike.

use dashboard_model::Group;
use leptos::prelude::*;
use leptos_router::components::A;
use sagaline_views::DeadLetter;

use crate::parts::Ago;

use super::{Desk, key};

/// Letters of one group that are listed; more can be chosen all the same.
const LISTED_MAX: usize = 200;

/// A group stays what it is while letters come and go.
#[component]
pub(super) fn OneGroup(
    desk: Desk,
    group: Group,
    grouped: Memo<Option<Vec<Group>>>,
    shown: Memo<Option<String>>,
) -> impl IntoView {
    let this = key(&group);
    let heading = group.reason.clone();
    let (topic, consumers) = (group.topic.clone(), group.consumers.clone());
    let letters = Memo::new(move |_| {
        grouped.with(|groups| {
            let mut groups = groups.iter().flatten();
            groups
                .find(|group| key(group) == this)
                .map(|group| group.letters.clone())
                .unwrap_or_default()
        })
    });
    let are_all_chosen = move || {
        letters.with(|letters| {
            desk.chosen.with(|chosen| {
                letters
                    .iter()
                    .all(|letter| chosen.contains(&letter.dead_letter_id))
            })
        })
    };
    let choose_all = move |is_chosen: bool| {
        letters.with_untracked(|letters| {
            desk.chosen.update(|chosen| {
                for letter in letters {
                    if is_chosen {
                        chosen.insert(letter.dead_letter_id.clone());
                    } else {
                        chosen.remove(&letter.dead_letter_id);
                    }
                }
            });
        });
    };
    let listed = move || {
        letters.with(|letters| letters.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>())
    };
    view! {
        <article class="group">
            <header>
                <label class="check" title="Choose all of these">
                    <input type="checkbox" aria-label=format!("Choose all: {heading}") prop:checked=are_all_chosen
                        on:change=move |event| choose_all(event_target_checked(&event))/>
                </label>
                <div>
                    <h2>{heading.clone()}</h2>
                    <p class="quiet"><span class="mono">{topic}</span> " · refused by " {consumers}</p>
                </div>
                <span class="badge">{move || letters.with(Vec::len)}</span>
            </header>
            <ul>
                <For each=listed key=|letter| (letter.dead_letter_id.clone(), letter.last_died_at) let:letter>
                    <Line desk letter shown/>
                </For>
                <Show when=move || letters.with(|letters| LISTED_MAX < letters.len())>
                    <li class="letter hint">{move || format!("and {} more, which the box above chooses too", letters.with(Vec::len) - LISTED_MAX)}</li>
                </Show>
            </ul>
        </article>
    }
}

#[component]
fn Line(desk: Desk, letter: DeadLetter, shown: Memo<Option<String>>) -> impl IntoView {
    let id = StoredValue::new(letter.dead_letter_id.clone());
    let is_here =
        move || shown.with(|shown| id.with_value(|id| shown.as_deref() == Some(id.as_str())));
    let is_chosen = move || id.with_value(|id| desk.chosen.with(|chosen| chosen.contains(id)));
    let choose = move |is_chosen: bool| {
        desk.chosen.update(|chosen| {
            if is_chosen {
                chosen.insert(id.get_value());
            } else {
                id.with_value(|id| chosen.remove(id));
            }
        });
    };
    let order = letter.order_id.clone();
    view! {
        <li class=move || if is_here() { "letter here" } else { "letter" }>
            <input type="checkbox" aria-label=format!("Choose the letter of {}", order.as_deref().unwrap_or("no order"))
                prop:checked=is_chosen on:change=move |event| choose(event_target_checked(&event))/>
            <A href=format!("/dead-letters/{}", id.get_value())>{order.unwrap_or_else(|| "belongs to no order".to_owned())}</A>
            <span class="quiet"><Ago at=letter.last_died_at/></span>
        </li>
    }
}
