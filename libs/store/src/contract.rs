//! What every store must do, as one suite: `contract::check(store).await` panics with what is wrong.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a broken contract is a failed test"
)]

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use crate::{
    BODY_BYTES_MAX, Index, ListQuery, NAME_BYTES_MAX, Rank, SaveResult, Store, StoreError, Stored,
    Write,
};

use SaveResult::{Conflict, Saved};

type Case = fn(Subject) -> BoxFuture<'static, ()>;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        &[$((stringify!($case), |subject| Box::pin($case(subject)))),*]
    };
}

const CASES: &[(&str, Case)] = cases![
    a_saved_document_is_loaded_and_a_missing_one_is_not,
    only_the_expected_version_is_replaced,
    each_write_of_a_batch_succeeds_or_conflicts_on_its_own,
    due_documents_come_longest_overdue_first,
    a_document_that_is_due_no_more_is_not_found,
    listings_come_highest_first_and_in_pages,
    a_document_moves_between_tags,
    documents_are_counted_by_tag,
    scanning_meets_every_document_by_id,
    only_the_expected_version_is_removed,
    clearing_leaves_nothing_and_the_collection_usable,
    collections_do_not_see_each_other,
    concurrent_increments_are_all_counted,
    of_concurrent_inserts_one_succeeds,
    a_batch_may_be_large,
    ids_may_be_any_text_of_two_hundred_bytes,
    a_body_may_be_a_megabyte,
    names_may_be_as_long_as_the_limit,
    what_no_store_can_hold_is_refused_by_name_and_nothing_is_written,
    bodies_come_back_as_equal_json,
    the_store_answers_a_ping,
];

/// Runs every case, each on a collection of its own, and panics when one fails.
pub async fn check(store: Arc<dyn Store>) {
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let subject = Subject {
            store: Arc::clone(&store),
            collection: format!("contract_{name}"),
        };
        if tokio::spawn(case(subject)).await.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "the contract is broken: {failed:?}");
}

/// A collection of the store under test.
#[derive(Clone)]
struct Subject {
    store: Arc<dyn Store>,
    collection: String,
}

impl Subject {
    async fn save(&self, writes: Vec<Write>) -> Vec<SaveResult> {
        self.store.save(&self.collection, writes).await.unwrap()
    }

    async fn save_all(&self, writes: Vec<Write>) {
        let results = self.save(writes).await;
        assert!(results.iter().all(|result| *result == Saved), "{results:?}");
    }

    async fn load(&self, id: &str) -> Option<Stored> {
        let mut loaded = self.store.load(&self.collection, &[id]).await.unwrap();
        assert_eq!(loaded.len(), 1);
        loaded.remove(0)
    }

    async fn due(&self, now: i64, limit: usize) -> Vec<String> {
        ids(self.store.due(&self.collection, now, limit).await.unwrap())
    }

    async fn list(&self, tag: Option<&str>, after: Option<Rank>, limit: usize) -> Vec<String> {
        let query = ListQuery {
            tag: tag.map(str::to_owned),
            after,
            limit,
        };
        ids(self.store.list(&self.collection, query).await.unwrap())
    }

    async fn scan(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        ids(self
            .store
            .scan(&self.collection, after, limit)
            .await
            .unwrap())
    }

    async fn count(&self) -> u64 {
        self.store.count(&self.collection).await.unwrap()
    }
}

fn ids(found: Vec<Stored>) -> Vec<String> {
    found.into_iter().map(|document| document.id).collect()
}

fn write(id: &str, expected: u64) -> Write {
    let body = json!({ "id": id, "n": expected });
    Write {
        id: id.to_owned(),
        expected,
        body: Bytes::from(serde_json::to_vec(&body).unwrap()),
        index: Index::default(),
    }
}

fn due(id: &str, expected: u64, due: Option<i64>) -> Write {
    let mut write = write(id, expected);
    write.index.due = due;
    write
}

