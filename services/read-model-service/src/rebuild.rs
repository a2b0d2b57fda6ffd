//! Building the read model anew, and writing it out for a comparison.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sagaline_contracts::Timestamp;
use sagaline_runtime::{BrokerError, Consumer, Inbound, Outage, Ports};
use sagaline_store::{Index, Store, StoreError, Write};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::collections::{ORDERS, PROJECTED, REBUILDING};
use crate::decisions;
use crate::live::Hub;
use crate::projection::PROJECTOR;
use crate::projector::{Mode, Projector, Publisher};
use crate::stats::Stats;

const PAGE: usize = 2_000;
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
const OUTAGE_PAUSE: Duration = Duration::from_millis(500);
const OUTAGES_MAX: u32 = 60;

/// When a rebuild has seen everything.
#[derive(Debug, Clone, Copy)]
pub struct RebuildOptions {
    /// It is done when nothing from before its beginning has come for so long.
    pub quiet: Duration,
    /// Joining the topics may take so long before the first message comes.
    pub patience: Duration,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(3),
            patience: Duration::from_secs(20),
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
}

/// The rebuilds of this process.
#[derive(Debug, Default)]
pub struct Rebuilds {
    /// Held by the rebuild that is under way.
    pub(crate) running: Arc<tokio::sync::Mutex<()>>,
    cleared: AtomicU64,
}

impl Rebuilds {
    /// How often the read model was cleared. Whoever remembers documents from before forgets them: versions begin anew, so a save
    /// that goes by an old one may not conflict, and overwrite what the rebuild has found.
    pub(crate) fn cleared(&self) -> u64 {
        self.cleared.load(Ordering::Acquire)
    }

    pub(crate) fn note_cleared(&self) {
        self.cleared.fetch_add(1, Ordering::AcqRel);
    }
}

/// Clears the read model and projects every topic again, from its beginning to where it ends now.
///
/// The service may run meanwhile: the projection is commutative and saved by compare-and-set, so it does not matter who
/// of the two projects an event first. What comes while the rebuild runs is the service's anyway.
pub async fn rebuild(
    ports: &Ports,
    options: RebuildOptions,
) -> Result<RebuildReport, RebuildError> {
    rebuild_beside(ports, options, &Rebuilds::default()).await
}

/// The same, in a process that projects as well.
pub(crate) async fn rebuild_beside(
    ports: &Ports,
    options: RebuildOptions,
    rebuilds: &Rebuilds,
) -> Result<RebuildReport, RebuildError> {
    let began = Instant::now();
    let beginning = ports.clock.now();
    mark(&*ports.store, beginning).await?;
    for collection in PROJECTED {
        let cleared = ports.store.clear(collection).await;
        // It may have happened although the answer was lost.
        rebuilds.note_cleared();
        cleared?;
    }
    let projector = Projector::new(
        ports.clone(),
        Publisher::new(Arc::clone(&ports.broker)),
        Arc::new(Hub::default()),
        Arc::new(Stats::default()),
        Mode::Rebuild,
    );
    // A group that nobody else is in, and that has read nothing.
    let group = format!("{PROJECTOR}-rebuild-{}", beginning.micros());
    let mut consumer = ports.broker.consumer(&group, &Projector::topics()).await?;
    let replayed = replay(consumer.as_mut(), &projector, beginning, options).await;
    consumer.close(CLOSE_LIMIT).await;
    let messages = replayed?;
    decisions::show_all(&*ports.store).await?;
    ports.store.clear(REBUILDING).await?;
    Ok(RebuildReport {
        messages,
        orders: ports.store.count(ORDERS).await?,
        took: began.elapsed(),
    })
}

/// Whether a rebuild has begun and not ended: what is projected is not complete, and a rebuild has to be started again.
pub async fn is_rebuild_unfinished(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.count(REBUILDING).await? > 0)
}

async fn mark(store: &dyn Store, beginning: Timestamp) -> Result<(), StoreError> {
    let mark = Write {
        id: "rebuild".to_owned(),
        expected: 0,
        body: format!("{{\"began\":\"{beginning}\"}}").into(),
        index: Index::default(),
    };
    // It is there already when the rebuild before this one did not end.
    store.save(REBUILDING, vec![mark]).await.map(drop)
}

async fn replay(
    consumer: &mut dyn Consumer,
    projector: &Projector,
    beginning: Timestamp,
    options: RebuildOptions,
) -> Result<u64, RebuildError> {
    let mut messages = 0;
    let mut deadline = Instant::now() + options.patience;
    loop {
        let batch = match tokio::time::timeout_at(deadline, consumer.next()).await {
            Ok(batch) => batch?,
            Err(_) => return Ok(messages),
        };
        let Some(batch) = batch else {
            return Ok(messages);
        };
        if !batch.is_empty() {
            let oldest = project(projector, &batch).await?;
            messages += batch.len() as u64;
            // What is newer than the rebuild comes for ever, and is not what it waits for.
            if oldest.is_none_or(|oldest| oldest < beginning) {
                deadline = Instant::now() + options.quiet;
            }
        }
        consumer.done(&batch).await;
        if Instant::now() >= deadline {
            return Ok(messages);
        }
    }
}

/// Projects a batch; waits out an outage, but not for ever: somebody waits for the end.
async fn project(
    projector: &Projector,
    batch: &[Inbound],
) -> Result<Option<Timestamp>, RebuildError> {
    let mut outages = 0;
    loop {
        match projector.project(batch).await {
            Ok(oldest) => return Ok(oldest),
            Err(outage) if outages >= OUTAGES_MAX => return Err(outage.into()),
            Err(outage) => tracing::warn!(error = outage.chain(), "outage: waiting"),
        }
        outages += 1;
        tokio::time::sleep(OUTAGE_PAUSE).await;
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
            for document in &page {
                out.write_all(
                    format!("{{\"collection\":\"{collection}\",\"document\":").as_bytes(),
                )
                .await?;
                out.write_all(&document.body).await?;
                out.write_all(b"}\n").await?;
            }
            count += page.len() as u64;
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
