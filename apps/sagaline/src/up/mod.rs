//! `sagaline up`: everything in one process.

mod args;
mod parts;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sagaline_contracts::EventType;
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{Broker, Ports, SilentHealth};
use sagaline_service_host::{KitClock, ServiceHost, kafka_options};
use sagaline_service_kit::lifecycle::{DRAIN_LIMIT, Lifecycle, raise_file_limit};
use sagaline_service_kit::{Health, JwtKeys, http, telemetry};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) use args::UpArgs;

use crate::dashboard::{self, Upstreams};
use crate::secret;

const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long stopping may take in all: the services' drain, and then the broker's. Ten seconds are promised.
const STOP_LIMIT: Duration = Duration::from_millis(9_500);

/// Starts everything, prints the addresses when all serve, and runs until SIGTERM.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    raise_file_limit();
    args.common.log.init()?;
    telemetry::install_metrics();
    let life = Lifecycle::new();
    life.listen_for_signals()?;
    let secret = secret::given_or_kept(args.common.jwt_secret.as_ref(), args.data_dir.as_deref())?;
    let listeners = Listeners::bind(&args).await?;
    let embedded = parts::broker(&args).await?;
    let kafka = match (&embedded, &args.connections.kafka_brokers) {
        (Some(broker), _) => KafkaOptions::new(broker.address().to_string()),
        (None, Some(brokers)) => {
            kafka_options(brokers, &args.connections.kafka_security.resolve()?)
        }
        (None, None) => anyhow::bail!("there is no broker: give --kafka-brokers"),
    };
    let broker = KafkaBroker::new(kafka.clone());
    let kafka = kafka.brokers;
    let topics: Vec<&str> = EventType::topics().collect();
    broker
        .ensure_topics(&topics, args.connections.partitions)
        .await
        .with_context(|| format!("the topics at {kafka} are not as they must be"))?;
    let ports = Ports {
        store: parts::store(&args).await?,
        broker: Arc::new(broker),
        clock: Arc::new(KitClock),
        health: Arc::new(SilentHealth),
    };
    let addresses = listeners.addresses(&kafka)?;
    let upstreams = listeners.upstreams()?;
    let healths = start(
        &life,
        &args,
        &ports,
        &JwtKeys::new(&secret),
        listeners,
        upstreams,
    );
    announce(&life, &args, &healths, &addresses).await;
    life.shutdown_token().cancelled().await;
    let stop_by = Instant::now() + STOP_LIMIT;
    let code = life.run(DRAIN_LIMIT).await;
    if let Some(embedded) = embedded
        && tokio::time::timeout_at(stop_by, embedded.shutdown())
            .await
            .is_err()
    {
        // What it has acknowledged is in its log; the next start reads it.
        tracing::warn!("the embedded broker takes too long to stop and is left behind");
    }
    Ok(code)
}

/// One listener per service, bound before anything starts, so that a port that is taken is known at once.
struct Listeners {
    order: TcpListener,
    inventory: TcpListener,
    payment: TcpListener,
    shipping: TcpListener,
    read_model: TcpListener,
    dashboard: TcpListener,
}

impl Listeners {
    async fn bind(args: &UpArgs) -> anyhow::Result<Self> {
        let on = |port: u16| http::bind(SocketAddr::new(args.common.host, port));
        Ok(Self {
            order: on(args.ports.order_port).await?,
            inventory: on(args.ports.inventory_port).await?,
            payment: on(args.ports.payment_port).await?,
            shipping: on(args.ports.shipping_port).await?,
            read_model: on(args.ports.read_model_port).await?,
            dashboard: on(args.ports.dashboard_port).await?,
        })
    }

    fn addresses(&self, kafka: &str) -> anyhow::Result<Map<String, Value>> {
        let mut addresses = Map::new();
        for (name, listener) in [
            ("order", &self.order),
            ("inventory", &self.inventory),
            ("payment", &self.payment),
            ("shipping", &self.shipping),
            ("readModel", &self.read_model),
            ("dashboard", &self.dashboard),
        ] {
            addresses.insert(
                name.to_owned(),
                format!("http://{}", listener.local_addr()?).into(),
            );
        }
        addresses.insert("kafka".to_owned(), kafka.into());
        Ok(addresses)
    }

