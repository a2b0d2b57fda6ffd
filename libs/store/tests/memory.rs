//! The store in memory.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::sync::Arc;

use bytes::Bytes;
use sagaline_store::{Index, MemoryLimits, MemoryStore, SaveResult, Store, Write, contract};

fn write(id: &str, expected: u64, settled: bool) -> Write {
    Write {
        id: id.to_owned(),
        expected,
        body: Bytes::from_static(b"{}"),
        index: Index {
            due: Some(1),
            tag: Some("t".to_owned()),
            rank: Some(1),
            settled,
        },
    }
}

async fn save(store: &MemoryStore, id: &str, expected: u64, settled: bool) {
    let results = store
        .save("orders", vec![write(id, expected, settled)])
        .await;
    assert_eq!(results.unwrap(), [SaveResult::Saved]);
}

async fn ids(store: &MemoryStore) -> Vec<String> {
    let found = store.scan("orders", None, 100).await.unwrap();
    found.into_iter().map(|document| document.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_keeps_the_contract() {
    contract::check(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn beyond_the_limit_what_settled_first_is_forgotten() {
    let store = MemoryStore::new(MemoryLimits { settled_max: 2 });
    save(&store, "open", 0, false).await;
    save(&store, "c", 0, false).await;
    save(&store, "a", 0, true).await;
    save(&store, "b", 0, true).await;
    assert_eq!(ids(&store).await, ["a", "b", "c", "open"]);
    // c was inserted before a, but settles after it
    save(&store, "c", 1, true).await;
    assert_eq!(ids(&store).await, ["b", "c", "open"]);
    assert_eq!(store.count("orders").await.unwrap(), 3);
    let due = store.due("orders", 1, 100).await.unwrap();
    assert_eq!(due.len(), 3, "its index entries went with it");
}

#[tokio::test]
async fn a_settled_document_saved_again_as_settled_keeps_its_place() {
    let store = MemoryStore::new(MemoryLimits { settled_max: 2 });
    save(&store, "a", 0, true).await;
    save(&store, "b", 0, true).await;
    save(&store, "a", 1, true).await;
    save(&store, "c", 0, true).await;
    assert_eq!(ids(&store).await, ["b", "c"]);
}

#[tokio::test]
async fn a_document_that_is_unsettled_again_is_kept_until_it_settles_anew() {
    let store = MemoryStore::new(MemoryLimits { settled_max: 2 });
    save(&store, "a", 0, true).await;
    save(&store, "a", 1, false).await;
    for id in ["b", "c", "d"] {
        save(&store, id, 0, true).await;
    }
    assert_eq!(ids(&store).await, ["a", "c", "d"]);
    save(&store, "a", 2, true).await;
    assert_eq!(ids(&store).await, ["a", "d"]);
}

#[tokio::test]
async fn each_collection_has_the_limit_to_itself() {
    let store = MemoryStore::new(MemoryLimits { settled_max: 1 });
    for collection in ["orders", "payments"] {
        store
            .save(collection, vec![write("a", 0, true)])
            .await
            .unwrap();
    }
    assert_eq!(store.count("orders").await.unwrap(), 1);
    assert_eq!(store.count("payments").await.unwrap(), 1);
}