fn ranked(id: &str, expected: u64, tag: Option<&str>, rank: Option<i64>) -> Write {
    let mut write = write(id, expected);
    write.index.tag = tag.map(str::to_owned);
    write.index.rank = rank;
    write
}

fn at(rank: i64, id: &str) -> Rank {
    let id = id.to_owned();
    Rank { rank, id }
}

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

async fn a_saved_document_is_loaded_and_a_missing_one_is_not(subject: Subject) {
    subject.save_all(vec![write("a", 0), write("b", 0)]).await;
    let wanted = ["b", "nobody", "a", "b"];
    let loaded = subject.store.load(&subject.collection, &wanted).await;
    let loaded = loaded.unwrap();
    let found: Vec<_> = loaded
        .iter()
        .map(|d| d.as_ref().map(|d| d.id.as_str()))
        .collect();
    assert_eq!(found, [Some("b"), None, Some("a"), Some("b")]);
    let a = loaded[2].as_ref().unwrap();
    assert_eq!(a.version, 1);
    assert_eq!(value(&a.body), json!({"id": "a", "n": 0}));
    let none = subject.store.load(&subject.collection, &[]).await.unwrap();
    assert!(none.is_empty());
    assert!(subject.save(Vec::new()).await.is_empty());
}

async fn only_the_expected_version_is_replaced(subject: Subject) {
    assert_eq!(subject.save(vec![write("a", 1)]).await, [Conflict]);
    assert_eq!(subject.load("a").await, None);
    subject.save_all(vec![write("a", 0)]).await;
    subject.save_all(vec![write("a", 1)]).await;
    for stale in [0, 1, 3] {
        assert_eq!(
            subject.save(vec![write("a", stale)]).await,
            [Conflict],
            "version {stale}"
        );
    }
    let a = subject.load("a").await.unwrap();
    assert_eq!((a.version, value(&a.body)), (2, json!({"id": "a", "n": 1})));
    assert_eq!(subject.count().await, 1);
}

async fn each_write_of_a_batch_succeeds_or_conflicts_on_its_own(subject: Subject) {
    subject.save_all(vec![write("a", 0), write("b", 0)]).await;
    let batch = vec![write("a", 1), write("b", 0), write("c", 0), write("d", 7)];
    assert_eq!(
        subject.save(batch).await,
        [Saved, Conflict, Saved, Conflict]
    );
    let versions = ["a", "b", "c", "d"].map(|id| subject.load(id));
    let versions = join_all(versions).await;
    let versions: Vec<_> = versions.into_iter().map(|d| d.map(|d| d.version)).collect();
    assert_eq!(versions, [Some(2), Some(1), Some(1), None]);
}

async fn due_documents_come_longest_overdue_first(subject: Subject) {
    let writes = [("a", 30), ("b", -10), ("c", 20), ("d", 21)].map(|(id, at)| due(id, 0, Some(at)));
    subject.save_all(writes.to_vec()).await;
    subject.save_all(vec![write("never", 0)]).await;
    assert_eq!(subject.due(20, 10).await, ["b", "c"], "now is included");
    assert_eq!(subject.due(100, 10).await, ["b", "c", "d", "a"]);
    assert_eq!(subject.due(100, 2).await, ["b", "c"]);
    assert!(subject.due(-11, 10).await.is_empty());
    assert!(subject.due(100, 0).await.is_empty());
    // an earlier one that comes after others were found
    subject.save_all(vec![due("e", 0, Some(-20))]).await;
    assert_eq!(subject.due(i64::MAX, 2).await, ["e", "b"]);
}

