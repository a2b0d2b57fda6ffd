//! Building the read model anew, and writing it out for a comparison.

mod blank;
mod mark;
mod patience;

use std::sync::Arc;
use std::time::Duration;

use sagaline_runtime::{Broker, BrokerError, Outage, Ports, Replay};
use sagaline_store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::collections::{ORDERS, PROJECTED, is_blank};
use crate::decisions;
use crate::live::Hub;
use crate::projector::{Mode, Projector, Publisher};
use crate::stats::Stats;
pub use mark::is_rebuild_unfinished;
use mark::{Claim, Ending};
pub(crate) use mark::{Request, last_rebuilt, unfinished};
use patience::{Patience, patiently};

const PAGE: usize = 2_000;
/// So long may nothing come before the end of the topics.
pub(crate) const REBUILD_PATIENCE: Duration = Duration::from_secs(20);

/// How a rebuild goes about it.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// Who asks for it, as the audit has it.
    pub requested_by: String,
    /// Whether it goes on although topics do not have their first messages any more: what only those told is gone then.
    pub accept_loss: bool,
    /// So long may nothing come before the end.
    pub patience: Duration,
}

impl RebuildOptions {
    /// A rebuild that somebody asks for.
    pub fn by(requested_by: impl Into<String>) -> Self {
        Self {
            requested_by: requested_by.into(),
            accept_loss: false,
            patience: REBUILD_PATIENCE,
        }
    }
}

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// Messages that were read.
    pub messages: u64,
    /// Orders that are known now.
    pub orders: u64,
    /// How long it took, in milliseconds on the wire.
    #[serde(rename = "tookMs", serialize_with = "as_ms")]
    #[schemars(with = "f64")]
    pub took: Duration,
}

fn as_ms<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64() * 1_000.0)
}

/// Why a rebuild did not finish. It can be started again at any time.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The store is down.
    #[error("the store went away during the rebuild; start it again")]
    Store(#[from] StoreError),
    /// The broker is down.
    #[error("the broker went away during the rebuild; start it again")]
    Broker(#[from] BrokerError),
    /// Either of them is down.
    #[error("a dependency stayed away during the rebuild; start it again")]
    Outage(#[from] Outage),
    /// What was told first is not in the topics any more.
    #[error(
        "the topics do not begin with their first message: {gone} messages are gone, and what only they told would be gone from \
         the read model; rebuild with --accept-loss, or {{\"acceptLoss\": true}}, if that is meant"
    )]
    Gone {
        /// How many messages.
        gone: u64,
    },
    /// Another one began later, here or elsewhere.
    #[error(
        "a later rebuild has taken over: it does what this one was asked for, and ends with an answer to both"
    )]
    Superseded,
    /// Nothing came any more before the end.
    #[error("nothing came for {patience:?} and {left} messages are not read yet; start it again")]
    Stalled {
        /// How long nothing came.
        patience: Duration,
        /// Messages up to the end, at most.
        left: u64,
    },
}

/// The rebuilds of this process.
#[derive(Debug, Default)]
pub struct Rebuilds {
    /// Held by the rebuild that is under way.
    pub(crate) running: Arc<tokio::sync::Mutex<()>>,
    /// Rung when something was kept, or may have been, and could not be shown: it is shown as soon as the store takes it.
    pub(crate) unshown: tokio::sync::Notify,
}

/// How many messages the topics do not have any more.
pub(crate) async fn gone(broker: &dyn Broker) -> Result<u64, BrokerError> {
    let replay = broker.replay(&Projector::topics()).await?;
    Ok(sum(replay.spans().iter().map(|span| span.first)))
}

fn sum(counts: impl Iterator<Item = i64>) -> u64 {
    counts.map(|count| u64::try_from(count).unwrap_or(0)).sum()
}

/// Empties the read model and projects every topic again, from its beginning to where it ends now.
///
/// The service may run meanwhile, in this process or in another one: the projection is commutative and saved by compare-and-set, so it
/// does not matter who of the two projects an event first. What comes while the rebuild runs is the service's anyway.
pub async fn rebuild(
    ports: &Ports,
    options: RebuildOptions,
) -> Result<RebuildReport, RebuildError> {
    let request = Request::new(&options, ports.clock.now());
    rebuild_as(ports, &request, options.patience).await
}

/// The same, for a request that may have been begun before and cut off.
pub(crate) async fn rebuild_as(
    ports: &Ports,
    request: &Request,
    patience: Duration,
) -> Result<RebuildReport, RebuildError> {
    let store = &*ports.store;
    let began = Instant::now();
    let mut outages = Patience::default();
    patiently!(outages, decisions::record(store, request.audit()).await);
    let rebuilt = rebuild_marked(ports, request, patience).await;
    if let Err(error) = &rebuilt
        && !matches!(error, RebuildError::Superseded)
        && let Err(outage) = answer(ports, request, Some(&error.to_string())).await
    {
        tracing::warn!(
            error = outage.chain(),
            "the end of a rebuild was not recorded"
        );
    }
    Ok(RebuildReport {
        messages: rebuilt?,
        orders: store.count(ORDERS).await?,
        took: began.elapsed(),
    })
}

