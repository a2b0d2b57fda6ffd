//! A reader can be cut off anywhere, and an event can arrive at any time: no gap, no double.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use sagaline_contracts::Event;
use serde_json::Value;

use super::{FeedForm, Hub, Seen, Snapshot};
use crate::projection::Order;
use crate::testing::given::*;
use crate::testing::of_order;

fn snapshot(events: &[Event]) -> Snapshot {
    Snapshot::of(&project(events))
}

fn event_id(data: &Bytes) -> String {
    let data: Value = serde_json::from_slice(data).unwrap();
    data["eventId"].as_str().unwrap().to_owned()
}

proptest! {
    /// Events arrive one by one in any order; after each the reader reads some, all or none of what there is, and may be
    /// cut off in the middle and resume from the id of the last message that it got.
    #[test]
    fn cut_anywhere_no_event_is_missed_and_none_comes_twice(
        arrival in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        reads in prop::collection::vec(0..4_usize, 6),
        is_from_start in any::<bool>(),
        before in 0..6_usize,
    ) {
        let all = failed();
        let mut known: Vec<Event> = Vec::new();
        let mut seen = Seen::default();
        let mut told: Vec<String> = Vec::new();
        let mut skipped = 0;
        for (step, at) in arrival.iter().enumerate() {
            known.push(all[*at].clone());
            if step < before && !is_from_start {
                seen.skip(&snapshot(&known));
                skipped = step + 1;
                continue;
            }
            // the reader gets so many messages before it is cut off; the last of them has the id that it resumes from
            let mut last = seen.id();
            for (id, data) in seen.unseen(&snapshot(&known)).into_iter().take(reads[step]) {
                told.push(event_id(&data));
                last = id;
            }
            seen = Seen::parse(&last).unwrap();
        }
        told.extend(seen.unseen(&snapshot(&known)).iter().map(|(_, data)| event_id(data)));
        let mut expected: Vec<String> =
            arrival[skipped..].iter().map(|at| all[*at].id.to_string()).collect();
        expected.sort();
        told.sort();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_id_of_ours_is_refused_without_a_panic(text in ".{0,40}") {
        if let Ok(seen) = Seen::parse(&text) {
            prop_assert!(Seen::parse(&seen.id()).is_ok());
        }
    }
}

#[test]
fn an_id_survives_and_nonsense_does_not() {
    let mut seen = Seen::default();
    seen.skip(&snapshot(&happy()));
    assert_eq!(Seen::parse(&seen.id()), Ok(seen));
    for nonsense in [
        "",
        "7",
        "x.",
        "0.***",
        "0.AAA",
        "-1.",
        "0.AAAAAA==",
        &"0".repeat(9_000),
    ] {
        assert!(Seen::parse(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn the_id_of_a_long_order_fits_into_a_header_and_still_resumes() {
    let events: Vec<Event> = (0..3_000)
        .map(|at| event(&format!("r{at}"), at, None, retry("ann")))
        .collect();
    let mut seen = Seen::default();
    seen.skip(&snapshot(&events[..2_990]));
    let id = seen.id();
    assert!(id.len() < 6_000, "{}", id.len());
    let mut resumed = Seen::parse(&id).unwrap();
    assert_eq!(resumed.unseen(&snapshot(&events[..2_990])), []);
    let rest = resumed.unseen(&snapshot(&events));
    let rest: Vec<String> = rest.iter().map(|(_, data)| event_id(data)).collect();
    assert_eq!(
        rest,
        (2_990..3_000)
            .map(|at| format!("r{at}"))
            .collect::<Vec<_>>()
    );
}

#[test]
fn each_message_says_where_the_order_stood_after_it() {
    let told = Seen::default().unseen(&snapshot(&happy()));
    let data: Value = serde_json::from_slice(&told[2].1).unwrap();
    assert_eq!(data["type"], "payment.PaymentAuthorized.v1");
    assert_eq!(data["status"], "PAYMENT_AUTHORIZED");
    assert_eq!(data["details"]["authId"], "auth");
    assert_eq!(data["at"], "1970-01-01T00:00:03.000000Z");
}

#[tokio::test]
async fn an_order_is_watched_as_long_as_someone_reads() {
    let hub = Hub::default();
    let mut first = hub.watchers.watch(order_id());
    let second = hub.watchers.watch(order_id());
    assert_eq!(hub.watchers.watched(), 1);
    drop(second);
    hub.announce(&project(&happy()));
    assert_eq!(*first.changed().await, snapshot(&happy()));
    drop(first);
    assert_eq!(hub.watchers.watched(), 0);
}

#[tokio::test]
async fn a_reader_that_did_not_look_finds_the_latest() {
    let hub = Hub::default();
    let mut watch = hub.watchers.watch(order_id());
    for len in 1..=5 {
        hub.announce(&project(&happy()[..len]));
    }
    assert_eq!(*watch.changed().await, snapshot(&happy()));
}

fn states(chunk: &Bytes) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(chunk).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let states = lines.flat_map(|line| match serde_json::from_str(line).unwrap() {
        Value::Array(states) => states,
        state => vec![state],
    });
    states
        .map(|state| {
            let text = |name: &str| state[name].as_str().unwrap().to_owned();
            (text("orderId"), text("outcome"))
        })
        .collect()
}

fn announce_all(hub: &Hub, id: &str) {
    let events = of_order(&happy(), id);
    for len in 1..=events.len() {
        let mut order = Order::new(crate::testing::order_named(id));
        order.merge(events[..len].iter().map(entry));
        hub.announce(&order);
    }
}

#[tokio::test]
async fn the_feed_tells_each_orders_latest_state_once() {
    let hub = Hub::default();
    let mut each = hub.feed.subscribe(FeedForm::Each);
    let mut batch = hub.feed.subscribe(FeedForm::Batch);
    let mut slow = hub.feed.subscribe(FeedForm::Slow);
    for id in ["o-1", "o-2"] {
        announce_all(&hub, id);
    }
    hub.feed
        .flush(sagaline_contracts::Timestamp::from_micros(7));
    let expected: BTreeMap<String, String> = ["o-1", "o-2"]
        .map(|id| (id.to_owned(), "CONFIRMED".to_owned()))
        .into();
    let chunk = each.next().await.unwrap();
    assert_eq!(states(&chunk), expected);
    assert_eq!(
        String::from_utf8_lossy(&chunk).matches("data: {").count(),
        2
    );
    for reader in [&mut batch, &mut slow] {
        let chunk = reader.next().await.unwrap();
        assert_eq!(states(&chunk), expected);
        assert!(chunk.starts_with(b"id: 7\ndata: ["));
    }
}

#[test]
fn without_readers_nothing_is_rendered_or_kept() {
    let hub = Hub::default();
    announce_all(&hub, "o-1");
    let mut late = hub.feed.subscribe(FeedForm::Each);
    hub.feed.flush(sagaline_contracts::Timestamp::EPOCH);
    assert!(futures::FutureExt::now_or_never(late.next()).is_none());
    drop(late);
    assert_eq!(hub.feed.readers(), 0);
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_dropped_and_holds_up_nobody() {
    let hub = Hub::default();
    let mut slow = hub.feed.subscribe(FeedForm::Each);
    let mut quick = hub.feed.subscribe(FeedForm::Each);
    for _ in 0..1_000 {
        hub.announce(&project(&happy()));
        hub.feed.flush(sagaline_contracts::Timestamp::EPOCH);
        quick.next().await.unwrap();
    }
    assert_eq!(slow.next().await, Err(super::Lagged));
}

#[tokio::test(start_paused = true)]
async fn the_first_state_is_told_at_once_and_the_next_ones_together() {
    tells_together(FeedForm::Each, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_screen_is_told_four_times_a_second() {
    tells_together(FeedForm::Slow, 250).await;
}

async fn tells_together(form: FeedForm, after_ms: u128) {
    let hub = Arc::new(Hub::default());
    let world = crate::testing::World::new();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (hub, clock, shutdown) = (hub.clone(), world.ports.clock.clone(), shutdown.clone());
        async move { hub.feed.run(clock, shutdown).await }
    });
    let mut reader = hub.feed.subscribe(form);
    let began = tokio::time::Instant::now();
    announce_all(&hub, "o-1");
    assert_eq!(states(&reader.next().await.unwrap()).len(), 1);
    assert_eq!(began.elapsed(), std::time::Duration::ZERO);
    announce_all(&hub, "o-2");
    announce_all(&hub, "o-3");
    assert_eq!(states(&reader.next().await.unwrap()).len(), 2);
    assert_eq!(began.elapsed().as_millis(), after_ms);
    shutdown.cancel();
    running.await.unwrap();
}
