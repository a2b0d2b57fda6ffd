//! The embedded broker and store, or the way to external ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use sagaline_store::{
    EmbeddedOptions, EmbeddedStore, MemoryLimits, MemoryStore, MongoStore, Store,
};

use super::UpArgs;

/// How long the embedded broker's connections get at the end: the services have closed theirs by then.
pub(super) const BROKER_STOP_LIMIT: Duration = Duration::from_secs(1);

/// The embedded broker, unless an external one is named.
pub(super) async fn broker(args: &UpArgs) -> anyhow::Result<Option<EmbeddedBroker>> {
    if args.connections.kafka_brokers.is_some() {
        return Ok(None);
    }
    anyhow::ensure!(
        args.connections.kafka_security.resolve()?.is_plaintext(),
        "KAFKA_SECURITY_PROTOCOL is about a broker of your own, and there is none: say where it is with --kafka-brokers or \
         KAFKA_BROKERS"
    );
    let config = BrokerConfig {
        listen: SocketAddr::new(args.common.host, args.ports.kafka_port),
        data_dir: args.data_dir.as_ref().map(|dir| dir.join("broker")),
        default_partitions: args.connections.partitions,
        fsync: !args.no_fsync,
        shutdown_timeout: BROKER_STOP_LIMIT,
        ..BrokerConfig::default()
    };
    let broker = EmbeddedBroker::start(config)
        .await
        .context("the embedded broker cannot start")?;
    Ok(Some(broker))
}

/// The store: external, in the data directory, or in memory.
pub(super) async fn store(args: &UpArgs) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(url) = &args.connections.mongo_url {
        let store = MongoStore::connect(url.expose(), "sagaline")
            .await
            .context("the store cannot be reached")?;
        return Ok(Arc::new(store));
    }
    let Some(dir) = &args.data_dir else {
        let limits = MemoryLimits {
            settled_max: args.memory_orders,
        };
        return Ok(Arc::new(MemoryStore::new(limits)));
    };
    let options = EmbeddedOptions {
        fsync: !args.no_fsync,
    };
    let store = EmbeddedStore::open_with(dir.join("store"), options)
        .context("the embedded store cannot be opened")?;
    Ok(Arc::new(store))
}
