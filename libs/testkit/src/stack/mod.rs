//! A whole pipeline to test from the outside: embedded, embedded and durable, or on real parts.

mod launch;
mod links;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{ApacheKafka, MongoServer, Port, Process};
pub use links::Dependency;
use links::Lines;

/// How long a process may take to drain after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What a pipeline runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `sagaline up`, in memory.
    Embedded,
    /// `sagaline up --data-dir`.
    Durable,
    /// Five service processes on Apache Kafka and the MongoDB-protocol server.
    Real,
}

/// Where a pipeline's parts are.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Base URL of the order service.
    pub order: String,
    /// Base URL of the inventory service.
    pub inventory: String,
    /// Base URL of the payment service.
    pub payment: String,
    /// Base URL of the shipping service.
    pub shipping: String,
    /// Base URL of the read model.
    pub read_model: String,
    /// The broker, `host:port`; of several brokers all, comma separated.
    pub kafka: String,
    /// Base URL of the dashboard, which only the all-in-one process has.
    pub dashboard: String,
}

impl Addresses {
    /// Base URL of a service by its name; an unknown one is the read model's.
    pub fn base(&self, service: &str) -> &str {
        match service {
            "order-service" => &self.order,
            "inventory-service" => &self.inventory,
            "payment-service" => &self.payment,
            "shipping-service" => &self.shipping,
            _ => &self.read_model,
        }
    }
}

/// A running pipeline; its processes end with it.
#[derive(Debug)]
pub struct Stack {
    backend: Backend,
    binaries: PathBuf,
    addresses: Addresses,
    secret: String,
    flags: Vec<(&'static str, String)>,
    // Processes before what they depend on: fields are dropped in this order.
    processes: BTreeMap<&'static str, Process>,
    // Further instances of services, each with its port.
    instances: Vec<(&'static str, Process, Port)>,
    lines: BTreeMap<&'static str, Lines>,
    kafka: Vec<ApacheKafka>,
    mongo: Option<MongoServer>,
    ports: Vec<Port>,
    data: PathBuf,
    folder: TempDir,
}

/// The service processes of [`Backend::Real`], in the order in which they start.
pub const SERVICES: [&str; 5] = [
    "inventory-service",
    "payment-service",
    "shipping-service",
    "read-model-service",
    "order-service",
];

/// The one process of the embedded backends.
pub const ALL_IN_ONE: &str = "sagaline";

impl Stack {
    /// The backend it runs on.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The folder that [`Backend::Durable`] keeps everything in.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where [`Backend::Durable`] finds its data at its next start.
    pub fn set_data(&mut self, folder: &Path) {
        folder.clone_into(&mut self.data);
    }

    /// Where its parts are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The secret that its admin tokens are signed with.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The names of its processes.
    pub fn process_names(&self) -> Vec<&'static str> {
        self.processes.keys().copied().collect()
    }

    /// Mints a token as an operator does.
    pub fn token(&self, sub: &str) -> Result<String> {
        self.token_for(sub, "1h")
    }

    /// Mints a token that ends after `ttl`, for instance `20s`.
    pub fn token_for(&self, sub: &str, ttl: &str) -> Result<String> {
        let made = std::process::Command::new(self.binaries.join("sagaline"))
            .args(["token", "--sub", sub, "--role", "admin", "--ttl", ttl])
            .env("JWT_SECRET", &self.secret)
            .output()?;
        anyhow::ensure!(
            made.status.success(),
            "no token: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// Kills a process as a crash would.
    pub fn kill_9(&mut self, name: &str) -> Result<()> {
        self.process(name)?.kill_9()?;
        Ok(())
    }

    /// Freezes a process: its connections stay open and it does nothing.
    pub fn freeze(&mut self, name: &str) -> Result<()> {
        self.process(name)?.sigstop()
    }

    /// Lets a frozen process go on.
    pub fn thaw(&mut self, name: &str) -> Result<()> {
        self.process(name)?.sigcont()
    }

    /// Asks a process to stop, and checks that it drains and ends with exit code 0.
    pub async fn terminate(&mut self, name: &str) -> Result<()> {
        let process = self.process(name)?;
        let status = process.terminate(STOP_LIMIT).await?;
        anyhow::ensure!(
            status.success(),
            "{name} ended with {status}:\n{}",
            process.tail()
        );
        Ok(())
    }

    /// Stops everything in order.
    pub async fn stop(mut self) -> Result<()> {
        self.stop_instances().await?;
        for name in self.process_names() {
            self.terminate(name).await?;
        }
        Ok(())
    }

    /// Stops all [further instances](Stack::add_instance); they drain and end with exit code 0.
    pub async fn stop_instances(&mut self) -> Result<()> {
        for (name, mut process, _port) in std::mem::take(&mut self.instances) {
            let status = process.terminate(STOP_LIMIT).await?;
            anyhow::ensure!(
                status.success(),
                "the further {name} ended with {status}:\n{}",
                process.tail()
            );
        }
        Ok(())
    }

    /// The last lines that a process printed.
    pub fn tail(&mut self, name: &str) -> String {
        self.process(name)
            .map(|process| process.tail())
            .unwrap_or_default()
    }

    fn process(&mut self, name: &str) -> Result<&mut Process> {
        self.processes
            .get_mut(name)
            .with_context(|| format!("there is no process {name}"))
    }
}
