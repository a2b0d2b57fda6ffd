//! What readers understand of what is written here: the dashboard takes its types from `sagaline-views`.

use sagaline_views as views;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::projection::{PROJECTOR, PostMortem};
use crate::testing::given::*;

fn read<T: DeserializeOwned>(bytes: &[u8]) -> T {
    let text = String::from_utf8_lossy(bytes).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| unreachable!("{error}: {text}"))
}

#[test]
fn a_reader_understands_an_orders_document_and_its_state() {
    for events in [happy(), failed()] {
        let order = project(&events);
        let document: views::Order = read(&order.fold().document());
        assert_eq!(document.timeline.len(), events.len());
        assert!(!document.items.is_empty() && document.state.total.is_some());
        let state: views::State = read(&order.fold().state());
        assert_eq!(document.into_state(), state);
    }
}

#[test]
fn a_dead_letter_that_waits_is_counted_alike_in_document_and_state() {
    let mut events = happy();
    let letter = dead_letter(PROJECTOR, json!({ "amount": "x" }));
    events.push(event("dead", 4, None, letter));
    let order = project(&events);
    let document: views::Order = read(&order.fold().document());
    let state: views::State = read(&order.fold().state());
    assert_eq!(state.dead_letters_waiting, 1);
    assert_eq!(document.into_state(), state);
    let letters = events.iter().filter_map(PostMortem::of);
    let letters: Vec<views::DeadLetter> =
        letters.map(|letter| read(&letter.document().0)).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].state, "waiting");
}

#[test]
fn a_reader_understands_every_message_of_a_stream() {
    let order = project(&failed());
    let told: Vec<views::Told> = order
        .statuses()
        .map(|(entry, status)| read(&entry.told(status)))
        .collect();
    assert_eq!(told.len(), failed().len());
}
