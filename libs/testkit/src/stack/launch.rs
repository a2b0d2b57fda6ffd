//! Starts a pipeline's processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::links::Planned;
use super::{ALL_IN_ONE, Addresses, Backend, SERVICES, Stack};
use crate::{ApacheKafka, Kind, MongoServer, Port, Process};

const READY_LIMIT: Duration = Duration::from_mins(1);
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
const SECRET: &str = "a-secret-for-tests-only-0123456789abcdef";

impl Stack {
    /// Starts a pipeline with the binaries in `binaries`; `flags` go to whichever process knows them.
    pub async fn start(
        backend: Backend,
        binaries: &Path,
        flags: &[(&'static str, &str)],
    ) -> Result<Self> {
        let mut stack = Self::prepare(backend, binaries, flags)?;
        stack.data = stack.folder.path().join("data");
        if backend == Backend::Real {
            let (kafka, mongo) =
                tokio::try_join!(ApacheKafka::start(), MongoServer::start(Kind::H2))?;
            stack.addresses.kafka = kafka.brokers();
            (stack.kafka, stack.mongo) = (vec![kafka], Some(mongo));
        }
        stack.start_all().await?;
        Ok(stack)
    }

    /// Starts a pipeline on [real parts](Backend::Real) with so many brokers, each of which has a copy of everything.
    pub async fn start_on_cluster(
        brokers: usize,
        binaries: &Path,
        flags: &[(&'static str, &str)],
    ) -> Result<Self> {
        let mut stack = Self::prepare(Backend::Real, binaries, flags)?;
        let (kafka, mongo) = tokio::try_join!(
            ApacheKafka::start_cluster(brokers),
            MongoServer::start(Kind::H2)
        )?;
        let all: Vec<String> = kafka.iter().map(ApacheKafka::brokers).collect();
        stack.addresses.kafka = all.join(",");
        (stack.kafka, stack.mongo) = (kafka, Some(mongo));
        stack.start_all().await?;
        Ok(stack)
    }

    /// Starts a pipeline on [real parts](Backend::Real) whose services reach each of them over a [line](Stack::line) of their own.
    pub async fn start_behind_proxies(
        binaries: &Path,
        flags: &[(&'static str, &str)],
    ) -> Result<Self> {
        let mut stack = Self::prepare(Backend::Real, binaries, flags)?;
        let (planned, listeners) = Planned::new()?;
        let (kafka, mongo) = tokio::try_join!(
            ApacheKafka::start_with(listeners),
            MongoServer::start(Kind::H2)
        )?;
        stack.addresses.kafka = kafka.brokers();
        stack.lines = planned.open(mongo.port()).await?.into_iter().collect();
        (stack.kafka, stack.mongo) = (vec![kafka], Some(mongo));
        stack.start_all().await?;
        Ok(stack)
    }

    /// Starts an all-in-one whose data is in this folder, which is not deleted with it.
    pub async fn start_durable_in(
        data: &Path,
        binaries: &Path,
        flags: &[(&'static str, &str)],
    ) -> Result<Self> {
        let mut stack = Self::prepare(Backend::Durable, binaries, flags)?;
        data.clone_into(&mut stack.data);
        stack.start_all().await?;
        Ok(stack)
    }

    fn prepare(backend: Backend, binaries: &Path, flags: &[(&'static str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let ports = (0..7)
            .map(|_| Port::reserve())
            .collect::<Result<Vec<_>>>()?;
        let number = |at: usize| ports.get(at).map_or(0, Port::number);
        let url = |at: usize| format!("http://127.0.0.1:{}", number(at));
        let addresses = Addresses {
            order: url(0),
            inventory: url(1),
            payment: url(2),
            shipping: url(3),
            read_model: url(4),
            kafka: format!("127.0.0.1:{}", number(5)),
            dashboard: url(6),
        };
        Ok(Self {
            backend,
            binaries: binaries.to_owned(),
            addresses,
            secret: SECRET.to_owned(),
            flags: flags
                .iter()
                .map(|(flag, value)| (*flag, (*value).to_owned()))
                .collect(),
            processes: BTreeMap::new(),
            instances: Vec::new(),
            lines: BTreeMap::new(),
            kafka: Vec::new(),
            mongo: None,
            ports,
            data: PathBuf::new(),
            folder,
        })
    }

    async fn start_all(&mut self) -> Result<()> {
        let names: &[&'static str] = if self.backend == Backend::Real {
            &SERVICES
        } else {
            &[ALL_IN_ONE]
        };
        for name in names {
            self.spawn(name)?;
        }
        for name in names {
            self.ready(name).await?;
        }
        Ok(())
    }

    /// Starts a process again that was killed or stopped, on the same port, and waits until it is ready.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        self.launch_again(name)?;
        self.ready(name).await
    }

    /// Starts a process again that was killed or stopped, on the same port, and does not wait for it.
    pub fn launch_again(&mut self, name: &str) -> Result<()> {
        let known: Vec<&'static str> = self.process_names();
        let name = known
            .into_iter()
            .find(|known| *known == name)
            .context("no such process")?;
        self.spawn(name)
    }

    /// Starts one more instance of a service, with direct lines to what it depends on, and waits until it is ready; gives its
    /// base URL. The consumer group shares its partitions among the instances.
    pub async fn add_instance(&mut self, name: &str) -> Result<String> {
        let known = SERVICES.into_iter().find(|known| *known == name);
        let name = known.with_context(|| format!("there is no service {name}"))?;
        let port = Port::reserve()?;
        let base = format!("http://127.0.0.1:{}", port.number());
        let mongo = self.mongo.as_ref().context("no store")?;
        let mut command = self.command(name);
        command
            .env("KAFKA_BROKERS", &self.addresses.kafka)
            .env("MONGO_URL", mongo.url())
            .env("PORT", port.number().to_string());
        self.give_flags(name, &mut command)?;
        let log = self.folder.path().join(format!("{name}-further.log"));
        let process = Process::spawn(name, command, "listening", &log)?;
        process.ready(READY_LIMIT).await?;
        self.instances.push((name, process, port));
        if !healthy_within(&base, READY_LIMIT).await {
            bail!("the further {name} is not healthy after {READY_LIMIT:?}");
        }
        Ok(base)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command
            .env("JWT_SECRET", &self.secret)
            .env("LOG_LEVEL", log_level())
            .env("LOG_FORMAT", "json");
        command
    }

    fn spawn(&mut self, name: &'static str) -> Result<()> {
        let mut command = self.command(name);
        let ready = if name == ALL_IN_ONE {
            self.all_in_one(&mut command);
            "ready {"
        } else {
            self.service(name, &mut command)?;
            "listening"
        };
        let log = self.folder.path().join(format!("{name}.log"));
        let process = Process::spawn(name, command, ready, &log)?;
        self.processes.insert(name, process);
        Ok(())
    }

    fn all_in_one(&self, command: &mut Command) {
        command.arg("up");
        let names = [
            "--order-port",
            "--inventory-port",
            "--payment-port",
            "--shipping-port",
            "--read-model-port",
            "--kafka-port",
            "--dashboard-port",
        ];
        for (name, port) in names.iter().zip(&self.ports) {
            command.arg(name).arg(port.number().to_string());
        }
        if self.backend == Backend::Durable {
            command.arg("--data-dir").arg(&self.data);
        }
        for (flag, value) in &self.flags {
            command.arg(flag).arg(value);
        }
    }

    /// The environment that docker-compose.yml gives a service.
    fn service(&self, name: &str, command: &mut Command) -> Result<()> {
        let at = [
            "order-service",
            "inventory-service",
            "payment-service",
            "shipping-service",
            "read-model-service",
        ]
        .iter()
        .position(|known| *known == name);
        let port = at
            .and_then(|at| self.ports.get(at))
            .context("a service without a port")?;
        let (kafka, mongo) = if let Some(lines) = self.lines.get(name) {
            (
                format!("127.0.0.1:{}", lines.kafka.port()),
                MongoServer::url_at(lines.store.port()),
            )
        } else {
            let mongo = self.mongo.as_ref().context("no store")?;
            (self.addresses.kafka.clone(), mongo.url())
        };
        command
            .env("KAFKA_BROKERS", kafka)
            .env("MONGO_URL", mongo)
            .env("PORT", port.number().to_string())
            .env("INSTANCE_ID", format!("{name}-1"));
        self.give_flags(name, command)
    }

    /// Each service gets the flags that it knows.
    fn give_flags(&self, name: &str, command: &mut Command) -> Result<()> {
        for (flag, value) in &self.flags {
            let owner = match *flag {
                "--saga-timeout" | "--checkout-wait" | "--in-flight-max" => "order-service",
                flag if flag.starts_with("--payment") || flag.starts_with("--gateway") => {
                    "payment-service"
                }
                flag if flag.starts_with("--carrier") => "shipping-service",
                flag => bail!("which process knows {flag}?"),
            };
            if owner == name {
                command.arg(flag).arg(value);
            }
        }
        Ok(())
    }

    /// Waits until a process is up and its service can work.
    pub async fn ready(&mut self, name: &str) -> Result<()> {
        self.process(name)?.ready(READY_LIMIT).await?;
        if name == ALL_IN_ONE {
            return Ok(());
        }
        let base = self.addresses.base(name);
        if !healthy_within(base, READY_LIMIT).await {
            bail!(
                "{name} is not healthy after {READY_LIMIT:?}:\n{}",
                self.tail(name)
            );
        }
        Ok(())
    }

    /// The broker's process of [`Backend::Real`].
    pub fn kafka(&mut self) -> Option<&mut ApacheKafka> {
        self.kafka.first_mut()
    }

    /// The processes of its brokers, of which [`Stack::start_on_cluster`] has several.
    pub fn brokers(&mut self) -> &mut [ApacheKafka] {
        &mut self.kafka
    }

    /// The store's process of [`Backend::Real`].
    pub fn mongo(&mut self) -> Option<&mut MongoServer> {
        self.mongo.as_mut()
    }

    /// The folder of its data and logs.
    pub fn folder(&self) -> &TempDir {
        &self.folder
    }
}

/// `SAGALINE_TEST_LOG_LEVEL` makes services more talkative for those who look for a cause.
fn log_level() -> String {
    std::env::var("SAGALINE_TEST_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned())
}

/// Waits until the service at `base` says that it can work; whether it does.
async fn healthy_within(base: &str, limit: Duration) -> bool {
    let url = format!("{base}/healthz");
    let client = reqwest::Client::new();
    let healthy = async {
        loop {
            let asked = client.get(&url).timeout(HEALTH_LIMIT).send().await;
            if asked.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(limit, healthy).await.is_ok()
}
