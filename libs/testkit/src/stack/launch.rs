//! Starts a pipeline's processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{ALL_IN_ONE, Addresses, Backend, SERVICES, Stack};
use crate::{ApacheKafka, Kind, MongoServer, Port, Process};

const READY_LIMIT: Duration = Duration::from_mins(1);
const SECRET: &str = "a-secret-for-tests-only-0123456789abcdef";

impl Stack {
    /// Starts a pipeline with the binaries in `binaries`; `flags` go to whichever process knows them.
    pub async fn start(
        backend: Backend,
        binaries: &Path,
        flags: &[(&'static str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let ports = (0..7)
            .map(|_| Port::reserve())
            .collect::<Result<Vec<_>>>()?;
        let number = |at: usize| ports.get(at).map_or(0, Port::number);
        let url = |at: usize| format!("http://127.0.0.1:{}", number(at));
        let mut addresses = Addresses {
            order: url(0),
            inventory: url(1),
            payment: url(2),
            shipping: url(3),
            read_model: url(4),
            kafka: format!("127.0.0.1:{}", number(5)),
            dashboard: url(6),
        };
        let (mut kafka, mut mongo) = (None, None);
        if backend == Backend::Real {
            let (started_kafka, started_mongo) =
                tokio::try_join!(ApacheKafka::start(), MongoServer::start(Kind::H2))?;
            addresses.kafka = started_kafka.brokers();
            (kafka, mongo) = (Some(started_kafka), Some(started_mongo));
        }
        let mut stack = Self {
            backend,
            binaries: binaries.to_owned(),
            addresses,
            secret: SECRET.to_owned(),
            flags: flags
                .iter()
                .map(|(flag, value)| (*flag, (*value).to_owned()))
                .collect(),
            processes: BTreeMap::new(),
            kafka,
            mongo,
            ports,
            folder,
        };
        stack.start_all().await?;
        Ok(stack)
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
        let known: Vec<&'static str> = self.process_names();
        let name = known
            .into_iter()
            .find(|known| *known == name)
            .context("no such process")?;
        self.spawn(name)?;
        self.ready(name).await
    }

    fn spawn(&mut self, name: &'static str) -> Result<()> {
        let mut command = Command::new(self.binaries.join(name));
        command
            .env("JWT_SECRET", &self.secret)
            .env("LOG_LEVEL", "info")
            .env("LOG_FORMAT", "json");
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
            command
                .arg("--data-dir")
                .arg(self.folder.path().join("data"));
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
        let mongo = self.mongo.as_ref().context("no store")?;
        command
            .env("KAFKA_BROKERS", &self.addresses.kafka)
            .env("MONGO_URL", mongo.url())
            .env("PORT", port.number().to_string());
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

    async fn ready(&mut self, name: &str) -> Result<()> {
        self.process(name)?.ready(READY_LIMIT).await?;
        if name == ALL_IN_ONE {
            return Ok(());
        }
        let base = match name {
            "order-service" => &self.addresses.order,
            "inventory-service" => &self.addresses.inventory,
            "payment-service" => &self.addresses.payment,
            "shipping-service" => &self.addresses.shipping,
            _ => &self.addresses.read_model,
        };
        let url = format!("{base}/healthz");
        let client = reqwest::Client::new();
        let healthy = async {
            loop {
                if client
                    .get(&url)
                    .send()
                    .await
                    .is_ok_and(|response| response.status().is_success())
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(READY_LIMIT, healthy).await;
        if waited.is_err() {
            bail!(
                "{name} is not healthy after {READY_LIMIT:?}:\n{}",
                self.tail(name)
            );
        }
        Ok(())
    }

    /// The broker's process of [`Backend::Real`].
    pub fn kafka(&mut self) -> Option<&mut ApacheKafka> {
        self.kafka.as_mut()
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
