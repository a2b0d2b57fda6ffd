//! The service: its consumer, its intake and its HTTP server.

use std::sync::Arc;
use std::time::Duration;

use sagaline_runtime::{AckedSet, NoEffects, OutboxRelay, RelayFaults, Runner, RunnerOptions};
use sagaline_service_host::ServiceHost;
use sagaline_service_kit::AdminGate;
use tokio::net::TcpListener;

use crate::domain::{COLLECTION, OrderSaga, SERVICE};
use crate::http::{Api, routes};
use crate::intake::Intake;

/// The service's own flags.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// An order in flight for longer is stalled, and cancelled
    #[arg(long, env = "SAGA_TIMEOUT", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub saga_timeout: Duration,
    /// How long a checkout waits for the outcome
    #[arg(long, env = "CHECKOUT_WAIT", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub checkout_wait: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let complaint = || format!("{text:?} is no duration: say for instance 500ms, 90s or 5m");
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| complaint())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(complaint()),
    }
}

/// Runs the service until the shutdown, then drains.
pub async fn run(host: ServiceHost, options: Options, listener: TcpListener) -> anyhow::Result<()> {
    let producer = host.ports.broker.producer(SERVICE).await?;
    let acked = AckedSet::default();
    let relay = OutboxRelay::new(Arc::clone(&producer), acked.clone(), RelayFaults::default());
    let (intake, task) = Intake::new(host.ports.clone(), relay, options.saga_timeout);
    let saga = Arc::new(OrderSaga {
        timeout: options.saga_timeout,
    });
    let runner = Runner::new(
        saga,
        Arc::new(NoEffects),
        host.ports.clone(),
        RunnerOptions::new(COLLECTION),
    )
    .with_acked(acked);
    let api = Api {
        intake: Arc::new(intake),
        ports: host.ports.clone(),
        producer,
        gate: AdminGate::new(host.keys.clone()),
        checkout_wait: options.checkout_wait,
    };
    let serving = host.serve(listener, routes(api));
    let taking = async {
        task.run().await;
        Ok(())
    };
    let consuming = async {
        runner
            .run(host.shutdown.clone())
            .await
            .map_err(anyhow::Error::from)
    };
    tokio::try_join!(serving, taking, consuming).map(|_| ())
}
