//! The embedded store.

use std::sync::Arc;

use bytes::Bytes;
use sagaline_store::{
    EmbeddedStore, Index, ListQuery, SaveResult, Store, StoreError, Write, contract,
};
use tempfile::TempDir;

fn write(id: &str, expected: u64) -> Write {
    Write {
        id: id.to_owned(),
        expected,
        body: Bytes::from_static(b"{}"),
        index: Index {
            due: Some(1),
            tag: Some("t".to_owned()),
            rank: Some(1),
            settled: true,
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_the_contract() {
    let folder = TempDir::new().unwrap();
    contract::check(Arc::new(EmbeddedStore::open(folder.path()).unwrap())).await;
}

#[tokio::test]
async fn everything_is_there_after_a_reopening() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    store
        .save("orders", vec![write("a", 0), write("b", 0)])
        .await
        .unwrap();
    store.save("orders", vec![write("a", 1)]).await.unwrap();
    store.save("payments", vec![write("p", 0)]).await.unwrap();
    store.clear("payments").await.unwrap();
    drop(store);

    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert_eq!(store.count("orders").await.unwrap(), 2);
    assert_eq!(store.count("payments").await.unwrap(), 0);
    let loaded = store.load("orders", &["a", "b"]).await.unwrap();
    let versions: Vec<_> = loaded.into_iter().map(|d| d.unwrap().version).collect();
    assert_eq!(versions, [2, 1]);
    assert_eq!(store.due("orders", 1, 10).await.unwrap().len(), 2);
    let query = ListQuery {
        tag: Some("t".to_owned()),
        after: None,
        limit: 10,
    };
    assert_eq!(store.list("orders", query).await.unwrap().len(), 2);
    let results = store
        .save("orders", vec![write("a", 1), write("b", 1)])
        .await;
    assert_eq!(results.unwrap(), [SaveResult::Conflict, SaveResult::Saved]);
}

#[tokio::test]
async fn a_cleared_collection_stays_empty_after_a_reopening_and_can_be_cleared_again() {
    let folder = TempDir::new().unwrap();
    for round in 0..4 {
        let store = EmbeddedStore::open(folder.path()).unwrap();
        assert_eq!(store.count("orders").await.unwrap(), 0, "round {round}");
        assert!(store.scan("orders", None, 10).await.unwrap().is_empty());
        store.save("orders", vec![write("a", 0)]).await.unwrap();
        store.clear("orders").await.unwrap();
    }
}

#[tokio::test]
async fn a_second_opening_of_the_same_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let _store = EmbeddedStore::open(folder.path()).unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("another process"), "{error}");
}

#[tokio::test]
async fn an_id_of_unreasonable_length_is_refused_without_harm() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let error = store
        .save("orders", vec![write(&"x".repeat(2000), 0)])
        .await;
    assert!(matches!(error, Err(StoreError::Unusable { .. })));
    store.save("orders", vec![write("a", 0)]).await.unwrap();
}

#[tokio::test]
async fn a_batch_that_names_an_id_twice_writes_it_once() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let results = store
        .save("orders", vec![write("a", 0), write("a", 0)])
        .await;
    assert_eq!(results.unwrap(), [SaveResult::Saved, SaveResult::Conflict]);
    assert_eq!(store.count("orders").await.unwrap(), 1);
}
