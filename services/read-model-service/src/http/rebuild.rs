//! `POST /admin/rebuild`: projects every topic again, in the service, whose store may be in its own process.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use sagaline_service_kit::extract::{parse_json, read_body};
use sagaline_service_kit::{Admin, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::App;
use super::broker_is_down;
use super::page::json_response;
use crate::collections::{ORDERS, is_blank};
use crate::projection::Order;
use crate::rebuild::{
    self as asked, REBUILD_PATIENCE, RebuildError, RebuildReport, gone, rebuild_as,
};

/// A connection on which nothing comes for so long may be taken for dead; a space says that the answer is being made.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before the store is asked again after an outage.
const OUTAGE_PAUSE: Duration = Duration::from_millis(250);

type Running = JoinHandle<Result<RebuildReport, RebuildError>>;

/// The body of a rebuild; it may be empty.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RebuildBody {
    /// Go on although the topics have lost their first messages.
    #[serde(default)]
    accept_loss: bool,
}

/// The answer comes when the rebuild is done, which it will be whether anyone waits for it or not. One that fails breaks the
/// answer off.
pub(super) async fn start(
    admin: Admin,
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_body(request, &app).await?;
    let body: RebuildBody = if body.trim_ascii().is_empty() {
        RebuildBody::default()
    } else {
        parse_json(&body)?
    };
    let wanted = asked::Request {
        began: app.ports.clock.now(),
        requested_by: admin.sub,
        accept_loss: body.accept_loss,
    };
    let gone = gone(&*app.ports.broker).await.map_err(broker_is_down)?;
    if gone > 0 && !wanted.accept_loss {
        let error = RebuildError::Gone { gone };
        app.refuse_rebuild(&wanted, &error.to_string()).await?;
        return Err(Problem::conflict(error.to_string()).with("gone", gone));
    }
    let Some(running) = app.start_rebuild(wanted.clone()) else {
        let why = "a rebuild is under way already: wait for its end";
        app.refuse_rebuild(&wanted, why).await?;
        return Err(Problem::conflict(why));
    };
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
    /// After a rebuild, in this process or in another one: counts all orders again, and tells the readers of orders what is
    /// stored now.
    pub(crate) async fn look_again(&self) {
        let gate = self.stats.counts.gate().await;
        self.stats.counts.recount(&gate);
        drop(gate);
        self.tell_watchers().await;
    }

    /// Tells the readers of orders what is stored now: one who came while the read model was incomplete has not seen it all,
    /// and what a rebuild projects it tells nobody. An outage of the store is waited out: nobody would tell them later.
    pub(crate) async fn tell_watchers(&self) {
        if sagaline_saga::planted!("rebuild tells nobody") {
            return;
        }
        for id in self.hub.watchers.ids() {
            let stored = loop {
                match self.ports.store.load(ORDERS, &[id.as_str()]).await {
                    Ok(stored) => break stored.into_iter().next().flatten(),
                    Err(_) if sagaline_saga::planted!("readers given up in an outage") => return,
                    Err(error) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "readers cannot be told yet what is stored"
                        );
                        tokio::time::sleep(OUTAGE_PAUSE).await;
                    }
                }
            };
            // What cannot be read is for whoever projects it to say.
            let stored = stored.filter(|stored| !is_blank(stored));
            if let Some(Ok(order)) = stored.map(|stored| Order::parse(&stored.body)) {
                self.hub.announce(&order);
            }
        }
    }

    /// Records a rebuild that is not begun.
    async fn refuse_rebuild(&self, request: &asked::Request, why: &str) -> Result<(), Problem> {
        let refused = request.audit().answered(request.began.next(), Some(why));
        self.record(refused).await
    }

    /// Starts a rebuild, unless one is under way.
    pub(crate) fn start_rebuild(&self, request: asked::Request) -> Option<Running> {
        let alone = Arc::clone(&self.rebuilds.running).try_lock_owned().ok()?;
        tracing::info!(by = request.requested_by, "rebuilding the read model");
        let app = self.clone();
        Some(tokio::spawn(async move {
            let rebuilt = rebuild_as(&app.ports, &request, REBUILD_PATIENCE).await;
            app.look_again().await;
            // Its end is kept even when it could not be shown.
            app.rebuilds.unshown.notify_one();
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