async fn a_document_that_is_due_no_more_is_not_found(subject: Subject) {
    subject
        .save_all(vec![due("a", 0, Some(1)), due("b", 0, Some(2))])
        .await;
    subject.save_all(vec![due("a", 1, Some(1))]).await;
    assert_eq!(subject.due(5, 10).await, ["a", "b"]);
    subject
        .save_all(vec![due("a", 2, None), due("b", 1, Some(9))])
        .await;
    assert!(subject.due(5, 10).await.is_empty());
    assert_eq!(subject.due(9, 10).await, ["b"]);
    assert_eq!(subject.save(vec![due("b", 1, Some(1))]).await, [Conflict]);
    assert!(
        subject.due(5, 10).await.is_empty(),
        "a conflict moves nothing"
    );
}

async fn listings_come_highest_first_and_in_pages(subject: Subject) {
    let ranks = [("a", 5), ("b", 7), ("c", 7), ("d", -3), ("e", 0)];
    let writes = ranks.map(|(id, rank)| ranked(id, 0, Some("t"), Some(rank)));
    subject.save_all(writes.to_vec()).await;
    subject
        .save_all(vec![ranked("unranked", 0, Some("t"), None)])
        .await;
    subject
        .save_all(vec![ranked("untagged", 0, None, Some(6))])
        .await;
    subject
        .save_all(vec![ranked("other", 0, Some("tt"), Some(8))])
        .await;

    let all = ["other", "c", "b", "untagged", "a", "e", "d"];
    assert_eq!(subject.list(None, None, 10).await, all);
    assert_eq!(subject.list(None, Some(at(7, "c")), 3).await, all[2..5]);
    let tagged = ["c", "b", "a", "e", "d"];
    assert_eq!(subject.list(Some("t"), None, 10).await, tagged);
    assert_eq!(subject.list(Some("t"), None, 2).await, tagged[..2]);
    assert_eq!(
        subject.list(Some("t"), Some(at(7, "b")), 2).await,
        tagged[2..4]
    );
    // a position that no document holds
    assert_eq!(
        subject.list(Some("t"), Some(at(4, "")), 10).await,
        tagged[3..]
    );
    assert!(
        subject
            .list(Some("t"), Some(at(-3, "d")), 10)
            .await
            .is_empty()
    );
    assert!(subject.list(Some("nobody's"), None, 10).await.is_empty());
    assert!(subject.list(None, None, 0).await.is_empty());
}

async fn a_document_moves_between_tags(subject: Subject) {
    subject
        .save_all(vec![ranked("a", 0, Some("new"), Some(1))])
        .await;
    subject
        .save_all(vec![ranked("a", 1, Some("done"), Some(1))])
        .await;
    assert!(subject.list(Some("new"), None, 10).await.is_empty());
    assert_eq!(subject.list(Some("done"), None, 10).await, ["a"]);
    subject
        .save_all(vec![ranked("a", 2, Some("done"), Some(9))])
        .await;
    assert_eq!(subject.list(Some("done"), None, 10).await, ["a"]);
    assert_eq!(
        subject.list(None, Some(at(5, "z")), 10).await,
        Vec::<String>::new()
    );
    subject.save_all(vec![ranked("a", 3, None, None)]).await;
    assert!(subject.list(None, None, 10).await.is_empty());
    assert!(subject.list(Some("done"), None, 10).await.is_empty());
}

async fn documents_are_counted_by_tag(subject: Subject) {
    let count = async |tag: &str| {
        let counted = subject.store.count_tagged(&subject.collection, tag).await;
        counted.unwrap()
    };
    assert_eq!(count("new").await, 0, "a collection need not be created");
    let (t, other) = (Some("new"), Some("newer"));
    subject
        .save_all(vec![
            ranked("a", 0, t, Some(i64::MAX)),
            ranked("b", 0, t, Some(i64::MIN)),
            ranked("c", 0, other, Some(1)),
            ranked("unranked", 0, t, None),
            ranked("untagged", 0, None, Some(1)),
        ])
        .await;
    assert_eq!((count("new").await, count("newer").await), (2, 1));
    assert_eq!((count("ne").await, count("").await), (0, 0));
    subject
        .save_all(vec![
            ranked("a", 1, other, Some(1)),
            ranked("b", 1, t, Some(2)),
        ])
        .await;
    assert_eq!((count("new").await, count("newer").await), (1, 2));
    subject.save_all(vec![ranked("b", 2, t, None)]).await;
    assert_eq!(count("new").await, 0);
}

