//! Ten thousand who listen, and hear nothing for hours.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::pipeline::{LIMIT, Pipeline};

const READERS: u64 = 10_000;
/// What one may cost the server: its connection, its task and its place.
const BYTES_PER_READER_MAX: u64 = 64 * 1_024;
const READ_MODEL: usize = 4;

/// Sockets for this process too; the child raises its own limit.
fn readers_that_the_system_allows() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit
        .maximum
        .map_or(READERS, |most| READERS.min(most - 500))
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024
}

/// Listens to an order that nobody places; gives the connection once the stream has begun.
async fn listen(port: u16, number: u64) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "GET /orders/nobody-{number}/stream HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(2).any(|two| two == b"id") {
        let mut chunk = [0; 1_024];
        let read = timeout(LIMIT, stream.read(&mut chunk)).await;
        let read = read.expect("the stream does not begin").unwrap();
        assert_ne!(read, 0, "turned away: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&chunk[..read]);
    }
    assert!(heard.starts_with(b"HTTP/1.1 200 OK\r\n"));
    stream
}

async fn orders_flow(pipeline: &Pipeline, prefix: &str) -> Duration {
    let began = Instant::now();
    for number in 0..50 {
        pipeline.place(&format!("{prefix}-{number}")).await;
    }
    for number in 0..50 {
        pipeline.outcome(&format!("{prefix}-{number}")).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_readers_cost_little_memory_and_orders_flow_as_before() {
    let readers = readers_that_the_system_allows();
    let pipeline = Pipeline::start(&[("LOG_LEVEL", "warn")]).await;
    orders_flow(&pipeline, "warm").await;
    let without = orders_flow(&pipeline, "without").await;
    let pid = pipeline.process.id();
    let before = resident_bytes(pid);
    let port = pipeline.port(READ_MODEL);
    let mut connecting = JoinSet::new();
    let mut streams = Vec::new();
    for number in 0..readers {
        connecting.spawn(listen(port, number));
        // As many at a time as wait before a door.
        if connecting.len() >= 200 {
            streams.push(connecting.join_next().await.unwrap().unwrap());
        }
    }
    streams.extend(connecting.join_all().await);
    let per_reader = resident_bytes(pid).saturating_sub(before) / readers;
    let with = orders_flow(&pipeline, "with").await;
    println!(
        "{readers} idle readers: {per_reader} bytes each; 50 orders took {without:?} without and {with:?} with them"
    );
    assert!(
        per_reader <= BYTES_PER_READER_MAX,
        "{per_reader} bytes per reader"
    );
    // A wide margin, for other tests share the machine; the figures stand in docs/performance.md.
    assert!(
        with < without * 4 + Duration::from_secs(5),
        "{without:?} became {with:?}"
    );
    // They are still there, and somebody else can come and go.
    let stats = pipeline.http.get(pipeline.url(READ_MODEL, "/stats"));
    let stats: serde_json::Value = stats.send().await.unwrap().json().await.unwrap();
    assert_eq!(stats["readers"]["ordersWatched"], readers);
    drop(streams);
    let gone = async {
        loop {
            let stats = pipeline.http.get(pipeline.url(READ_MODEL, "/stats"));
            let stats: serde_json::Value = stats.send().await.unwrap().json().await.unwrap();
            if stats["readers"]["ordersWatched"] == 0 {
                break;
            }
        }
    };
    let gone = timeout(LIMIT, gone).await;
    gone.expect("readers who have gone are still kept");
    pipeline.stop().await;
}
