//! A server that speaks `MongoDB`'s wire protocol.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::ports::Port;
use crate::process::Process;

/// The first start fetches and compiles.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Where a [`MongoServer`] keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In memory: fast, and empty after a restart.
    Memory,
    /// In a file: every acknowledged write survives [`MongoServer::kill_9`].
    H2,
}

/// `mongo-java-server` on a free port: commands run one at a time; no sessions, no transactions.
#[derive(Debug)]
pub struct MongoServer {
    kind: Kind,
    port: Port,
    // before its folder, because fields are dropped in this order
    process: Process,
    folder: TempDir,
}

impl MongoServer {
    /// Starts an empty server and waits until it accepts connections.
    pub async fn start(kind: Kind) -> Result<Self> {
        let port = Port::reserve()?;
        let folder = tempfile::tempdir()?;
        let process = spawn(kind, &port, &folder)?;
        process.ready(START_LIMIT).await?;
        Ok(Self {
            kind,
            port,
            process,
            folder,
        })
    }

    /// The connection string.
    pub fn url(&self) -> String {
        Self::url_at(self.port())
    }

    /// The connection string of a server on this port, or of a proxy in front of one.
    pub(crate) fn url_at(port: u16) -> String {
        format!("mongodb://127.0.0.1:{port}/?directConnection=true")
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Ends it as a crash would.
    pub fn kill_9(&mut self) -> Result<()> {
        self.process.kill_9().map(drop)
    }

    /// Kills it if it still runs, and starts it again on the same port with the same data.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill_9()?;
        self.process = spawn(self.kind, &self.port, &self.folder)?;
        self.process.ready(START_LIMIT).await
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn sigstop(&self) -> Result<()> {
        self.process.sigstop()
    }

    /// Lets it go on after [`Self::sigstop`].
    pub fn sigcont(&self) -> Result<()> {
        self.process.sigcont()
    }

    /// What it printed, all starts together.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

fn spawn(kind: Kind, port: &Port, folder: &TempDir) -> Result<Process> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test-servers/mongo/run.sh"
    );
    let mut command = Command::new(script);
    command
        .arg(folder.path())
        .arg(port.number().to_string())
        .arg(match kind {
            Kind::Memory => "memory",
            Kind::H2 => "h2",
        });
    let log = folder.path().join("server.log");
    Process::spawn("the MongoDB test server", command, "listening", &log)
}
