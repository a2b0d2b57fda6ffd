//! What waits in a participant's records, counted now and then, for metrics and for who must not take more than it can end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use sagaline_contracts::EventId;
use sagaline_store::{Store, StoreError};
use serde::Deserialize;
use tokio::time::Instant;

use crate::AckedSet;

/// How often is counted, at most.
const INTERVAL: Duration = Duration::from_secs(10);
/// Counting may take so much of the time: a fiftieth.
const REST_PER_WORK: u32 = 50;
/// What usually waits at most.
const FIRST_LOOK: usize = 2_000;
/// A look that did not see everything is followed by one that sees so many times as much.
const GROWTH: usize = 8;

/// Counts what waits in a participant's records. Whatever waits has a due time: for a try, a deadline or an outbox entry.
#[derive(Clone)]
pub struct Census {
    store: Arc<dyn Store>,
    collection: &'static str,
    acked: AckedSet,
    records_max: usize,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Outbox entries that are not known to be acknowledged.
    pub outbox: usize,
    /// Whether everything was seen; otherwise there is at least so much.
    pub complete: bool,
}

/// As much of a record as is looked at.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    outbox: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    emission: Id,
}

#[derive(Deserialize)]
struct Id {
    id: EventId,
}

impl Census {
    /// A census of `collection` that looks at `records_max` records at most.
    pub fn new(
        store: Arc<dyn Store>,
        collection: &'static str,
        acked: AckedSet,
        records_max: usize,
    ) -> Self {
        Self {
            store,
            collection,
            acked,
            records_max,
        }
    }

    /// Counts; hands `each` the body of every record that waits.
    ///
    /// # Errors
    /// The store is down, or has a record that cannot be read.
    pub async fn take(&self, mut each: impl FnMut(&[u8])) -> Result<Waiting, StoreError> {
        let mut limit = FIRST_LOOK.min(self.records_max);
        let (records, complete) = loop {
            let due = self.store.due(self.collection, i64::MAX, limit).await?;
            let complete = due.len() < limit;
            if complete || limit >= self.records_max {
                break (due, complete);
            }
            drop(due);
            limit = limit.saturating_mul(GROWTH).min(self.records_max);
        };
        let mut outbox = 0;
        for stored in records {
            each(&stored.body);
            // One that cannot be read is told of by whoever works on it.
            let Ok(record) = serde_json::from_slice::<Record>(&stored.body) else {
                continue;
            };
            let entries = record.outbox.iter();
            outbox += entries
                .filter(|entry| !self.acked.contains(&entry.emission.id))
                .count();
        }
        Ok(Waiting { outbox, complete })
    }

    /// Shows the outbox's length, for ever.
    pub(crate) async fn show_outbox(&self, gauge: &Gauge) -> Infallible {
        loop {
            let began = Instant::now();
            match self.take(|_| {}).await {
                Ok(waiting) => {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "a count for people to look at"
                    )]
                    gauge.set(waiting.outbox as f64);
                }
                Err(error) => tracing::debug!(%error, "the outbox could not be counted"),
            }
            tokio::time::sleep(Self::rest_after(began.elapsed())).await;
        }
    }

    /// How long to wait after a census that took so long: it is dear only when much waits, and then the next one can wait.
    pub fn rest_after(took: Duration) -> Duration {
        INTERVAL.max(took.saturating_mul(REST_PER_WORK))
    }
}