/// Records what became of a rebuild.
async fn answer(ports: &Ports, request: &Request, refused: Option<&str>) -> Result<(), Outage> {
    let now = ports.clock.now().max(request.began.next());
    let answered = request.audit().answered(now, refused);
    decisions::record(&*ports.store, answered).await
}

async fn rebuild_marked(
    ports: &Ports,
    request: &Request,
    patience: Duration,
) -> Result<u64, RebuildError> {
    let gone = gone(&*ports.broker).await?;
    if gone > 0 && !request.accept_loss {
        return Err(RebuildError::Gone { gone });
    }
    let store = &*ports.store;
    let mut outages = Patience::default();
    let claim = patiently!(outages, Claim::take(store, request).await);
    for collection in PROJECTED {
        blank::blank_all(store, collection, &claim).await?;
    }
    // Only now: whatever was projected before it was emptied was published before the topics' ends are looked up.
    let replay = begin_replay(ports, &mut outages, patience).await?;
    let messages = replay_all(replay, ports, patience).await?;
    // Before what is still empty is removed: a document of the audit keeps its version, and a late save finds another one.
    patiently!(outages, decisions::show_all(store).await);
    for collection in PROJECTED {
        blank::remove_blank(store, collection, &claim).await?;
    }
    // While the mark is there: a crash before the end is made good by the next rebuild, which answers again.
    for done in claim.requests() {
        patiently!(outages, answer(ports, done, None).await);
    }
    match patiently!(outages, claim.end(store).await) {
        Ending::Ended => Ok(messages),
        Ending::Superseded => Err(RebuildError::Superseded),
    }
}

/// A broker that is away is waited for: everything is emptied by now, and to give up would leave nothing to see.
async fn begin_replay(
    ports: &Ports,
    outages: &mut Patience,
    patience: Duration,
) -> Result<Box<dyn Replay>, RebuildError> {
    let give_up = Instant::now() + patience;
    loop {
        match ports.broker.replay(&Projector::topics()).await {
            Err(error @ BrokerError::Unavailable { .. }) if Instant::now() < give_up => {
                outages.wait_out(error.into()).await?;
            }
            begun => {
                outages.renew();
                return Ok(begun?);
            }
        }
    }
}

async fn replay_all(
    mut replay: Box<dyn Replay>,
    ports: &Ports,
    patience: Duration,
) -> Result<u64, RebuildError> {
    let projector = Projector::new(
        ports.clone(),
        Publisher::new(Arc::clone(&ports.broker)),
        Arc::new(Hub::default()),
        Arc::new(Stats::default()),
        Mode::Rebuild,
    );
    let mut messages = 0;
    let mut give_up = Instant::now() + patience;
    let mut outages = Patience::default();
    loop {
        let batch = match replay.next().await {
            Ok(None) => return Ok(messages),
            Ok(Some(batch)) => batch,
            Err(error) if Instant::now() >= give_up => return Err(error.into()),
            Err(error) => {
                outages.wait_out(error.into()).await?;
                continue;
            }
        };
        if !batch.is_empty() {
            patiently!(outages, projector.project(&batch).await);
            messages += batch.len() as u64;
            give_up = Instant::now() + patience;
        } else if Instant::now() >= give_up {
            let all = sum(replay.spans().iter().map(|span| span.end - span.first));
            let left = all.saturating_sub(messages);
            return Err(RebuildError::Stalled { patience, left });
        }
    }
}

/// Writes the whole read model as JSON lines, by collection and id: two that show the same are equal byte for byte. Gives
/// the number of documents.
pub async fn export<W>(store: &dyn Store, out: &mut W) -> Result<u64, ExportError>
where
    W: AsyncWrite + Unpin + Send,
{
    let mut count = 0;
    for collection in PROJECTED {
        let mut after: Option<String> = None;
        loop {
            let page = store.scan(collection, after.as_deref(), PAGE).await?;
            for document in page.iter().filter(|document| !is_blank(document)) {
                count += 1;
                out.write_all(
                    format!("{{\"collection\":\"{collection}\",\"document\":").as_bytes(),
                )
                .await?;
                out.write_all(&document.body).await?;
                out.write_all(b"}\n").await?;
            }
            if page.len() < PAGE {
                break;
            }
            after = page.last().map(|document| document.id.clone());
        }
    }
    out.flush().await?;
    Ok(count)
}

/// Why an export did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store is down.
    #[error("the store went away during the export; start it again")]
    Store(#[from] StoreError),
    /// What it is written to does not take it.
    #[error("the export could not be written; check the space that is left")]
    Write(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
