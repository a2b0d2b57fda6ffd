//! `POST /admin/rebuild`: projects every topic again, in the service, whose store may be in its own process.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use sagaline_service_kit::{Admin, Problem};
use tokio::task::JoinHandle;

use super::App;
use super::page::json_response;
use crate::rebuild::{RebuildError, RebuildOptions, RebuildReport, rebuild_beside};

/// A connection on which nothing comes for so long may be taken for dead; a space says that the answer is being made.
const PATIENCE: Duration = Duration::from_secs(5);

type Running = JoinHandle<Result<RebuildReport, RebuildError>>;

/// The answer comes when the rebuild is done, which it will be whether anyone waits for it or not. One that fails breaks the
/// answer off.
pub(super) async fn start(admin: Admin, State(app): State<App>) -> Result<Response, Problem> {
    let running = app
        .start_rebuild(&admin.sub)
        .ok_or_else(|| Problem::conflict("a rebuild is under way already: wait for its end"))?;
    let answer = stream::unfold(Some(running), |running| async move {
        let mut running: Running = running?;
        tokio::select! {
            biased;
            done = &mut running => Some((answer(done), None)),
            () = tokio::time::sleep(PATIENCE) => {
                Some((Ok(Bytes::from_static(b" ")), Some(running)))
            }
        }
    });
    Ok(json_response(Body::from_stream(answer)))
}

fn answer(
    done: Result<Result<RebuildReport, RebuildError>, tokio::task::JoinError>,
) -> Result<Bytes, std::io::Error> {
    let report = done
        .map_err(std::io::Error::other)?
        .map_err(std::io::Error::other)?;
    let json = serde_json::to_vec(&report).map_err(std::io::Error::other)?;
    Ok(json.into())
}

impl App {
    /// Tells the readers of orders what is stored now: one who came while the read model was incomplete has not seen it all,
    /// and what a rebuild projects it tells nobody.
    async fn tell_watchers(&self) -> Result<(), Problem> {
        if sagaline_saga::planted!("rebuild tells nobody") {
            return Ok(());
        }
        for id in self.hub.watchers.ids() {
            if let Some(order) = self.load_order(&id).await? {
                self.hub.announce(&order);
            }
        }
        Ok(())
    }

    /// Starts a rebuild, unless one is under way.
    pub(crate) fn start_rebuild(&self, by: &str) -> Option<Running> {
        let alone = Arc::clone(&self.rebuilds.running).try_lock_owned().ok()?;
        tracing::info!(by, "rebuilding the read model");
        let app = self.clone();
        Some(tokio::spawn(async move {
            let rebuilt =
                rebuild_beside(&app.ports, RebuildOptions::default(), &app.rebuilds).await;
            let gate = app.stats.counts.gate().await;
            app.stats.counts.recount(&gate);
            drop(gate);
            if let Err(problem) = app.tell_watchers().await {
                tracing::warn!(
                    ?problem,
                    "readers of orders have to come back to see what was rebuilt"
                );
            }
            match &rebuilt {
                Ok(report) => tracing::info!(?report, "the read model is rebuilt"),
                Err(error) => tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the read model could not be rebuilt; it is incomplete until a rebuild succeeds"
                ),
            }
            drop(alone);
            rebuilt
        }))
    }
}
