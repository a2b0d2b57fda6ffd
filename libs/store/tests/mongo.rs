//! The store in `MongoDB`, against a server that speaks its protocol.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::LossyProxy;
use sagaline_store::{
    Index, MongoLimits, MongoStore, SaveResult, Store, StoreError, StoreSpec, Write, contract, open,
};
use sagaline_testkit::{Kind, MongoServer};
use tokio::time::Instant;

use SaveResult::{Conflict, Saved};

const QUICK: MongoLimits = MongoLimits {
    selection: Duration::from_millis(500),
    operation: Duration::from_secs(2),
};

fn write(id: &str, expected: u64) -> Write {
    Write {
        id: id.to_owned(),
        expected,
        body: Bytes::from_static(br#"{"a":1}"#),
        index: Index {
            due: Some(1),
            ..Index::default()
        },
    }
}

async fn version(store: &MongoStore, id: &str) -> Option<u64> {
    let loaded = store.load("orders", &[id]).await.unwrap();
    loaded.into_iter().next().flatten().map(|d| d.version)
}

fn is_outage<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

/// Tries until the store is back; the driver notices a returned server within its heartbeat.
async fn until_available(store: &MongoStore) {
    let started = Instant::now();
    while let Err(error) = store.ping().await {
        assert!(started.elapsed() < Duration::from_secs(20), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_mongodb_keeps_the_contract() {
    let server = MongoServer::start(Kind::Memory).await.unwrap();
    let spec = StoreSpec::Mongo {
        url: server.url(),
        database: "contract".to_owned(),
    };
    contract::check(open(spec).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_an_outage_and_everything_saved_is_there_when_it_is_back() {
    let mut server = MongoServer::start(Kind::H2).await.unwrap();
    let store = MongoStore::connect_with(&server.url(), "test", QUICK)
        .await
        .unwrap();
    let batch: Vec<Write> = (0..50).map(|n| write(&n.to_string(), 0)).collect();
    let results = store.save("orders", batch).await.unwrap();
    assert!(results.iter().all(|result| *result == Saved));

    server.kill_9().unwrap();
    let started = Instant::now();
    assert!(is_outage(&store.save("orders", vec![write("0", 1)]).await));
    assert!(is_outage(&store.load("orders", &["0"]).await));
    assert!(is_outage(&store.due("orders", 9, 9).await));
    assert!(is_outage(&store.count("orders").await));
    assert!(is_outage(&store.ping().await));
    assert!(started.elapsed() < 5 * QUICK.operation + Duration::from_secs(1));

    server.restart().await.unwrap();
    until_available(&store).await;
    assert_eq!(store.count("orders").await.unwrap(), 50);
    assert_eq!(store.due("orders", 1, 100).await.unwrap().len(), 50);
    let results = store
        .save("orders", vec![write("0", 1), write("1", 0)])
        .await;
    assert_eq!(results.unwrap(), [Saved, Conflict]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_an_outage_in_bounded_time() {
    let server = MongoServer::start(Kind::Memory).await.unwrap();
    let store = MongoStore::connect_with(&server.url(), "test", QUICK)
        .await
        .unwrap();
    store.save("orders", vec![write("a", 0)]).await.unwrap();
    server.sigstop().unwrap();
    let started = Instant::now();
    assert!(is_outage(&store.save("orders", vec![write("a", 1)]).await));
    assert!(is_outage(&store.load("orders", &["a"]).await));
    assert!(started.elapsed() < 2 * QUICK.operation + Duration::from_secs(1));
    server.sigcont().unwrap();
    until_available(&store).await;
    assert!(version(&store, "a").await.is_some());
}

#[tokio::test]
async fn a_store_can_be_opened_before_its_server_is_there() {
    let mut server = MongoServer::start(Kind::Memory).await.unwrap();
    server.kill_9().unwrap();
    let store = MongoStore::connect_with(&server.url(), "test", QUICK)
        .await
        .unwrap();
    assert!(is_outage(&store.ping().await));
    server.restart().await.unwrap();
    until_available(&store).await;
    assert_eq!(
        store.save("orders", vec![write("a", 0)]).await.unwrap(),
        [Saved]
    );
}

#[tokio::test]
async fn a_wrong_url_is_reported_without_its_password() {
    let url = "mongodb://user:secret@:x/";
    let error = MongoStore::connect(url, "test").await.unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("secret"),
        "{error:?}"
    );
    let spec = StoreSpec::Mongo {
        url: url.to_owned(),
        database: "test".to_owned(),
    };
    assert!(!format!("{spec:?}").contains("secret"));
}

/// A server with a store that reaches it directly, and one whose answers can be lost.
async fn lossy() -> (MongoServer, LossyProxy, MongoStore, Arc<MongoStore>) {
    let server = MongoServer::start(Kind::Memory).await.unwrap();
    let url = server.url();
    let address = url
        .trim_start_matches("mongodb://")
        .split('/')
        .next()
        .unwrap();
    let proxy = LossyProxy::start(address.to_owned()).await;
    let direct = MongoStore::connect(&url, "test").await.unwrap();
    let url = format!("mongodb://{}/?directConnection=true", proxy.address);
    let store = Arc::new(MongoStore::connect(&url, "test").await.unwrap());
    // the indexes are made at the first save
    store
        .save("orders", vec![write("a", 0), write("b", 0)])
        .await
        .unwrap();
    (server, proxy, direct, store)
}

fn save_in_background(
    store: &Arc<MongoStore>,
    writes: Vec<Write>,
) -> tokio::task::JoinHandle<Result<Vec<SaveResult>, StoreError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.save("orders", writes).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_recognised_as_ours() {
    let (_server, proxy, direct, store) = lossy().await;
    proxy.lose_next_update();
    // a was at 1 and is saved; b is not at 7; c is inserted
    let saving = save_in_background(&store, vec![write("a", 1), write("b", 7), write("c", 0)]);
    proxy.update_is_done().await;
    proxy.cut();
    assert_eq!(saving.await.unwrap().unwrap(), [Saved, Conflict, Saved]);
    assert_eq!(version(&direct, "a").await, Some(2));
    assert_eq!(version(&direct, "b").await, Some(1));
    assert_eq!(version(&direct, "c").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_and_that_was_replaced_since_is_left_open() {
    let (_server, proxy, direct, store) = lossy().await;
    proxy.lose_next_update();
    let saving = save_in_background(&store, vec![write("a", 1)]);
    proxy.update_is_done().await;
    assert_eq!(
        direct.save("orders", vec![write("a", 2)]).await.unwrap(),
        [Saved]
    );
    proxy.cut();
    assert!(
        is_outage(&saving.await.unwrap()),
        "it may have happened or not"
    );
    assert_eq!(version(&direct, "a").await, Some(3));
}

#[tokio::test]
async fn a_write_of_a_document_that_was_removed_does_not_bring_it_back() {
    let server = MongoServer::start(Kind::Memory).await.unwrap();
    let store = MongoStore::connect(&server.url(), "test").await.unwrap();
    store.save("orders", vec![write("a", 0)]).await.unwrap();
    store.clear("orders").await.unwrap();
    assert_eq!(
        store.save("orders", vec![write("a", 1)]).await.unwrap(),
        [Conflict]
    );
    assert_eq!(store.count("orders").await.unwrap(), 0);
}

#[tokio::test]
async fn a_body_that_bson_cannot_hold_is_unusable_and_names_the_document() {
    let server = MongoServer::start(Kind::Memory).await.unwrap();
    let store = MongoStore::connect(&server.url(), "test").await.unwrap();
    let mut bad = write("bad", 0);
    bad.body = Bytes::from_static(br#"{"n":18446744073709551615}"#);
    match store.save("orders", vec![write("good", 0), bad]).await {
        Err(StoreError::Unusable { id, .. }) => assert_eq!(id, "bad"),
        other => panic!("{other:?}"),
    }
    assert_eq!(version(&store, "good").await, None, "nothing was sent");
}
