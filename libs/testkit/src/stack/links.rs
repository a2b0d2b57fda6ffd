//! Lines between a service and what it depends on, which can be cut.

use anyhow::{Context, Result};

use super::{SERVICES, Stack};
use crate::{Listener, Port, Proxy};

/// What a service is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// The broker.
    Kafka,
    /// The store.
    Store,
}

/// A service's two lines.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) kafka: Proxy,
    pub(super) store: Proxy,
}

/// Ports of the lines to Kafka, before there is a Kafka: it has to know where its clients shall come back to.
#[derive(Debug)]
pub(super) struct Planned {
    by_service: Vec<(&'static str, Port, u16)>,
}

impl Planned {
    /// A plan for every service, and the listeners that Kafka needs for it.
    pub(super) fn new() -> Result<(Self, Vec<Listener>)> {
        let (mut by_service, mut listeners) = (Vec::new(), Vec::new());
        for name in SERVICES {
            let (line, port) = (Port::reserve()?, Port::reserve()?);
            let advertised = line.number();
            by_service.push((name, line, port.number()));
            listeners.push(Listener { port, advertised });
        }
        Ok((Self { by_service }, listeners))
    }

    /// Opens the lines.
    pub(super) async fn open(self, store: u16) -> Result<Vec<(&'static str, Lines)>> {
        let mut lines = Vec::new();
        for (name, line, kafka) in self.by_service {
            let kafka = Proxy::start_at(line, kafka).await?;
            let store = Proxy::start(store).await?;
            lines.push((name, Lines { kafka, store }));
        }
        Ok(lines)
    }
}

impl Stack {
    /// The line between a service and what it depends on, when the pipeline was started with
    /// [proxies](Stack::start_behind_proxies).
    pub fn line(&self, service: &str, to: Dependency) -> Result<&Proxy> {
        let lines = self.lines.get(service);
        let lines = lines.with_context(|| format!("{service} has no lines"))?;
        Ok(match to {
            Dependency::Kafka => &lines.kafka,
            Dependency::Store => &lines.store,
        })
    }
}
