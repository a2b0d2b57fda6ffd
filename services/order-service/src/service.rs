//! The service put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sagaline_runtime::{
    AckedSet, AnnounceLimits, Announcer, OutboxRelay, Producer, Runner, RunnerOptions,
};
use sagaline_service_host::{Front, ServiceHost, ServiceSpec};
use sagaline_service_kit::config::ServiceDefaults;
use sagaline_service_kit::telemetry;

use crate::domain::{COLLECTION, OrderSaga, SERVICE};
use crate::http::{self, App};
use crate::intake::{Intake, IntakeLimits};
use crate::measure::{Gauges, Measured, census, count_now_and_then};
use crate::options::Options;
use crate::producer::LazyProducer;
use crate::waiters::Waiters;

/// How long events of new orders may still take when every request is answered: a broker that is away must not fail the stop.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(1);

/// The port that the service listens on when nothing else is configured.
pub const PORT: u16 = 4001;

/// What the service is called and where it listens.
pub const SPEC: ServiceSpec = ServiceSpec {
    defaults: ServiceDefaults {
        name: SERVICE,
        port: PORT,
    },
    about: "Takes orders, knows how they end, and takes operators' retries and compensations",
};

/// Runs the service until the host's shutdown, then drains.
pub async fn run(
    host: ServiceHost,
    options: Options,
    front: impl Into<Front>,
) -> anyhow::Result<()> {
    let saga = OrderSaga {
        timeout: options.saga_timeout,
    };
    let ports = host.ports.clone();
    let lazy = Arc::new(LazyProducer::new(Arc::clone(&ports.broker), SERVICE));
    let producer = Arc::clone(&lazy) as Arc<dyn Producer>;
    let acked = AckedSet::default();
    let relay = OutboxRelay::new(Arc::clone(&producer), acked.clone(), options.relay_faults());
    let gauges = Arc::new(Gauges::default());
    let waiters = Waiters::default();
    let (announcer, announcers) = Announcer::new(
        relay.clone(),
        AnnounceLimits::default(),
        telemetry::outbox_left_to_sweep(SERVICE),
    );
    let (intake, workers) = Intake::new(
        Arc::clone(&ports.store),
        announcer,
        Arc::clone(&ports.health),
        Arc::clone(&gauges),
        IntakeLimits {
            in_flight: options.in_flight_max,
            ..IntakeLimits::default()
        },
    );
    // These end by themselves: the workers when the last handler is done, the announcers when the last worker is.
    let drained = tokio::spawn(async { tokio::join!(workers.run(), announcers.run()) });

    let participant = Measured {
        saga,
        gauges: Arc::clone(&gauges),
        clock: Arc::clone(&ports.clock),
    };
    let runner = Runner::new(
        Arc::new(participant),
        Arc::new(waiters.clone()),
        ports.clone(),
        RunnerOptions::new(COLLECTION),
    )
    .with_acked(acked)
    .with_faults(options.sweep_faults());

    let app = App {
        ports: ports.clone(),
        intake,
        saga,
        waiters,
        relay: relay.clone(),
        producer,
        checkout_wait: options.checkout_wait,
        draw_id: host.draw_id,
        shutdown: host.shutdown.clone(),
    };
    let routes = http::routes(app, host.gate());
    let connect = async {
        // Not now: then with the first order.
        if let Err(error) = lazy.connect().await {
            tracing::debug!(%error, "the producer is not connected yet");
        }
    };
    let consume = async {
        let (ended, ()) = tokio::join!(runner.run(host.shutdown.clone()), connect);
        ended.context("the consumer ended")
    };
    let census = census(
        Arc::clone(&ports.store),
        relay.acked().clone(),
        options.in_flight_max,
    );
    let census = async {
        count_now_and_then(census, gauges, host.shutdown.clone()).await;
        Ok(())
    };
    tokio::try_join!(host.serve(front, routes), consume, census)?;
    if let Ok(ended) = tokio::time::timeout(ANNOUNCE_LIMIT, drained).await {
        ended.context("the intake ended early")?;
    } else {
        // They are in their orders' outboxes.
        tracing::warn!("new orders' events are left to the next start's sweep");
    }
    Ok(())
}
