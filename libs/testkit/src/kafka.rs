//! Apache Kafka itself.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::ports::Port;
use crate::process::Process;

/// The first start fetches the jars; a start after a crash waits for the old registration to expire.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Who signs in at the listener with TLS; `test-servers/kafka/run.sh` has both.
pub const SECURED_USER: &str = "sagaline";
/// With which password.
pub const SECURED_PASSWORD: &str = "swordfish-of-the-tests";

/// A port of its own for some clients, at which the broker tells them another port to come back to: a proxy's.
#[derive(Debug)]
pub struct Listener {
    /// Where the broker listens.
    pub port: Port,
    /// The port that it tells clients.
    pub advertised: u16,
}

/// Which broker of several one is.
#[derive(Debug, Clone)]
struct Member {
    /// Its number, from 1.
    node: usize,
    /// All of them as `node@host:port`, comma separated.
    voters: String,
    /// On how many of them everything is kept.
    replicas: usize,
}

/// One Kafka broker (`KRaft`, combined mode) on free ports, with quick groups and quick recovery.
#[derive(Debug)]
pub struct ApacheKafka {
    port: Port,
    controller_port: Port,
    listeners: Vec<Listener>,
    secured: Option<Port>,
    member: Option<Member>,
    // before its folder, because fields are dropped in this order
    process: Process,
    folder: TempDir,
}

impl ApacheKafka {
    /// Starts an empty broker and waits until it accepts connections.
    pub async fn start() -> Result<Self> {
        Self::start_with(Vec::new()).await
    }

    /// The same, with further listeners.
    pub async fn start_with(listeners: Vec<Listener>) -> Result<Self> {
        Self::start_all(listeners, None).await
    }

    /// The same, with one further listener that wants TLS and a sign-in: [`Self::secured_brokers`].
    pub async fn start_secured() -> Result<Self> {
        Self::start_all(Vec::new(), Some(Port::reserve()?)).await
    }

    async fn start_all(listeners: Vec<Listener>, secured: Option<Port>) -> Result<Self> {
        let kafka = Self::spawned(Port::reserve()?, listeners, secured, None)?;
        kafka.process.ready(START_LIMIT).await?;
        Ok(kafka)
    }

    /// Starts so many brokers that are one Kafka: each has a copy of everything, and all but one must have what is acknowledged.
    pub async fn start_cluster(brokers: usize) -> Result<Vec<Self>> {
        let controllers = (0..brokers)
            .map(|_| Port::reserve())
            .collect::<Result<Vec<_>>>()?;
        let voters = controllers.iter().enumerate();
        let voters: Vec<String> = voters
            .map(|(at, port)| format!("{}@127.0.0.1:{}", at + 1, port.number()))
            .collect();
        let mut cluster = Vec::new();
        for (at, controller) in controllers.into_iter().enumerate() {
            let member = Member {
                node: at + 1,
                voters: voters.join(","),
                replicas: brokers,
            };
            cluster.push(Self::spawned(controller, Vec::new(), None, Some(member))?);
        }
        // None of them is ready before most of them are there.
        for broker in &cluster {
            broker.process.ready(START_LIMIT).await?;
        }
        Ok(cluster)
    }

    fn spawned(
        controller_port: Port,
        listeners: Vec<Listener>,
        secured: Option<Port>,
        member: Option<Member>,
    ) -> Result<Self> {
        let port = Port::reserve()?;
        let folder = tempfile::tempdir()?;
        let process = spawn(
            &port,
            &controller_port,
            &listeners,
            secured.as_ref(),
            member.as_ref(),
            &folder,
        )?;
        Ok(Self {
            port,
            controller_port,
            listeners,
            secured,
            member,
            process,
            folder,
        })
    }

    /// What a client calls `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// The same for the listener with TLS and sign-in, by PLAIN or SCRAM-SHA-512 as [`SECURED_USER`] with [`SECURED_PASSWORD`].
    pub fn secured_brokers(&self) -> Option<String> {
        let port = self.secured.as_ref()?;
        Some(format!("127.0.0.1:{}", port.number()))
    }

    /// The certificate that vouches for that listener, PEM.
    pub fn secured_ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Ends it as a crash would.
    pub fn kill_9(&mut self) -> Result<()> {
        self.process.kill_9().map(drop)
    }

    /// Kills it if it still runs, and starts it again on the same port with the same data.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill_9()?;
        self.process = spawn(
            &self.port,
            &self.controller_port,
            &self.listeners,
            self.secured.as_ref(),
            self.member.as_ref(),
            &self.folder,
        )?;
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

fn spawn(
    port: &Port,
    controller_port: &Port,
    listeners: &[Listener],
    secured: Option<&Port>,
    member: Option<&Member>,
    folder: &TempDir,
) -> Result<Process> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test-servers/kafka/run.sh"
    );
    let mut command = Command::new(script);
    command
        .arg(folder.path())
        .arg(port.number().to_string())
        .arg(controller_port.number().to_string());
    for listener in listeners {
        let (port, advertised) = (listener.port.number(), listener.advertised);
        command.arg(format!("{port}:{advertised}"));
    }
    if let Some(port) = secured {
        command.arg(format!("sasl_ssl:{}", port.number()));
    }
    if let Some(member) = member {
        let others_enough = member.replicas.saturating_sub(1).max(1);
        command
            .env("NODE", member.node.to_string())
            .env("VOTERS", &member.voters)
            .env("REPLICAS", member.replicas.to_string())
            .env("MIN_INSYNC", others_enough.to_string());
    }
    let log = folder.path().join("server.log");
    Process::spawn("Apache Kafka", command, "Kafka Server started", &log)
}
