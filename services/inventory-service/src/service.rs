//! The service: its consumer, its sweep and its HTTP server.

use std::sync::Arc;
use std::time::Duration;

use sagaline_runtime::{Runner, RunnerOptions};
use sagaline_service_host::ServiceHost;
use sagaline_service_kit::AdminGate;
use sagaline_store::StoreError;
use tokio::net::TcpListener;

use crate::domain::Inventory;
use crate::effects::StockEffects;
use crate::{ORDERS, catalogue, http};

const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
const RECOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// The service's own flags: none.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Options {}

/// Runs the service until the shutdown, then drains.
pub async fn run(host: ServiceHost, _: Options, listener: TcpListener) -> anyhow::Result<()> {
    let store = Arc::clone(&host.ports.store);
    let effects = Arc::new(StockEffects::new(Arc::clone(&store)));
    let routes = http::routes(store, Arc::clone(&host.ports.clock), AdminGate::new(host.keys.clone()));
    let runner =
        Runner::new(Arc::new(Inventory), Arc::clone(&effects), host.ports.clone(), RunnerOptions::new(ORDERS));
    let consuming = async {
        seeded(&host).await;
        let consume = async { runner.run(host.shutdown.clone()).await.map_err(anyhow::Error::from) };
        let sweep = async {
            sweep(&host, &effects).await;
            Ok(())
        };
        tokio::try_join!(consume, sweep).map(|_| ())
    };
    tokio::try_join!(host.serve(listener, routes), consuming).map(|_| ())
}

/// Waits until the catalogue is in stock.
async fn seeded(host: &ServiceHost) {
    while let Err(error) = catalogue::seed(&*host.ports.store).await {
        host.ports.health.down("store", &error.to_string());
        tokio::select! {
            () = host.shutdown.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
    }
}

/// Settles marks on SKUs that nobody orders just now, and what earlier processes left.
async fn sweep(host: &ServiceHost, effects: &StockEffects) {
    let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
    let mut recoveries = tokio::time::interval(RECOVERY_INTERVAL);
    loop {
        let swept: Result<(), StoreError> = tokio::select! {
            () = host.shutdown.cancelled() => return,
            _ = sweeps.tick() => effects.sweep().await,
            _ = recoveries.tick() => effects.recover().await,
        };
        if let Err(error) = swept {
            // The consumer reports the outage; what is left is settled by a later sweep.
            tracing::debug!(error = %error, "marks were not settled");
        }
    }
}