async fn only_the_expected_version_is_removed(subject: Subject) {
    let remove = async |documents: &[(&str, u64)]| {
        let documents = documents
            .iter()
            .map(|(id, version)| ((*id).to_owned(), *version));
        let removed = subject
            .store
            .remove(&subject.collection, documents.collect());
        removed.await.unwrap();
    };
    remove(&[]).await;
    remove(&[("nobody", 0), ("a", 1)]).await;
    let full = |id, expected| {
        let mut full = ranked(id, expected, Some("t"), Some(1));
        full.index.due = Some(1);
        full
    };
    subject
        .save_all(vec![full("a", 0), full("b", 0), full("c", 0)])
        .await;
    subject.save_all(vec![full("b", 1)]).await;
    remove(&[("a", 1), ("b", 1), ("c", 0), ("nobody", 1)]).await;
    assert_eq!(subject.load("a").await, None);
    assert_eq!(subject.scan(None, 9).await, ["b", "c"]);
    assert_eq!(subject.list(Some("t"), None, 9).await, ["c", "b"]);
    assert_eq!(subject.list(None, None, 9).await, ["c", "b"]);
    assert_eq!(subject.due(1, 9).await.len(), 2);
    assert_eq!(subject.count().await, 2);
    // what was removed is not there for anyone who still knows its version, and may come again
    assert_eq!(subject.save(vec![full("a", 1)]).await, [Conflict]);
    subject.save_all(vec![full("a", 0)]).await;
    remove(&[("b", 2), ("c", 1), ("a", 1)]).await;
    assert_eq!(subject.count().await, 0);
    assert!(subject.list(None, None, 9).await.is_empty());
    assert!(subject.due(1, 9).await.is_empty());
}

async fn scanning_meets_every_document_by_id(subject: Subject) {
    let writes = ["b", "a", "é", "B", "aa"].map(|id| write(id, 0));
    subject.save_all(writes.to_vec()).await;
    let by_id = ["B", "a", "aa", "b", "é"];
    assert_eq!(subject.scan(None, 10).await, by_id);
    assert_eq!(subject.scan(None, 2).await, by_id[..2]);
    assert_eq!(subject.scan(Some("a"), 2).await, by_id[2..4]);
    assert_eq!(subject.scan(Some("ab"), 10).await, by_id[3..]);
    assert!(subject.scan(Some("é"), 10).await.is_empty());
    assert!(subject.scan(None, 0).await.is_empty());
}

async fn clearing_leaves_nothing_and_the_collection_usable(subject: Subject) {
    let mut full = ranked("a", 0, Some("t"), Some(1));
    full.index.due = Some(1);
    subject.save_all(vec![full.clone(), write("b", 0)]).await;
    assert_eq!(subject.count().await, 2);
    for _ in 0..2 {
        subject.store.clear(&subject.collection).await.unwrap();
        assert_eq!(subject.count().await, 0);
        assert_eq!(subject.load("a").await, None);
        assert!(subject.scan(None, 10).await.is_empty());
        assert!(subject.due(100, 10).await.is_empty());
        assert!(subject.list(None, None, 10).await.is_empty());
        assert!(subject.list(Some("t"), None, 10).await.is_empty());
    }
    subject.save_all(vec![full]).await;
    assert_eq!(subject.count().await, 1);
    assert_eq!(subject.due(100, 10).await, ["a"]);
    assert_eq!(subject.list(Some("t"), None, 10).await, ["a"]);
}

