//! The same bytes in every store, however the events arrive.

use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sagaline_contracts::Event;
use sagaline_runtime::{BatchHandler, Inbound, Ports};
use sagaline_store::{EmbeddedStore, MemoryStore, MongoStore, Store};
use sagaline_testkit::{Kind, MongoServer};
use serde_json::json;

use super::{Mode, Projector, Publisher};
use crate::live::Hub;
use crate::stats::Stats;
use crate::testing::given::*;
use crate::testing::{World, of_order};

/// Orders with everything that may happen to them, and an event of another program with fields of its own.
fn history(world: &World) -> Vec<Inbound> {
    let mut events: Vec<Event> = Vec::new();
    for n in 0..10 {
        events.extend(of_order(&failed(), &format!("failed-{n}")));
        events.extend(of_order(&happy(), &format!("happy-{n}")));
    }
    events.push(event("a", 1, None, created()));
    events.push(event("w", 2, None, wish("ann", None)));
    events.push(event("w2", 3, Some("w"), wish("ann", Some(1))));
    events.push(event("f", 4, Some("w2"), shipping_failed(1)));
    let odd = json!({ "a.b": [1, -0.5, 1e300, "ü\u{2028}\n"], "$where": u64::MAX, "": null });
    events.push(event("dead", 9, None, dead_letter("payment-service", odd)));
    let mut messages: Vec<Inbound> = events.iter().map(|event| world.message(event)).collect();
    let foreign = r#"{ "eventId": "foreign \" \\ ü", "type": "order.OrderConfirmed.v1", "version": 1,
        "timestamp": "2026-01-31T13:00:00.5+01:00", "correlationId": "x", "key": "o-1", "extra": true,
        "payload": { "orderId": "o-1", "price": 10.0, "small": 1e-7, "big": 9007199254740993, "nested": { "z": 1, "a": [ ] } } }"#;
    messages.push(world.raw("order.OrderConfirmed.v1", Some("o-1"), foreign.as_bytes()));
    messages
}

fn shuffled(messages: &[Inbound], runner: &mut TestRunner) -> Vec<Inbound> {
    let strategy = proptest::strategy::Just(messages.to_vec()).prop_shuffle();
    strategy.new_tree(runner).unwrap().current()
}

async fn exported(store: Arc<dyn Store>, messages: &[Inbound], at_once: usize) -> String {
    let world = World::new();
    let ports = Ports {
        store: Arc::clone(&store),
        ..world.ports.clone()
    };
    let publisher = Publisher::new(Arc::clone(&ports.broker));
    for _ in 0..2 {
        // the second instance, or the first after a restart, gets everything again
        let (hub, stats) = (Arc::new(Hub::default()), Arc::new(Stats::default()));
        let projector = Projector::new(ports.clone(), publisher.clone(), hub, stats, Mode::Live);
        for batch in messages.chunks(at_once) {
            projector.handle(batch).await.unwrap();
        }
    }
    let mut out = Vec::new();
    crate::export(&*store, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn memory_the_embedded_store_and_mongodb_end_with_the_same_bytes() {
    let mut runner = TestRunner::deterministic();
    let messages = history(&World::new());
    let expected = exported(Arc::new(MemoryStore::default()), &messages, 1_000).await;
    assert_eq!(expected.lines().count(), 21 + 1 + 1);

    let folder = tempfile::tempdir().unwrap();
    let server = MongoServer::start(Kind::Memory).await.unwrap();
    for round in 0..3 {
        let arriving = shuffled(&messages, &mut runner);
        let at_once = [1, 7, 50][round];
        let embedded = EmbeddedStore::open(folder.path().join(round.to_string())).unwrap();
        assert_eq!(
            exported(Arc::new(embedded), &arriving, at_once).await,
            expected,
            "embedded, {round}"
        );
        let mongo = MongoStore::connect(&server.url(), &format!("round{round}"))
            .await
            .unwrap();
        assert_eq!(
            exported(Arc::new(mongo), &arriving, at_once).await,
            expected,
            "mongo, {round}"
        );
    }
}
