//! The pipeline under faults, and what is known of it.

use std::path::Path;

use anyhow::{Result, ensure};
use sagaline_testkit::client::Client;
use sagaline_testkit::invariants::Known;
use sagaline_testkit::operators::Acts;
use sagaline_testkit::stack::{Backend, Stack};
use sagaline_testkit::{DiskImage, Mount, Outcomes};

use crate::RATE;
use crate::report::Row;

/// What a scenario runs on. Scenarios with the same grounds, one behind the other, share a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grounds {
    /// Apache Kafka, the MongoDB-protocol server, five processes, and a line that can be cut between any two of them. The name
    /// keeps groups of scenarios apart.
    Real(&'static str),
    /// The same without such lines, on a Kafka of three brokers.
    Cluster,
    /// `sagaline up --data-dir`.
    Durable,
    /// The same on a disk that gets full.
    SmallDisk,
    /// The same on a disk that has nothing but what was flushed to it.
    FlushedDisk,
}

/// The brokers of [`Grounds::Cluster`].
pub const BROKERS: usize = 3;
const SMALL_DISK_BYTES: u64 = 400 << 20;
const FLUSHED_DISK_BYTES: u64 = 512 << 20;

impl Grounds {
    /// Whether this machine does not let a test do what it has to do.
    pub fn impossible_here(self) -> bool {
        matches!(self, Self::SmallDisk | Self::FlushedDisk) && !Mount::is_possible()
    }
}

/// In whose name the operators work; nobody else does.
pub const OPERATOR: &str = "otto";

/// A pipeline, its operators, and what is known of it.
pub struct World {
    grounds: Grounds,
    /// The pipeline.
    pub stack: Stack,
    /// An operator of the scenarios.
    pub client: Client,
    /// The operators who work while things break.
    pub operator: Client,
    /// What they did.
    pub acts: Acts,
    /// Events that waited behind poison, as far as they were counted.
    pub waited: usize,
    /// What the scenarios did.
    pub known: Known,
    /// Watches the topics.
    pub outcomes: Outcomes,
    rows: Vec<Row>,
    // Unmounted when nobody writes there any more.
    pub mount: Option<Mount>,
    pub disk: Option<DiskImage>,
}

/// The flags of every pipeline here.
pub const FLAGS: [(&str, &str); 2] = [
    ("--payment-decline-rate", RATE),
    ("--carrier-failure-rate", RATE),
];

impl World {
    /// Starts a pipeline.
    pub async fn start(grounds: Grounds, binaries: &Path) -> Result<Self> {
        let disk = match grounds {
            Grounds::FlushedDisk => Some(DiskImage::create(FLUSHED_DISK_BYTES)?),
            _ => None,
        };
        let mount = match (grounds, &disk) {
            (_, Some(disk)) => Some(Mount::image(disk)?),
            (Grounds::SmallDisk, _) => Some(Mount::tmpfs(SMALL_DISK_BYTES)?),
            _ => None,
        };
        let stack = match (grounds, &mount) {
            (Grounds::Real(_), _) => Stack::start_behind_proxies(binaries, &FLAGS).await?,
            (Grounds::Cluster, _) => Stack::start_on_cluster(BROKERS, binaries, &FLAGS).await?,
            (_, Some(mount)) => {
                Stack::start_durable_in(&mount.path().join("data"), binaries, &FLAGS).await?
            }
            (_, None) => Stack::start(Backend::Durable, binaries, &FLAGS).await?,
        };
        let client = Client::operator(&stack)?;
        let operator = client.with_token(&stack.token(OPERATOR)?);
        let outcomes = Outcomes::watch(&client.addresses().kafka)?;
        Ok(Self {
            grounds,
            stack,
            client,
            operator,
            acts: Acts::default(),
            waited: 0,
            known: Known::default(),
            outcomes,
            rows: Vec::new(),
            mount,
            disk,
        })
    }

    /// What it was started for.
    pub fn grounds(&self) -> Grounds {
        self.grounds
    }

    /// The broker's address.
    pub fn kafka(&self) -> &str {
        &self.client.addresses().kafka
    }

    /// Takes over what operators did.
    pub fn has_operated(&mut self, acts: Acts) {
        for restock in &acts.restocks {
            let restocked = self.known.restocked.entry(restock.sku.clone());
            *restocked.or_default() += restock.units;
        }
        self.acts.extend(acts);
    }

    /// Keeps a row for the table; something lost, doubled or wrong is a failure.
    pub fn report(&mut self, row: Row, wrong: &[String]) -> Result<()> {
        self.rows.push(row);
        ensure!(
            wrong.is_empty(),
            "{} promises are broken:\n- {}",
            wrong.len(),
            wrong
                .iter()
                .take(20)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n- ")
        );
        Ok(())
    }

    /// The rows since it was asked last.
    pub fn take_rows(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows)
    }

    /// Copies the logs of all processes, for those who look for the cause.
    pub fn keep_logs(&self, folder: &Path) {
        let Ok(files) = std::fs::read_dir(self.stack.folder().path()) else {
            return;
        };
        std::fs::create_dir_all(folder).ok();
        for file in files.flatten() {
            if file.path().extension().is_some_and(|kind| kind == "log") {
                std::fs::copy(file.path(), folder.join(file.file_name())).ok();
            }
        }
        eprintln!("the logs are in {}", folder.display());
    }
}