async fn collections_do_not_see_each_other(subject: Subject) {
    let other = Subject {
        collection: format!("{}_2", subject.collection),
        ..subject.clone()
    };
    assert_eq!(other.count().await, 0, "a collection need not be created");
    subject.save_all(vec![write("a", 0)]).await;
    assert_eq!(other.load("a").await, None);
    other.save_all(vec![write("a", 0)]).await;
    subject.store.clear(&subject.collection).await.unwrap();
    assert_eq!(other.count().await, 1);
}

async fn concurrent_increments_are_all_counted(subject: Subject) {
    const TASKS: u64 = 8;
    const INCREMENTS: u64 = 25;
    subject.save_all(vec![write("counter", 0)]).await;
    let increment = |subject: Subject| async move {
        let mut done = 0;
        while done < INCREMENTS {
            let counter = subject.load("counter").await.unwrap();
            let n = value(&counter.body)["n"].as_u64().unwrap();
            let mut next = write("counter", counter.version);
            next.body = Bytes::from(json!({ "n": n + 1 }).to_string());
            if subject.save(vec![next]).await == [Saved] {
                done += 1;
            }
        }
    };
    let tasks = (0..TASKS).map(|_| tokio::spawn(increment(subject.clone())));
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let counter = subject.load("counter").await.unwrap();
    assert_eq!(value(&counter.body)["n"], TASKS * INCREMENTS);
    assert_eq!(counter.version, TASKS * INCREMENTS + 1);
}

async fn of_concurrent_inserts_one_succeeds(subject: Subject) {
    for round in 0..20 {
        let id = format!("order-{round}");
        let insert =
            |subject: Subject, id: String| async move { subject.save(vec![write(&id, 0)]).await };
        let tasks = (0..8).map(|_| tokio::spawn(insert(subject.clone(), id.clone())));
        let results = join_all(tasks).await;
        let saved = results
            .into_iter()
            .filter(|result| *result.as_ref().unwrap() == [Saved]);
        assert_eq!(saved.count(), 1);
        assert_eq!(subject.load(&id).await.unwrap().version, 1);
    }
    assert_eq!(subject.count().await, 20);
}

async fn a_batch_may_be_large(subject: Subject) {
    const DOCUMENTS: i64 = 6_000;
    let name = |n: i64| format!("{n:05}");
    let batch = |expected| {
        let writes = (0..DOCUMENTS).map(|n| ranked(&name(n), expected, Some("t"), Some(n)));
        writes.collect::<Vec<_>>()
    };
    subject.save_all(batch(0)).await;
    subject.save_all(batch(1)).await;
    let names: Vec<String> = (0..DOCUMENTS).map(name).collect();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let loaded = subject
        .store
        .load(&subject.collection, &wanted)
        .await
        .unwrap();
    assert_eq!(loaded.len(), wanted.len());
    for (document, id) in loaded.iter().zip(&names) {
        let document = document.as_ref().unwrap();
        assert_eq!((&document.id, document.version), (id, 2));
    }
    assert_eq!(subject.count().await, DOCUMENTS.unsigned_abs());
    assert_eq!(subject.scan(None, 10_000).await, names);
    assert_eq!(
        subject.list(Some("t"), None, 10_000).await.len(),
        names.len()
    );
}

async fn ids_may_be_any_text_of_two_hundred_bytes(subject: Subject) {
    let long = ["x".repeat(200), "🧾".repeat(50), "ß".repeat(100)];
    let odd = ["a.b$c", "$set", "with space", "\"quoted\"\n", "日本", "0"].map(str::to_owned);
    let names = [&long[..], &odd[..]].concat();
    let writes = names.iter().map(|id| {
        let mut write = ranked(id, 0, Some(id), Some(1));
        write.index.due = Some(1);
        write
    });
    subject.save_all(writes.collect()).await;
    for id in &names {
        assert_eq!(&subject.load(id).await.unwrap().id, id);
        assert_eq!(
            subject.list(Some(id), None, 10).await,
            std::slice::from_ref(id)
        );
    }
    let mut due = subject.due(1, 100).await;
    due.sort();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(due, sorted);
    assert_eq!(subject.scan(None, 100).await, sorted);
}