    /// The services as the dashboard reaches them: a listener on every address is on the loopback one as well.
    fn upstreams(&self) -> anyhow::Result<Upstreams> {
        let url = |listener: &TcpListener| -> anyhow::Result<String> {
            let mut address = listener.local_addr()?;
            if address.ip().is_unspecified() {
                address.set_ip(match address {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                });
            }
            Ok(format!("http://{address}"))
        };
        Upstreams::new(
            url(&self.order)?,
            url(&self.inventory)?,
            url(&self.read_model)?,
        )
        .context("the dashboard cannot reach the services")
    }
}

/// Starts the five services; gives their health records.
fn start(
    life: &Lifecycle,
    args: &UpArgs,
    ports: &Ports,
    keys: &JwtKeys,
    listeners: Listeners,
    upstreams: Upstreams,
) -> Vec<Health> {
    let mut healths = Vec::new();
    let mut host = |name: &str| {
        let host = ServiceHost::new(
            name,
            ports.clone(),
            keys.clone(),
            args.common.cors_origin.clone(),
            life.shutdown_token(),
        )
        .with_limits(&args.common.limits);
        healths.push(host.health.clone());
        host
    };
    let inventory = inventory_service::run(
        host("inventory-service"),
        args.inventory.clone(),
        listeners.inventory,
    );
    let payment = payment_service::run(
        host("payment-service"),
        args.payment.clone(),
        listeners.payment,
    );
    let shipping = shipping_service::run(
        host("shipping-service"),
        args.shipping.clone(),
        listeners.shipping,
    );
    let mut reads = args.read_model.clone();
    // Nobody else has what is embedded here.
    reads.follow_others &= args.connections.kafka_brokers.is_some();
    let read_model =
        read_model_service::run(host("read-model-service"), reads, listeners.read_model);
    let order = order_service::run(host("order-service"), args.order.clone(), listeners.order);
    life.spawn("inventory-service", inventory);
    life.spawn("payment-service", payment);
    life.spawn("shipping-service", shipping);
    life.spawn("read-model-service", read_model);
    life.spawn("order-service", order);
    let dashboard = dashboard::run(
        listeners.dashboard,
        upstreams,
        args.common.cors_origin.clone(),
        life.shutdown_token(),
    );
    life.spawn("dashboard", dashboard);
    healths
}

/// Prints the addresses once every service is ready.
async fn announce(
    life: &Lifecycle,
    args: &UpArgs,
    healths: &[Health],
    addresses: &Map<String, Value>,
) {
    let all_ready = async {
        for health in healths {
            health.ready().await;
        }
    };
    let shutdown = life.shutdown_token();
    tokio::select! {
        () = all_ready => {
            println!("ready {}", Value::Object(addresses.clone()));
            if args.common.jwt_secret.is_none() {
                let place = args.data_dir.as_ref().map(|dir| format!(" --data-dir {}", dir.display())).unwrap_or_default();
                println!("mint an admin token with: sagaline token --sub NAME --role admin --ttl 24h{place}");
            }
        }
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(READY_LIMIT) => {
            for health in healths.iter().filter(|health| !health.is_ready()) {
                tracing::error!(service = health.service(), report = ?health.report(), "not ready after 60 s; see its /healthz");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sagaline_runtime::LoopOptions;
    use sagaline_service_kit::http::HttpOptions;

    use super::*;

    #[test]
    fn stopping_takes_less_than_ten_seconds_when_every_part_takes_as_long_as_it_may() {
        let consumer = LoopOptions::default();
        // Inventory's stock is settled, and new orders' events are handed over, in less than two seconds.
        let further = Duration::from_millis(1_900);
        assert!(consumer.drain_limit + consumer.close_limit + further < DRAIN_LIMIT);
        assert!(HttpOptions::default().drain_limit + further < DRAIN_LIMIT);
        assert!(DRAIN_LIMIT + parts::BROKER_STOP_LIMIT < STOP_LIMIT);
        assert!(STOP_LIMIT + crate::RUNTIME_STOP_LIMIT < Duration::from_secs(10));
    }
}
