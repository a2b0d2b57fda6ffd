//! Readers at one instance, of what another one saves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use sagaline_contracts::Event;
use tokio_util::sync::CancellationToken;

use super::streams::{Client, names};
use crate::elsewhere::follow;
use crate::testing::World;
use crate::testing::given::*;

/// Longer than the longest pause between two looks.
const A_WHILE: Duration = Duration::from_secs(3);

/// Two instances on one store, the first of which has readers and follows; the second projects.
struct Two {
    reads: World,
    projects: World,
    shutdown: CancellationToken,
}

impl Two {
    fn new() -> Self {
        let reads = World::new();
        let projects = World::on(reads.store.clone());
        Self {
            reads,
            projects,
            shutdown: CancellationToken::new(),
        }
    }

    /// The first one follows, from now on.
    fn follow(&self) {
        let (app, shutdown) = (self.reads.state.clone(), self.shutdown.clone());
        tokio::spawn(async move { follow(&app, &shutdown).await });
    }

    /// Events are published: who follows hears of them. Nobody has projected them yet.
    async fn publish(&self, events: &[Event]) {
        let batch = events.iter().map(|event| self.reads.message(event));
        let batch = batch.collect();
        self.reads.broker.tailed.lock().push_back(batch);
        self.reads.broker.tail_grows.notify_one();
        tokio::time::sleep(A_WHILE).await;
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_told_what_another_instance_saves_and_nothing_before_it_is_saved() {
    let two = Two::new();
    two.follow();
    let mut reader = Client::open(&two.reads, "/orders/o-1/stream?from=start", None).await;
    two.publish(&happy()).await;
    assert_eq!(names(&reader.read()), [""; 0]);
    two.projects.project(&happy()[..2]).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(names(&reader.read()), ["a", "b"]);
    two.projects.project(&happy()[2..]).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(names(&reader.read()), ["c", "d", "e"]);
    // Nothing is left to look for.
    let loads = two.reads.store.loads.load(Ordering::Relaxed);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(two.reads.store.loads.load(Ordering::Relaxed), loads);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_comes_between_publication_and_save_is_told_as_well() {
    let two = Two::new();
    two.follow();
    two.publish(&happy()).await;
    let mut reader = Client::open(&two.reads, "/orders/o-1/stream?from=start", None).await;
    assert_eq!(names(&reader.read()), [""; 0]);
    two.projects.project(&happy()).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(names(&reader.read()), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn the_feed_tells_the_latest_states_of_what_another_instance_saves() {
    let two = Two::new();
    two.follow();
    two.publish(&happy()[..1]).await;
    let mut feed = Client::open(&two.reads, "/orders/stream", None).await;
    two.publish(&happy()[1..]).await;
    two.projects.project(&happy()).await;
    tokio::time::sleep(A_WHILE).await;
    two.reads.hub.feed.flush(two.reads.ports.clock.now());
    let read = feed.read();
    assert_eq!(read.len(), 1);
    assert_eq!(
        (&read[0]["orderId"], &read[0]["outcome"]),
        (&"o-1".into(), &"CONFIRMED".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_reader_of_the_feed_is_not_told_what_was_saved_before() {
    let two = Two::new();
    two.follow();
    two.projects.project(&happy()).await;
    two.publish(&happy()).await;
    let loads = two.reads.store.loads.load(Ordering::Relaxed);
    assert_eq!(loads, 1, "once for all events, though nobody watches");
    let mut feed = Client::open(&two.reads, "/orders/stream", None).await;
    tokio::time::sleep(A_WHILE).await;
    two.reads.hub.feed.flush(two.reads.ports.clock.now());
    assert!(feed.read().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_came_before_it_listened_is_told_what_is_stored_or_has_to_come_back() {
    let two = Two::new();
    two.reads.broker.is_down.store(true, Ordering::Relaxed);
    two.follow();
    let mut reader = Client::open(&two.reads, "/orders/o-1/stream?from=start", None).await;
    let mut feed = Client::open(&two.reads, "/orders/stream", None).await;
    assert!(reader.read().is_empty() && feed.read().is_empty());
    two.projects.project(&happy()).await;
    two.reads.store.is_down.store(true, Ordering::Relaxed);
    two.reads.broker.is_down.store(false, Ordering::Relaxed);
    tokio::time::sleep(A_WHILE).await;
    assert!(reader.read().is_empty());
    two.reads.store.is_down.store(false, Ordering::Relaxed);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(names(&reader.read()), ["a", "b", "c", "d", "e"]);
    assert!(feed.body.next().await.is_none(), "it was cut off");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_is_waited_out() {
    let two = Two::new();
    two.follow();
    let mut reader = Client::open(&two.reads, "/orders/o-1/stream?from=start", None).await;
    two.projects.project(&happy()).await;
    two.reads.store.is_down.store(true, Ordering::Relaxed);
    two.publish(&happy()).await;
    assert!(reader.read().is_empty());
    two.reads.store.is_down.store(false, Ordering::Relaxed);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(names(&reader.read()), ["a", "b", "c", "d", "e"]);
}
