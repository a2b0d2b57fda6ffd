//! The service: its consumer, its feed and its HTTP server.

use std::sync::Arc;
use std::time::Duration;

use sagaline_runtime::{ConsumerLoop, LoopOptions, Outage, Ports};
use sagaline_service_host::{Front, ServiceHost};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::decisions;
use crate::elsewhere::follow;
use crate::http::{App, routes};
use crate::live::Hub;
use crate::projection::PROJECTOR;
use crate::projector::{Mode, Projector, Publisher};
use crate::rebuild::{RebuildError, last_rebuilt, unfinished};
use crate::stats::{SAMPLE_INTERVAL, Stats};

/// How long to wait before the store is asked again after an outage.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// The same for what an operator did and wants to see.
const SHOW_PAUSE: Duration = Duration::from_millis(250);
/// How soon it is shown what another instance has kept and could not show, or what was kept by a save that arrived late.
const SHOW_INTERVAL: Duration = Duration::from_secs(5);

/// How soon a rebuild elsewhere is noticed.
const REBUILDS_INTERVAL: Duration = Duration::from_secs(5);

/// How often the broker is asked how far consumer groups are behind.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// How long the store may take to count dead letters for a sample; beyond it the sample has no count of them.
const SAMPLE_LIMIT: Duration = Duration::from_secs(1);

/// The service's own flags.
#[derive(Debug, Clone, Default, clap::Args)]
// No group: the name of this struct is that of other services' too, and one process may take them all.
#[group(skip)]
pub struct Options {
    /// Consumer groups of which `/stats` tells how far they are behind; none, and the broker is not asked
    #[arg(
        long,
        env = "LAG_GROUPS",
        value_name = "GROUP,...",
        value_delimiter = ',',
        default_value = "order-service,inventory-service,payment-service,shipping-service,read-model-service"
    )]
    pub lag_groups: Vec<String>,
    /// Whether live streams also tell of what other instances of the read model project; `false` where there is only one
    #[arg(
        long,
        env = "FOLLOW_OTHER_INSTANCES",
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        default_value_t = true
    )]
    pub follow_others: bool,
}

/// Runs the service until the shutdown, then drains.
pub async fn run(
    host: ServiceHost,
    options: Options,
    front: impl Into<Front>,
) -> anyhow::Result<()> {
    let ports = host.ports.clone();
    let shutdown = host.shutdown.clone();
    let groups = options.lag_groups.into_iter();
    let groups = groups.filter(|group| !group.trim().is_empty()).collect();
    let publisher = Publisher::new(Arc::clone(&ports.broker));
    let (hub, stats) = (Arc::new(Hub::default()), Arc::new(Stats::watching(groups)));
    let app = App {
        ports: ports.clone(),
        hub: Arc::clone(&hub),
        stats: Arc::clone(&stats),
        publisher: publisher.clone(),
        gate: host.gate(),
        rebuilds: Arc::default(),
        elsewhere: Arc::default(),
    };
    let projector = Projector::new(
        ports.clone(),
        publisher,
        Arc::clone(&hub),
        Arc::clone(&stats),
        Mode::Live,
    );
    let consumer = ConsumerLoop::new(
        PROJECTOR,
        Projector::topics(),
        Arc::new(projector),
        ports.clone(),
        LoopOptions::default(),
    );
    let consume = async { Ok(consumer.run(shutdown.clone()).await?) };
    let follow_others = async {
        if options.follow_others {
            follow(&app, &shutdown).await;
        }
    };
    let background = async {
        tokio::join!(
            hub.feed.run(Arc::clone(&ports.clock), shutdown.clone()),
            count(&stats, &ports, &shutdown),
            watch_lag(&stats, &ports, &shutdown),
            keep_history(&app, &shutdown),
            finish_what_was_begun(&app, &shutdown),
            notice_rebuilds(&app, &shutdown),
            show_what_was_kept(&app, &shutdown),
            follow_others,
        );
        anyhow::Ok(())
    };
    tokio::try_join!(consume, host.serve(front, routes(app.clone())), background)?;
    Ok(())
}

