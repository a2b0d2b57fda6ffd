//! A service in a process of its own.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, FromArgMatches};
use sagaline_contracts::EventType;
use sagaline_runtime::kafka::{KafkaBroker, KafkaOptions};
use sagaline_runtime::{Broker, Ports, SilentHealth};
use sagaline_service_kit::auth::JwtKeys;
use sagaline_service_kit::config::{KafkaBrokers, KafkaSecurity, ServiceArgs, ServiceDefaults};
use sagaline_service_kit::lifecycle::{
    DRAIN_LIMIT, Lifecycle, install_tls_provider, raise_file_limit,
};
use sagaline_service_kit::{http, telemetry};
use sagaline_store::{MongoStore, StoreError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{KitClock, ServiceHost};

const DATABASE: &str = "sagaline";

/// What a service is called, where it listens and what it says about itself in `--help`.
#[derive(Debug, Clone, Copy)]
pub struct ServiceSpec {
    /// Name and port when nothing is configured.
    pub defaults: ServiceDefaults,
    /// One line for `--help`.
    pub about: &'static str,
}

/// Runs a service in a process of its own: reads the command line, connects, runs until SIGTERM, drains.
pub fn main<O, R, F>(spec: ServiceSpec, run: R) -> ExitCode
where
    O: Args + Send + 'static,
    R: FnOnce(ServiceHost, O, TcpListener) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    install_tls_provider();
    raise_file_limit();
    let command = clap::Command::new(spec.defaults.name).version(env!("CARGO_PKG_VERSION"));
    // The flags' structs bring texts of their own; the service's comes last.
    let command = O::augment_args(ServiceArgs::augment_args(command)).about(spec.about);
    let matches = command.get_matches();
    let parsed = ServiceArgs::from_arg_matches(&matches)
        .and_then(|args| Ok((args, O::from_arg_matches(&matches)?)));
    let (args, options) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the process cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(start(spec, args, options, run)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start<O, R, F>(
    spec: ServiceSpec,
    args: ServiceArgs,
    options: O,
    run: R,
) -> anyhow::Result<ExitCode>
where
    R: FnOnce(ServiceHost, O, TcpListener) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    args.common.log.init()?;
    telemetry::install_metrics();
    let config = args.resolve(spec.defaults)?;
    let life = Lifecycle::new();
    life.listen_for_signals()?;
    let store = MongoStore::connect(config.mongo_url.expose(), DATABASE)
        .await
        .map_err(|error: StoreError| anyhow::Error::new(error))
        .context("MONGO_URL is not usable")?;
    let broker = KafkaBroker::new(KafkaOptions {
        instance_id: config.instance_id.clone(),
        ..kafka_options(&config.kafka_brokers, &config.kafka_security)
    });
    let ports = Ports {
        store: Arc::new(store),
        broker: Arc::new(broker.clone()),
        clock: Arc::new(KitClock),
        health: Arc::new(SilentHealth),
    };
    let keys = JwtKeys::new(&config.jwt_secret);
    let host = ServiceHost::new(
        &config.name,
        ports,
        keys,
        config.cors_origin,
        life.shutdown_token(),
    )
    .with_limits(&config.limits);
    let listener = http::bind(config.listen).await?;
    tracing::info!(service = config.name, address = %config.listen, "listening");
    let (listener, early) = two_handles(listener)?;
    let service = run(host.clone(), options, listener);
    let (shutdown, partitions) = (life.shutdown_token(), config.partitions);
    life.spawn("service", async move {
        wait_for_topics(&broker, partitions, &host, early, &shutdown).await?;
        service.await
    });
    Ok(life.run(DRAIN_LIMIT).await)
}

/// The broker at this address, as it wants to be talked to. Every client of every program of ours comes from here.
pub fn kafka_options(brokers: &KafkaBrokers, security: &KafkaSecurity) -> KafkaOptions {
    let extra = security.settings().iter();
    KafkaOptions {
        extra: extra
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..KafkaOptions::new(brokers.to_string())
    }
}

/// A port twice: who connects is answered by whoever serves it just then.
fn two_handles(listener: TcpListener) -> std::io::Result<(TcpListener, TcpListener)> {
    let listener = listener.into_std()?;
    let other = listener.try_clone()?;
    Ok((
        TcpListener::from_std(listener)?,
        TcpListener::from_std(other)?,
    ))
}

/// Waits for the broker and its topics, and says so to whoever asks meanwhile.
async fn wait_for_topics(
    broker: &KafkaBroker,
    partitions: i32,
    host: &ServiceHost,
    listener: TcpListener,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let until = shutdown.child_token();
    let serving = host.serve_waiting(listener, until.clone());
    let waiting = async {
        let ensured = ensure_topics(broker, partitions, host, shutdown).await;
        until.cancel();
        ensured
    };
    let (ensured, served) = tokio::join!(waiting, serving);
    ensured.and(served)
}

/// Waits for the broker, and makes sure that the topics exist before anybody subscribes to them.
async fn ensure_topics(
    broker: &KafkaBroker,
    partitions: i32,
    host: &ServiceHost,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let topics: Vec<&str> = EventType::topics().collect();
    loop {
        match broker.ensure_topics(&topics, partitions).await {
            Ok(()) => return Ok(()),
            Err(error @ sagaline_runtime::BrokerError::Unavailable { .. }) => {
                let why = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(why, "the broker cannot be used yet; trying again");
                host.health.down("kafka", why);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            // ensure_topics waits for the broker itself; this only keeps a refused connection from spinning.
            () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use sagaline_service_kit::CorsOrigins;
    use sagaline_store::MemoryStore;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn host(broker: &KafkaBroker) -> ServiceHost {
        let ports = Ports {
            store: Arc::new(MemoryStore::default()),
            broker: Arc::new(broker.clone()),
            clock: Arc::new(KitClock),
            health: Arc::new(SilentHealth),
        };
        let secret = "0123456789abcdef0123456789abcdef".parse().unwrap();
        ServiceHost::new(
            "payment-service",
            ports,
            JwtKeys::new(&secret),
            CorsOrigins::Any,
            CancellationToken::new(),
        )
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .unwrap()
            .unwrap()
    }

    #[tokio::test]
    async fn a_service_that_has_never_reached_its_broker_says_so_and_hands_the_port_over() {
        // Nothing listens there.
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nowhere = closed.local_addr().unwrap().to_string();
        drop(closed);
        let broker = KafkaBroker::new(KafkaOptions::new(nowhere));
        let host = host(&broker);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (listener, early) = two_handles(listener).unwrap();
        let shutdown = CancellationToken::new();
        let waiting = wait_for_topics(&broker, 1, &host, early, &shutdown);
        let asking = async {
            assert!(ask(address, "/health").await.starts_with("HTTP/1.1 200"));
            let mut reason = String::from("starting");
            while reason == "starting" {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let healthz = ask(address, "/healthz").await;
                assert!(healthz.starts_with("HTTP/1.1 503"), "{healthz}");
                let (_, body) = healthz.split_once("\r\n\r\n").unwrap();
                let report: serde_json::Value = serde_json::from_str(body).unwrap();
                let kafka = &report["dependencies"]["kafka"];
                kafka["reason"].as_str().unwrap().clone_into(&mut reason);
            }
            assert!(reason.contains("broker"), "{reason}");
            let orders = ask(address, "/orders/o-1").await;
            assert!(orders.starts_with("HTTP/1.1 503"), "{orders}");
            assert!(orders.contains("retry-after: 2"), "{orders}");
            shutdown.cancel();
        };
        let (waited, ()) = tokio::join!(waiting, asking);
        waited.unwrap();
        // The service itself has the port now.
        let end = host.shutdown.clone();
        let routes = Router::new().route("/orders/{id}", get(|| async { "the order" }));
        let asking = async {
            assert!(ask(address, "/orders/o-1").await.ends_with("the order"));
            end.cancel();
        };
        let (served, ()) = tokio::join!(host.serve(listener, routes), asking);
        served.unwrap();
    }
}
