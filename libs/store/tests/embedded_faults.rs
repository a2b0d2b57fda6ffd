//! The embedded store when its process is killed, and when its disk is full. Both need a process of their own: this binary
//! again, running one of the ignored tests.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sagaline_store::{
    EmbeddedStore, Index, ListQuery, SaveResult, Store, StoreError, Stored, Write,
};
use tempfile::TempDir;

const FOLDER: &str = "STORE_FOLDER";
const TASKS: usize = 6;
const DOCUMENTS_PER_TASK: usize = 30;
const BATCH: usize = 5;

/// Starts this test binary again for one ignored test. A write beyond a file size limit fails there, instead of killing.
fn child(test: &str, folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn folder_of_child() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

/// A write whose every part says its version, so that parts of different versions show.
fn write(id: &str, expected: u64) -> Write {
    let version = expected + 1;
    let number = i64::try_from(version).unwrap();
    Write {
        id: id.to_owned(),
        expected,
        body: Bytes::from(format!(r#"{{"version":{version},"filler":"{id:>2000}"}}"#)),
        index: Index {
            due: is_due(version).then_some(number),
            tag: Some(tag(version).to_owned()),
            rank: Some(-number),
            settled: false,
        },
    }
}

fn is_due(version: u64) -> bool {
    !version.is_multiple_of(3)
}

fn tag(version: u64) -> &'static str {
    ["zero", "one", "two", "three"][usize::try_from(version % 4).unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that nothing_acknowledged_is_lost_to_a_kill kills"]
async fn saves_until_it_is_killed() {
    let store = Arc::new(EmbeddedStore::open(folder_of_child()).unwrap());
    let tasks = (0..TASKS).map(|task| tokio::spawn(save_forever(Arc::clone(&store), task)));
    futures::future::join_all(tasks).await;
}

async fn save_forever(store: Arc<EmbeddedStore>, task: usize) {
    let ids: Vec<String> = (0..DOCUMENTS_PER_TASK)
        .map(|n| format!("{task}-{n}"))
        .collect();
    for batch in ids.chunks(BATCH).cycle() {
        let wanted: Vec<&str> = batch.iter().map(String::as_str).collect();
        let loaded = store.load("orders", &wanted).await.unwrap();
        let versions = loaded.iter().map(|d| d.as_ref().map_or(0, |d| d.version));
        let writes: Vec<Write> = wanted
            .iter()
            .zip(versions)
            .map(|(id, v)| write(id, v))
            .collect();
        let mut acknowledged = String::new();
        for write in &writes {
            writeln!(acknowledged, "saved {} {}", write.id, write.expected + 1).unwrap();
        }
        let results = store.save("orders", writes).await.unwrap();
        assert!(results.iter().all(|result| *result == SaveResult::Saved));
        // one write to the pipe, so that lines of tasks do not mix
        std::io::stdout()
            .write_all(acknowledged.as_bytes())
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_a_kill_and_the_index_agrees_with_the_documents() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for lines in [1_000, 10_000, 50_000] {
        let mut child = child("saves_until_it_is_killed", folder.path());
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            if let Some((_, saved)) = line.split_once("saved ") {
                let (id, version) = saved.split_once(' ').unwrap();
                acknowledged.insert(id.to_owned(), version.parse().unwrap());
            }
        };
        output
            .by_ref()
            .take(lines)
            .for_each(|line| note(line.unwrap()));
        child.kill().unwrap();
        // what it had acknowledged before it died
        output.map_while(Result::ok).for_each(note);
        assert!(!child.wait().unwrap().success());

        let store = EmbeddedStore::open(folder.path()).unwrap();
        let documents = store.scan("orders", None, 100_000).await.unwrap();
        let stored: HashMap<&str, u64> = documents
            .iter()
            .map(|d| (d.id.as_str(), d.version))
            .collect();
        for (id, version) in &acknowledged {
            assert!(
                stored.get(id.as_str()) >= Some(version),
                "{id} was at {version}"
            );
        }
        agrees_with_its_index(&store, &documents).await;
    }
}

async fn agrees_with_its_index(store: &EmbeddedStore, documents: &[Stored]) {
    assert!(!documents.is_empty());
    for document in documents {
        assert_eq!(
            document.body,
            write(&document.id, document.version - 1).body
        );
    }
    assert_eq!(store.count("orders").await.unwrap(), documents.len() as u64);

    let due = store.due("orders", i64::MAX, 100_000).await.unwrap();
    let mut expected: Vec<&Stored> = documents.iter().filter(|d| is_due(d.version)).collect();
    expected.sort_by_key(|d| (d.version, &d.id));
    assert_eq!(due.iter().collect::<Vec<_>>(), expected);

    for tag_wanted in [None, Some("zero"), Some("one"), Some("two"), Some("three")] {
        let query = ListQuery {
            tag: tag_wanted.map(str::to_owned),
            after: None,
            limit: 100_000,
        };
        let listed = store.list("orders", query).await.unwrap();
        let is_tagged = |d: &&Stored| tag_wanted.is_none_or(|wanted| wanted == tag(d.version));
        let mut expected: Vec<&Stored> = documents.iter().filter(is_tagged).collect();
        expected.sort_by(|a, b| a.version.cmp(&b.version).then(b.id.cmp(&a.id)));
        assert_eq!(
            listed.iter().collect::<Vec<_>>(),
            expected,
            "tag {tag_wanted:?}"
        );
    }
}

#[test]
fn a_full_disk_is_an_outage_for_writes_alone_and_ends_with_it() {
    let folder = TempDir::new().unwrap();
    let child = child("meets_a_full_disk", folder.path());
    let output = child.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    assert!(report.contains("1 passed"), "{report}");
}

/// No file of this process may grow beyond so many bytes.
fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = bytes.or(maximum);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

#[tokio::test]
#[ignore = "the process of a_full_disk_is_an_outage_for_writes_alone_and_ends_with_it"]
async fn meets_a_full_disk() {
    let folder = folder_of_child();
    let store = EmbeddedStore::open(&folder).unwrap();
    let save = async |id: &str, expected| store.save("orders", vec![write(id, expected)]).await;
    assert_eq!(save("a", 0).await.unwrap(), [SaveResult::Saved]);

    for round in 1..=3 {
        limit_files(Some(1));
        for _ in 0..3 {
            let refused = save("a", round).await;
            assert!(
                matches!(refused, Err(StoreError::Unavailable { .. })),
                "{refused:?}"
            );
            let pinged = store.ping().await;
            assert!(
                matches!(pinged, Err(StoreError::Unavailable { .. })),
                "{pinged:?}"
            );
            let cleared = store.clear("orders").await;
            assert!(
                matches!(cleared, Err(StoreError::Unavailable { .. })),
                "{cleared:?}"
            );
            let loaded = store.load("orders", &["a"]).await.unwrap();
            assert_eq!(loaded[0].as_ref().unwrap().version, round, "reads go on");
            assert_eq!(store.count("orders").await.unwrap(), 1);
        }
        limit_files(None);
        store.ping().await.unwrap();
        let now = store.load("orders", &["a"]).await.unwrap()[0]
            .clone()
            .unwrap();
        // the write that was refused may have reached the disk before it was full
        if now.version == round {
            assert_eq!(save("a", round).await.unwrap(), [SaveResult::Saved]);
        }
        assert_eq!(save("a", round).await.unwrap(), [SaveResult::Conflict]);
    }
    drop(store);
    let store = EmbeddedStore::open(&folder).unwrap();
    let documents = store.scan("orders", None, 10).await.unwrap();
    assert_eq!(documents[0].version, 4);
    agrees_with_its_index(&store, &documents).await;
}
