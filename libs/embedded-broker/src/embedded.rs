//! The broker as seen from inside the process: its life from start to shutdown.

use crate::broker::Broker;
use crate::clock;
use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::group::GroupCoordinator;
use crate::journal::{self, Journal, Options, Recovered, Segments, Writer};
use crate::log::{Home, TopicError, TopicRegistry};
use crate::net;
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::thread;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Producer ids of one run start at the start time shifted by this, so that no run gives out another run's ids.
const PRODUCER_ID_SHIFT: u32 = 20;

/// A running broker. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) lets requests in flight finish.
#[derive(Debug)]
pub struct EmbeddedBroker {
    broker: Arc<Broker>,
    address: SocketAddr,
    tasks: TaskTracker,
    writer: Option<thread::JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Opens the log, if there is a data directory, and starts to listen. When this returns, clients can connect.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        let listener = net::bind(config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| BrokerError::Listen {
                address: config.listen,
                source,
            })?;
        // Reading the log back blocks on the disk.
        let opened = tokio::task::spawn_blocking(move || open(config, address)).await;
        let (broker, writer) = opened.map_err(|_| BrokerError::ReadOnly)??;
        let tasks = TaskTracker::new();
        tasks.spawn(net::serve(listener, Arc::clone(&broker), tasks.clone()));
        tasks.spawn(Arc::clone(&broker).keep_house());
        let groups = Arc::clone(&broker);
        tasks.spawn(async move { groups.groups.expire_sessions(&groups.shutdown).await });
        tracing::info!(%address, durable = broker.journal.is_some(), "broker accepts connections");
        Ok(Self {
            broker,
            address,
            tasks,
            writer,
        })
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether records can be written: `false` while the disk is full or broken. Reading still works then.
    pub fn is_writable(&self) -> bool {
        self.broker
            .journal
            .as_ref()
            .is_none_or(|journal| !journal.has_failed())
    }

    /// Creates the topics that do not exist yet, and returns when they are durable.
    pub async fn create_topics(&self, names: &[&str], partitions: i32) -> Result<(), BrokerError> {
        for name in names {
            match self.broker.topics.create(name, partitions, BTreeMap::new()) {
                Ok(_) | Err(TopicError::Exists) => {}
                Err(error) => {
                    return Err(BrokerError::Topic {
                        topic: (*name).to_owned(),
                        reason: error.advice(),
                    });
                }
            }
        }
        match &self.broker.journal {
            Some(journal) => journal
                .durable(journal.end())
                .await
                .map_err(|_| BrokerError::ReadOnly),
            None => Ok(()),
        }
    }

    /// Stops accepting, answers what is in flight, closes the connections and flushes the log. Connections get at most
    /// [`shutdown_timeout`](BrokerConfig::shutdown_timeout).
    pub async fn shutdown(mut self) {
        self.broker.shutdown.cancel();
        self.tasks.close();
        let limit = self.broker.config.shutdown_timeout;
        if tokio::time::timeout(limit, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                ?limit,
                "some connections did not finish in time and are cut"
            );
            self.broker.abort.cancel();
            self.tasks.wait().await;
        }
        self.close_journal();
        if let Some(writer) = self.writer.take()
            && tokio::task::spawn_blocking(move || writer.join().is_err())
                .await
                .unwrap_or(true)
        {
            tracing::error!("the log's writer ended abnormally");
        }
    }

    fn close_journal(&self) {
        if let Some(journal) = &self.broker.journal {
            journal.close();
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.broker.shutdown.cancel();
        self.broker.abort.cancel();
        self.close_journal();
    }
}

type Opened = (Arc<Broker>, Option<thread::JoinHandle<()>>);

fn open(config: BrokerConfig, address: SocketAddr) -> Result<Opened, BrokerError> {
    let Some(directory) = config.data_dir.clone() else {
        return Ok((Arc::new(assemble(config, address, None)), None));
    };
    let recovered = journal::open(&directory)?;
    let journal = Arc::clone(&recovered.journal);
    let broker = assemble(config, address, Some(journal));
    let writer = start_writer(&broker, recovered, &directory)?;
    Ok((Arc::new(broker), Some(writer)))
}

fn assemble(config: BrokerConfig, address: SocketAddr, journal: Option<Arc<Journal>>) -> Broker {
    let started = clock::wall_millis();
    let host = config.advertised_host.clone().unwrap_or_else(|| {
        if address.ip().is_unspecified() {
            "127.0.0.1".to_owned()
        } else {
            address.ip().to_string()
        }
    });
    let home = journal.as_ref().map(|journal| Home {
        journal: Arc::clone(journal),
        tail_cache_bytes: config.tail_cache_bytes,
    });
    Broker {
        topics: Arc::new(TopicRegistry::new(&config, home)),
        groups: Arc::new(GroupCoordinator::new(&config, started, journal.clone())),
        host: StrBytes::from_string(host),
        port: i32::from(address.port()),
        journal,
        segments: Arc::new(Segments::default()),
        shutdown: CancellationToken::new(),
        abort: CancellationToken::new(),
        next_producer_id: AtomicI64::new(started << PRODUCER_ID_SHIFT),
        config,
    }
}

fn start_writer(
    broker: &Broker,
    recovered: Recovered,
    directory: &Path,
) -> Result<thread::JoinHandle<()>, BrokerError> {
    // A clock that went back must not give out ids that are remembered.
    if let Some(highest) = recovered.highest_producer_id() {
        broker
            .next_producer_id
            .fetch_max(highest + 1, std::sync::atomic::Ordering::Relaxed);
    }
    broker
        .topics
        .restore(recovered.topics.into_values(), recovered.next_topic);
    broker.groups.restore(recovered.offsets);
    *broker.segments.lock() = recovered.segments;
    let writer = Writer::new(
        recovered.journal,
        Options {
            directory: directory.to_owned(),
            segment_bytes: broker.config.segment_bytes,
            fsync: broker.config.fsync,
        },
        Arc::clone(&broker.topics),
        Arc::clone(&broker.groups),
        Arc::clone(&broker.segments),
        recovered.lock,
    )?;
    thread::Builder::new()
        .name("broker-log".to_owned())
        .spawn(move || writer.run())
        .map_err(|source| BrokerError::Storage {
            action: "start the writer of",
            path: directory.to_owned(),
            source,
        })
}
