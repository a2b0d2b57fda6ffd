//! The broker as a whole: what the requests share, and its life from start to shutdown.

use crate::api::{Reply, Request, WireError};
use crate::clock;
use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::group::GroupCoordinator;
use crate::log::{TopicError, TopicRegistry};
use crate::net;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The one node's id.
pub(crate) const NODE_ID: i32 = 1;
/// The cluster's id, as clients see it.
pub(crate) const CLUSTER_ID: &str = "sagaline-embedded";
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(5);
/// Producer ids of one run start at the start time shifted by this, so that no run gives out another run's ids.
const PRODUCER_ID_SHIFT: u32 = 20;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) host: StrBytes,
    pub(crate) port: i32,
    pub(crate) topics: TopicRegistry,
    pub(crate) groups: GroupCoordinator,
    pub(crate) shutdown: CancellationToken,
    next_producer_id: AtomicI64,
}

impl Broker {
    fn new(config: BrokerConfig, address: SocketAddr) -> Self {
        let started = clock::wall_millis();
        let host = config.advertised_host.clone().unwrap_or_else(|| {
            if address.ip().is_unspecified() {
                "127.0.0.1".to_owned()
            } else {
                address.ip().to_string()
            }
        });
        Self {
            topics: TopicRegistry::new(&config),
            groups: GroupCoordinator::new(&config, started),
            host: StrBytes::from_string(host),
            port: i32::from(address.port()),
            shutdown: CancellationToken::new(),
            next_producer_id: AtomicI64::new(started << PRODUCER_ID_SHIFT),
            config,
        }
    }

    /// An id that no producer had before, in this run or an earlier one.
    pub(crate) fn new_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }

    /// An answer that is sent once everything done so far is durable.
    pub(crate) fn reply_when_durable<R: Encodable + HeaderVersion>(
        &self,
        request: &Request,
        response: &R,
    ) -> Result<Reply, WireError> {
        request.reply(response)
    }

    /// Retention by age, from time to time.
    async fn keep_house(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(HOUSEKEEPING_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.apply_retention(clock::wall_millis()),
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    fn apply_retention(&self, now_millis: i64) {
        for topic in self.topics.all() {
            let Some(age) = topic.settings().retention else {
                continue;
            };
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            for partition in topic.partitions() {
                partition.delete_older_than(now_millis.saturating_sub(age));
            }
        }
    }
}

/// A running broker. Dropping it stops it at once; [`shutdown`](Self::shutdown) lets requests in flight finish first.
#[derive(Debug)]
pub struct EmbeddedBroker {
    broker: Arc<Broker>,
    address: SocketAddr,
    tasks: TaskTracker,
}

impl EmbeddedBroker {
    /// Starts to listen. When this returns, clients can connect.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        let listener = net::bind(config.listen).await?;
        let address = listener.local_addr().map_err(|source| BrokerError::Listen {
            address: config.listen,
            source,
        })?;
        let broker = Arc::new(Broker::new(config, address));
        let tasks = TaskTracker::new();
        tasks.spawn(net::serve(listener, Arc::clone(&broker), tasks.clone()));
        tasks.spawn(Arc::clone(&broker).keep_house());
        let groups = Arc::clone(&broker);
        tasks.spawn(async move { groups.groups.expire_sessions(&groups.shutdown).await });
        tracing::info!(%address, durable = broker.config.data_dir.is_some(), "broker accepts connections");
        Ok(Self {
            broker,
            address,
            tasks,
        })
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates the topics that do not exist yet.
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
        Ok(())
    }

    /// Stops accepting, answers what is in flight, and closes. Takes at most
    /// [`shutdown_timeout`](BrokerConfig::shutdown_timeout).
    pub async fn shutdown(self) {
        self.broker.shutdown.cancel();
        self.tasks.close();
        let limit = self.broker.config.shutdown_timeout;
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(?limit, "some connections did not finish in time");
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.broker.shutdown.cancel();
    }
}
