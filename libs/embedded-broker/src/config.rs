//! What can be configured, with defaults that suit one process on one machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of an [`EmbeddedBroker`](crate::EmbeddedBroker).
///
/// ```
/// # use sagaline_embedded_broker::BrokerConfig;
/// let config = BrokerConfig { default_partitions: 8, ..BrokerConfig::default() };
/// assert!(config.auto_create_topics);
/// ```
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Address to listen on. Port 0 takes any free port; see [`EmbeddedBroker::address`](crate::EmbeddedBroker::address).
    pub listen: SocketAddr,
    /// Host name that clients are told to connect to. Default: the listening IP address, or `127.0.0.1` for a wildcard.
    pub advertised_host: Option<String>,
    /// Where to keep the log. `None`: in memory, gone when the process ends.
    pub data_dir: Option<PathBuf>,
    /// Partitions of a topic that is created without a count.
    pub default_partitions: i32,
    /// Whether a metadata request that allows it creates unknown topics.
    pub auto_create_topics: bool,
    /// Bytes kept per partition, unless the topic's `retention.bytes` says otherwise; the oldest batches go first.
    /// In memory this bounds the memory taken, so a consumer that lags by more than this loses records.
    pub retention_bytes: u64,
    /// Age at which batches are dropped, unless the topic's `retention.ms` says otherwise. `None`: never by age.
    pub retention: Option<Duration>,
    /// Durable only: bytes on disk, over all partitions, beyond which whole old segments are deleted.
    pub log_bytes: u64,
    /// Durable only: size at which a segment of the shared log is sealed.
    pub segment_bytes: u64,
    /// Durable only: newest bytes of each partition that are also kept in memory for consumers that keep up.
    pub tail_cache_bytes: u64,
    /// Durable only: whether an acknowledgement waits for fsync (one for all requests that are waiting).
    /// Without it an acknowledged record survives the death of the process, not that of the machine.
    pub fsync: bool,
    /// Largest record batch accepted (`message.max.bytes`).
    pub message_max_bytes: usize,
    /// Largest produce request accepted; any other request is limited to 8 MiB.
    pub request_max_bytes: usize,
    /// Most bytes of records in one fetch response.
    pub fetch_max_bytes: usize,
    /// Connections served at the same time; more are refused.
    pub max_connections: usize,
    /// Requests that one connection may have unanswered before no more is read from it.
    pub max_in_flight: usize,
    /// Time after which a connection without traffic is closed.
    pub idle_timeout: Duration,
    /// Partitions over all topics.
    pub max_partitions: usize,
    /// Consumer groups.
    pub max_groups: usize,
    /// Members of one consumer group.
    pub max_group_members: usize,
    /// Time that [`EmbeddedBroker::shutdown`](crate::EmbeddedBroker::shutdown) gives connections to finish.
    pub shutdown_timeout: Duration,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            advertised_host: None,
            data_dir: None,
            default_partitions: 4,
            auto_create_topics: true,
            retention_bytes: 32 << 20,
            retention: None,
            log_bytes: 8 << 30,
            segment_bytes: 64 << 20,
            tail_cache_bytes: 2 << 20,
            fsync: true,
            message_max_bytes: (1 << 20) + 12,
            request_max_bytes: 100 << 20,
            fetch_max_bytes: 16 << 20,
            max_connections: 1024,
            max_in_flight: 64,
            idle_timeout: Duration::from_mins(10),
            max_partitions: 10_000,
            max_groups: 10_000,
            max_group_members: 1_000,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}