async fn a_body_may_be_a_megabyte(subject: Subject) {
    let text = "0123456789abcdef".repeat(65_536);
    let mut large = write("a", 0);
    large.body = Bytes::from(json!({ "text": text }).to_string());
    subject.save_all(vec![large]).await;
    let loaded = subject.load("a").await.unwrap();
    assert_eq!(value(&loaded.body)["text"], text);
}

async fn names_may_be_as_long_as_the_limit(subject: Subject) {
    let name = "x".repeat(NAME_BYTES_MAX);
    subject
        .save_all(vec![ranked(&name, 0, Some(&name), Some(1))])
        .await;
    assert_eq!(subject.list(Some(&name), None, 9).await, [name]);
}

async fn what_no_store_can_hold_is_refused_by_name_and_nothing_is_written(subject: Subject) {
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let mut large = write("large", 0);
    large.body = Bytes::from(json!({ "text": "x".repeat(BODY_BYTES_MAX) }).to_string());
    for unfit in [
        write("", 0),
        write(&long, 0),
        ranked("tagged", 0, Some(&long), Some(1)),
        large,
    ] {
        let id = unfit.id.clone();
        let batch = vec![write("a", 0), unfit, write("b", 0)];
        let saved = subject.store.save(&subject.collection, batch).await;
        let is_blamed =
            matches!(&saved, Err(StoreError::Unusable { id: named, .. }) if *named == id);
        assert!(is_blamed, "{id:.9}: {saved:?}");
        assert_eq!(subject.count().await, 0, "{id:.9}");
        assert_eq!(subject.load(&id).await, None);
    }
    subject.save_all(vec![write("a", 0), write("b", 0)]).await;
}

async fn bodies_come_back_as_equal_json(subject: Subject) {
    let bodies = [
        r"{}",
        r#"{"z":1,"a":{"y":[],"b":{}},"m":[{"k":null},[1,[true,false]],"s"]}"#,
        r#"{"int":2147483648,"min":-9223372036854775808,"max":9223372036854775807,"zero":0,"negative":-1}"#,
        r#"{"half":0.5,"one":1.0,"tiny":5e-324,"large":1.7976931348623157e308,"money":19.99}"#,
        r#"{"dotted.key":1,"$set":{"$inc":{"a":1}},"":"empty","ключ":"значение","_id":"mine"}"#,
        r#"{"oid":{"$oid":"64b7f1f1f1f1f1f1f1f1f1f1"},"d":{"$date":"2024-01-01T00:00:00Z"},"n":{"$numberLong":"1"}}"#,
        r#"{"text":"\u0000 \u001f \" \\ / \n\t🧾 \u2028"}"#,
    ];
    for (n, body) in bodies.iter().enumerate() {
        let mut given = write(&format!("body-{n}"), 0);
        given.body = Bytes::from_static(body.as_bytes());
        // as an insert and as a replacement
        for expected in 0..2 {
            given.expected = expected;
            subject.save_all(vec![given.clone()]).await;
            let loaded = subject.load(&given.id).await.unwrap();
            assert_eq!(value(&loaded.body), value(body.as_bytes()));
            let keys = |bytes: &[u8]| -> Vec<String> {
                let ordered: OrderedKeys = serde_json::from_slice(bytes).unwrap();
                ordered.0
            };
            assert_eq!(
                keys(&loaded.body),
                keys(body.as_bytes()),
                "the order of keys"
            );
        }
    }
}

async fn the_store_answers_a_ping(subject: Subject) {
    subject.store.ping().await.unwrap();
}

/// The keys of an object as they stand.
struct OrderedKeys(Vec<String>);

impl<'de> serde::Deserialize<'de> for OrderedKeys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> serde::de::Visitor<'de> for Keys {
            type Value = OrderedKeys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<OrderedKeys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(OrderedKeys(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
