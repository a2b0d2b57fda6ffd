//! What a save and a load cost in each store.
//!
//! `cargo run --release -p sagaline-store --example bench -- [memory] [embedded] [embedded-no-fsync] [mongo] [mongo-h2]`
//!
//! Documents of 2 kB. "replace" moves a document in every index, as an order that goes on does; "replace, index kept" moves
//! it in none; "order's life" is an insert and three replacements, the last of which settles the document, by eight
//! callers in four collections. `BENCH_SECONDS` lengthens each measurement, `BENCH_ONLY` chooses operations by a part of
//! their name. `mongo` is the tests' server in memory, `mongo-h2` the durable one: for orders of magnitude only.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement that fails ends the program"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sagaline_store::{
    EmbeddedOptions, EmbeddedStore, Index, ListQuery, MemoryStore, MongoStore, SaveResult, Store,
    Write,
};
use sagaline_testkit::{Kind, MongoServer};
use tokio::time::Instant;

const COLLECTION: &str = "orders";
const TAGS: [&str; 4] = [
    "CREATED",
    "INVENTORY_RESERVED",
    "PAYMENT_AUTHORIZED",
    "SHIPPED",
];

#[tokio::main]
async fn main() {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.is_empty() {
        let all = [
            "memory",
            "embedded",
            "embedded-no-fsync",
            "mongo",
            "mongo-h2",
        ];
        wanted = all.map(str::to_owned).to_vec();
    }
    let seconds = std::env::var("BENCH_SECONDS").map(|seconds| seconds.parse().unwrap());
    println!(
        "| store | operation | batch | documents/s | CPU us per document | batch p50 us | p99 us |"
    );
    println!("|---|---|---|---|---|---|---|");
    for name in wanted {
        let folder = tempfile::tempdir().unwrap();
        let mut server = None;
        let store: Arc<dyn Store> = match name.as_str() {
            "memory" => Arc::new(MemoryStore::default()),
            "embedded" => Arc::new(EmbeddedStore::open(folder.path()).unwrap()),
            "embedded-no-fsync" => {
                let options = EmbeddedOptions { fsync: false };
                Arc::new(EmbeddedStore::open_with(folder.path(), options).unwrap())
            }
            "mongo" | "mongo-h2" => {
                let is_durable = name == "mongo-h2";
                let kind = if is_durable { Kind::H2 } else { Kind::Memory };
                let server = server.insert(MongoServer::start(kind).await.unwrap());
                Arc::new(MongoStore::connect(&server.url(), "bench").await.unwrap())
            }
            other => {
                eprintln!("there is no store {other:?}; see the first lines of this program");
                std::process::exit(2);
            }
        };
        let bench = Bench {
            name,
            only: std::env::var("BENCH_ONLY").unwrap_or_default(),
            phase: Duration::from_secs_f64(*seconds.as_ref().unwrap_or(&0.8)),
            body: Bytes::from(format!(r#"{{"text":"{}"}}"#, "x".repeat(2000))),
            store,
        };
        bench.run().await;
        let name = bench.name.clone();
        drop(bench);
        if name.starts_with("embedded") {
            let started = Instant::now();
            EmbeddedStore::open(folder.path()).unwrap();
            let opening = started.elapsed().as_millis();
            println!("| {name} | open again: {opening} ms | | | | | |");
        }
    }
}

#[derive(Clone)]
struct Bench {
    name: String,
    only: String,
    phase: Duration,
    body: Bytes,
    store: Arc<dyn Store>,
}

impl Bench {
    async fn run(&self) {
        for batch in [1, 20, 200] {
            self.measure_batches(batch).await;
        }
        self.measure_finding().await;
        self.measure_inserting_callers().await;
        self.measure_lives().await;
    }

    async fn measure_batches(&self, batch: usize) {
        self.store.clear(COLLECTION).await.unwrap();
        let mut inserted = 0;
        let insert = async |n: usize| {
            self.save(COLLECTION, &ids(0, n, batch), 0, moved(n, 0))
                .await;
            inserted = n + 1;
        };
        self.measure("insert", batch, insert).await;
        if inserted == 0 {
            return;
        }
        let place = |n: usize| (n % inserted, 1 + (n / inserted) as u64);
        let mut replaced = 0;
        let replace = async |n: usize| {
            let (place, version) = place(n);
            self.save(
                COLLECTION,
                &ids(0, place, batch),
                version,
                moved(n, version),
            )
            .await;
            replaced = n + 1;
        };
        self.measure("replace", batch, replace).await;

        // the first round takes the documents out of the indexes
        let keep = async |n: usize| {
            let (place, version) = place(replaced + n);
            self.save(COLLECTION, &ids(0, place, batch), version, Index::default())
                .await;
        };
        self.measure("replace, index kept", batch, keep).await;

        let load = async |n: usize| {
            let ids = ids(0, n * 7919 % inserted, batch);
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let loaded = self.store.load(COLLECTION, &ids).await.unwrap();
            assert!(loaded.iter().all(Option::is_some));
        };
        self.measure("load", batch, load).await;
    }

    async fn measure_finding(&self) {
        self.store.clear(COLLECTION).await.unwrap();
        for n in 0..20 {
            self.save(COLLECTION, &ids(0, n, 200), 0, moved(n, 0)).await;
        }
        let list = async |_| {
            let query = ListQuery {
                limit: 100,
                ..ListQuery::default()
            };
            assert_eq!(self.store.list(COLLECTION, query).await.unwrap().len(), 100);
        };
        self.measure("list", 100, list).await;
        let due = async |_| {
            let due = self.store.due(COLLECTION, i64::MIN, 100).await.unwrap();
            assert!(due.is_empty());
        };
        self.measure("due, none", 1, due).await;
    }

    /// Many save a few documents each at the same time.
    async fn measure_inserting_callers(&self) {
        const BATCH: usize = 5;
        self.store.clear(COLLECTION).await.unwrap();
        let insert = async |bench: Bench, caller: usize, n: usize| {
            bench
                .save(COLLECTION, &ids(caller, n, BATCH), 0, moved(n, 0))
                .await;
        };
        self.measure_callers("insert, 64 callers", 64, BATCH, insert)
            .await;
    }

    /// What a pipeline does.
    async fn measure_lives(&self) {
        const BATCH: usize = 20;
        let live = async |bench: Bench, caller: usize, n: usize| {
            let version = (n % 4) as u64;
            let mut index = moved(n, version);
            if version == 3 {
                index.due = None;
                index.settled = true;
            }
            let collection = format!("lives-{}", caller % 4);
            bench
                .save(&collection, &ids(caller, n / 4, BATCH), version, index)
                .await;
        };
        self.measure_callers("order's life, 8 callers", 8, BATCH, live)
            .await;
    }

    async fn save(&self, collection: &str, ids: &[String], expected: u64, index: Index) {
        let writes = ids.iter().map(|id| Write {
            id: id.clone(),
            expected,
            body: self.body.clone(),
            index: index.clone(),
        });
        let results = self.store.save(collection, writes.collect()).await.unwrap();
        assert!(results.iter().all(|result| *result == SaveResult::Saved));
    }

    async fn measure(&self, operation: &str, batch: usize, mut run: impl AsyncFnMut(usize)) {
        if !operation.contains(&self.only) {
            return;
        }
        let (started, cpu) = (Instant::now(), cpu_time());
        let mut times = Vec::new();
        while started.elapsed() < self.phase {
            let before = Instant::now();
            run(times.len()).await;
            times.push(before.elapsed());
        }
        self.report(
            operation,
            batch,
            times,
            started.elapsed(),
            cpu_time().saturating_sub(cpu),
        );
    }

    async fn measure_callers<R>(
        &self,
        operation: &str,
        callers: usize,
        batch: usize,
        run: impl Fn(Bench, usize, usize) -> R,
    ) where
        R: Future<Output = ()>,
    {
        if !operation.contains(&self.only) {
            return;
        }
        let (started, cpu) = (Instant::now(), cpu_time());
        let callers = (1..=callers).map(|caller| {
            let run = &run;
            async move {
                let mut times = Vec::new();
                while started.elapsed() < self.phase {
                    let before = Instant::now();
                    run(self.clone(), caller, times.len()).await;
                    times.push(before.elapsed());
                }
                times
            }
        });
        let times = futures::future::join_all(callers).await.concat();
        self.report(
            operation,
            batch,
            times,
            started.elapsed(),
            cpu_time().saturating_sub(cpu),
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "a report")]
    fn report(
        &self,
        operation: &str,
        batch: usize,
        mut times: Vec<Duration>,
        elapsed: Duration,
        cpu: Duration,
    ) {
        times.sort_unstable();
        let documents = (times.len() * batch) as f64;
        let percentile = |p: usize| times[(times.len() - 1) * p / 100].as_secs_f64() * 1e6;
        println!(
            "| {} | {operation} | {batch} | {:.0} | {:.2} | {:.0} | {:.0} |",
            self.name,
            documents / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / documents,
            percentile(50),
            percentile(99),
        );
    }
}

/// What this process has used of the processors: a better measure than the clock where others use them, too.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

/// The ids of a caller's n-th batch, spread as random ones are.
fn ids(caller: usize, n: usize, batch: usize) -> Vec<String> {
    let id = |i: usize| {
        let spread = ((n * batch + i) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{spread:016x}-0000-4000-8000-{caller:012}")
    };
    (0..batch).map(id).collect()
}

fn moved(n: usize, version: u64) -> Index {
    let number = i64::try_from(n).unwrap();
    let tag = usize::try_from(version).unwrap() % TAGS.len();
    Index {
        due: Some(number),
        tag: Some(TAGS[tag].to_owned()),
        rank: Some(number),
        settled: false,
    }
}
