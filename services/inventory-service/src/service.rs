//! The service: its consumer, its stock and its HTTP server.

use std::sync::Arc;
use std::time::Duration;

use sagaline_runtime::{Runner, RunnerOptions};
use sagaline_service_host::{Front, ServiceHost};
use sagaline_service_kit::telemetry;
use tokio_util::sync::CancellationToken;

use crate::domain::Inventory;
use crate::effects::StockEffects;
use crate::stock::{Ledger, Limits};
use crate::{ORDERS, SERVICE, catalogue, http};

/// How long the start waits between two tries to reach the store.
const SEED_RETRY: Duration = Duration::from_millis(500);

/// The service's own flags: none.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Options {}

/// Runs the service until the shutdown, then drains.
pub async fn run(host: ServiceHost, _: Options, front: impl Into<Front>) -> anyhow::Result<()> {
    let (store, clock) = (Arc::clone(&host.ports.store), Arc::clone(&host.ports.clock));
    let ledger = Ledger::new(Arc::clone(&store), Arc::clone(&clock), Limits::default());
    let effects = Arc::new(StockEffects::new(ledger));
    let gate = host.gate();
    let routes = http::routes(store, clock, Arc::clone(&effects), gate);
    let work = async {
        if !seeded(&host).await {
            return Ok(());
        }
        let runner = Runner::new(
            Arc::new(Inventory),
            Arc::clone(&effects),
            host.ports.clone(),
            RunnerOptions::new(ORDERS),
        )
        .with_outbox_gauge(telemetry::outbox_pending(SERVICE));
        // The stock is settled once more after the last batch.
        let consumed = CancellationToken::new();
        let consume = async {
            let result = runner.run(host.shutdown.clone()).await;
            consumed.cancel();
            result
        };
        let (result, ()) = tokio::join!(consume, effects.maintain(consumed.clone()));
        result.map_err(anyhow::Error::from)
    };
    tokio::try_join!(host.serve(front, routes), work).map(|_| ())
}

/// Waits until the catalogue is in stock; `false` when the service shall stop instead.
async fn seeded(host: &ServiceHost) -> bool {
    while let Err(error) = catalogue::seed(&*host.ports.store).await {
        tracing::warn!(%error, "the catalogue is not in stock yet: waiting for the store");
        host.ports.health.down("store", &error.to_string());
        tokio::select! {
            biased;
            () = host.shutdown.cancelled() => return false,
            () = tokio::time::sleep(SEED_RETRY) => {}
        }
    }
    true
}