/// Counts the orders that were there before, and again whenever the counts may be wrong.
async fn count(stats: &Stats, ports: &Ports, shutdown: &CancellationToken) {
    let counting = async {
        loop {
            match stats.counts.scan_page(&*ports.store).await {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => stats.counts.restarted().await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "orders could not be counted"
                    );
                    tokio::time::sleep(OUTAGE_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = counting => {}
    }
}

/// Asks the broker now and then how far consumer groups are behind. While it does not answer, what it told last gets older.
async fn watch_lag(stats: &Stats, ports: &Ports, shutdown: &CancellationToken) {
    let groups = stats.lags.groups();
    let watching = async {
        while !groups.is_empty() {
            match ports.broker.lag(groups).await {
                Ok(Some(lags)) => stats.lags.told(ports.clock.now(), lags),
                // This one never will.
                Ok(None) => return,
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "nobody knows how far consumer groups are behind"
                ),
            }
            tokio::time::sleep(LAG_INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = watching => {}
    }
}

/// Keeps what is counted every few seconds, for who looks later.
async fn keep_history(app: &App, shutdown: &CancellationToken) {
    let keeping = async {
        let mut due = tokio::time::interval(SAMPLE_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            due.tick().await;
            let letters = tokio::time::timeout(SAMPLE_LIMIT, app.waiting_letters()).await;
            let letters = letters.ok().and_then(Result::ok);
            app.stats.remember(app.ports.clock.now(), letters);
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = keeping => {}
    }
}

/// Looks again at everything when the read model was rebuilt elsewhere: by another instance, or from the command line.
async fn notice_rebuilds(app: &App, shutdown: &CancellationToken) {
    let noticing = async {
        let mut known = None;
        loop {
            match last_rebuilt(&*app.ports.store).await {
                Ok(last) => {
                    if known.replace(last).is_some_and(|known| known != last) {
                        app.look_again().await;
                    }
                }
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "nobody knows whether there was a rebuild"
                ),
            }
            tokio::time::sleep(REBUILDS_INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = noticing => {}
    }
}

/// Shows what operators did that was kept and not shown, in this instance or in another one: the store went away in between, or the
/// process did. Nobody would come back to it: a letter that dies at one more service meanwhile is decided anew.
pub(crate) async fn show_what_was_kept(app: &App, shutdown: &CancellationToken) {
    let showing = async {
        loop {
            while let Err(outage) = decisions::show_unshown(&*app.ports.store).await {
                tracing::debug!(error = outage.chain(), "what was kept cannot be shown yet");
                tokio::time::sleep(SHOW_PAUSE).await;
            }
            let rung = app.rebuilds.unshown.notified();
            // Rung or not: it is time then.
            drop(tokio::time::timeout(SHOW_INTERVAL, rung).await);
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = showing => {}
    }
}

/// Rebuilds again when a crash has cut a rebuild off.
async fn finish_what_was_begun(app: &App, shutdown: &CancellationToken) {
    let finishing = async {
        while let Err(outage) = finish(app).await {
            tracing::warn!(
                error = outage.chain(),
                "what was begun before the start could not be finished"
            );
            tokio::time::sleep(OUTAGE_PAUSE).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = finishing => {}
    }
}

async fn finish(app: &App) -> Result<(), Outage> {
    if let Some(request) = unfinished(&*app.ports.store).await?
        && let Some(running) = app.start_rebuild(request)
        && let Ok(rebuilt) = running.await
    {
        match rebuilt {
            // Waiting does not bring messages back: an operator has to decide, and finds it in the log and in the audit. Who has
            // taken over finishes it.
            Ok(_) | Err(RebuildError::Gone { .. } | RebuildError::Superseded) => {}
            Err(error) => return Err(Outage::new("store", error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
