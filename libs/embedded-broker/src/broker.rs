//! What all connections share, and what is done from time to time.

use crate::api::{Reply, Request, WireError};
use crate::clock;
use crate::config::BrokerConfig;
use crate::group::GroupCoordinator;
use crate::journal::{Journal, Segments, seal_waiting};
use crate::log::TopicRegistry;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The one node's id.
pub(crate) const NODE_ID: i32 = 1;
/// The cluster's id, as clients see it.
pub(crate) const CLUSTER_ID: &str = "sagaline-embedded";
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(5);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) host: StrBytes,
    pub(crate) port: i32,
    pub(crate) topics: Arc<TopicRegistry>,
    pub(crate) groups: Arc<GroupCoordinator>,
    /// `None`: everything is in memory.
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) segments: Arc<Segments>,
    /// Answer what is in flight, then end.
    pub(crate) shutdown: CancellationToken,
    /// End now.
    pub(crate) abort: CancellationToken,
    pub(crate) next_producer_id: AtomicI64,
}

impl Broker {
    /// An id that no producer had before, in this run or an earlier one.
    pub(crate) fn new_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }

    /// An answer that is sent once everything done so far is durable. When that fails, the connection is closed: the
    /// client must not believe what is not on disk.
    pub(crate) fn reply_when_durable<R: Encodable + HeaderVersion>(
        &self,
        request: &Request,
        response: &R,
    ) -> Result<Reply, WireError> {
        let frame = request.answer(response)?;
        let Some(journal) = &self.journal else {
            return Ok(Reply::Ready(frame));
        };
        let journal = Arc::clone(journal);
        let end = journal.end();
        if journal.is_durable(end) {
            return Ok(Reply::Ready(frame));
        }
        Ok(Reply::Later(Box::pin(async move {
            match journal.durable(end).await {
                Ok(()) => Ok(Some(frame)),
                Err(failed) => Err(WireError::Storage(failed)),
            }
        })))
    }

    /// Retention and index files, from time to time.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(HOUSEKEEPING_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.shutdown.cancelled() => return,
            }
            let broker = Arc::clone(&self);
            let done = tokio::task::spawn_blocking(move || broker.tidy(clock::wall_millis())).await;
            if let Err(error) = done {
                tracing::error!(%error, "housekeeping failed");
            }
        }
    }

    fn tidy(&self, now_millis: i64) {
        self.apply_retention(now_millis);
        self.groups.forget_idle(clock::now());
        if self.journal.is_some() {
            if let Err(error) = seal_waiting(&self.topics, &self.segments) {
                tracing::error!(%error, "an index file cannot be written; its segment will be scanned at the next start");
            }
            self.delete_old_segments();
        }
    }

    fn apply_retention(&self, now_millis: i64) {
        for topic in self.topics.all() {
            let settings = topic.settings();
            let oldest = settings.retention.map(|age| {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                now_millis.saturating_sub(age)
            });
            for partition in topic.partitions() {
                partition.retain(oldest, settings.retention_bytes);
            }
        }
    }

    /// Deletes the oldest segments while the log is too large, or while no partition needs them.
    fn delete_old_segments(&self) {
        let partitions: Vec<_> = self
            .topics
            .all()
            .iter()
            .flat_map(|topic| topic.partitions())
            .collect();
        let mut segments = self.segments.lock();
        let size = |segment: &Arc<crate::journal::Segment>| segment.log_bytes().unwrap_or(0);
        let mut total: u64 = segments.iter().map(size).sum();
        while segments.len() > 1 {
            let Some(oldest) = segments.front() else {
                return;
            };
            let is_needed = || {
                partitions.iter().any(|one| {
                    one.oldest_segment()
                        .is_some_and(|first| first <= oldest.number)
                })
            };
            if total <= self.config.log_bytes && is_needed() {
                return;
            }
            for partition in &partitions {
                partition.drop_through(oldest.number);
            }
            if let Err(error) = oldest.delete() {
                tracing::error!(%error, segment = oldest.number, "an old log segment cannot be deleted");
                return;
            }
            total -= size(oldest).min(total);
            segments.pop_front();
        }
    }
}
