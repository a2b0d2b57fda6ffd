//! Orders by status and outcome.
//!
//! The counts start with a scan of the store, page by page in the order of ids, while the projector goes on saving; the gate
//! keeps a page from being read in the middle of a save. So a change of an order that the scan has passed is
//! counted, and one of an order that it has yet to reach is not: the scan will see it.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use sagaline_commands::Outcome;
use sagaline_store::{Store, StoreError, Stored};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{MutexGuard, Notify};

use super::Transition;
use crate::collections::ORDERS;
use crate::projection::{Head, Status};

const PAGE: usize = 1_000;

/// Orders by status and outcome.
#[derive(Debug, Default)]
pub struct Counts {
    inner: Mutex<Inner>,
    gate: tokio::sync::Mutex<()>,
    restart: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    heads: HashMap<Key, i64>,
    scan: Scan,
}

type Key = (Status, Outcome, bool);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Scan {
    /// Everything up to this id is counted.
    Running(Option<String>),
    Done,
}

impl Default for Scan {
    fn default() -> Self {
        Self::Running(None)
    }
}

/// How many orders there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// All.
    pub total: u64,
    /// By `currentStatus`.
    pub by_status: BTreeMap<&'static str, u64>,
    /// By `outcome`.
    pub by_outcome: BTreeMap<&'static str, u64>,
    /// Without an outcome.
    pub in_flight: u64,
    /// In flight for longer than the saga timeout.
    pub stalled: u64,
    /// The scan at start is still under way: there are more.
    pub counting: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek {
    current_status: Option<Status>,
    outcome: Outcome,
    #[serde(default)]
    stalled_since: Option<serde::de::IgnoredAny>,
}

fn key(head: Head) -> Option<Key> {
    head.status
        .map(|status| (status, head.outcome, head.stalled))
}

impl Counts {
    /// To be held from a save until it is [noted](Counts::note).
    pub async fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// These orders have changed.
    pub fn note<'a>(&self, transitions: impl Iterator<Item = Transition<'a>>) {
        let mut inner = self.inner.lock();
        let Inner { heads, scan } = &mut *inner;
        for transition in transitions {
            let is_counted = match scan {
                Scan::Running(counted) => counted.as_deref() >= Some(transition.id),
                Scan::Done => true,
            };
            if is_counted {
                let before = transition.before.and_then(key);
                count(heads, before, key(transition.after));
            }
        }
    }

    /// Counts one page of the store; says whether there is more.
    pub async fn scan_page(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let gate = self.gate.lock().await;
        let Scan::Running(counted) = self.inner.lock().scan.clone() else {
            return Ok(false);
        };
        let page = store.scan(ORDERS, counted.as_deref(), PAGE).await?;
        let mut inner = self.inner.lock();
        for document in &page {
            count(&mut inner.heads, None, peek(document));
        }
        let last = page.last().filter(|_| page.len() == PAGE);
        let is_more = last.is_some();
        inner.scan = last.map_or(Scan::Done, |last| Scan::Running(Some(last.id.clone())));
        drop(gate);
        Ok(is_more)
    }

    /// The counts may be wrong, because a save may have happened or not: counts again from the start. The
    /// [gate](Counts::gate) is held.
    pub fn recount(&self, _gate: &MutexGuard<'_, ()>) {
        *self.inner.lock() = Inner::default();
        self.restart.notify_one();
    }

    /// Waits until everything has to be counted again.
    pub async fn restarted(&self) {
        self.restart.notified().await;
    }

    /// The counts at this moment.
    pub fn total(&self) -> Total {
        let inner = self.inner.lock();
        let mut total = Total {
            total: 0,
            by_status: Status::ALL
                .iter()
                .map(|status| (status.as_str(), 0))
                .collect(),
            by_outcome: [Outcome::Pending, Outcome::Confirmed, Outcome::Cancelled]
                .iter()
                .map(|outcome| (outcome.as_str(), 0))
                .collect(),
            in_flight: 0,
            stalled: 0,
            counting: inner.scan != Scan::Done,
        };
        for ((status, outcome, stalled), count) in &inner.heads {
            let count = u64::try_from(*count).unwrap_or(0);
            total.total += count;
            *total.by_status.entry(status.as_str()).or_default() += count;
            *total.by_outcome.entry(outcome.as_str()).or_default() += count;
            total.in_flight += if *outcome == Outcome::Pending {
                count
            } else {
                0
            };
            total.stalled += if *stalled { count } else { 0 };
        }
        total
    }
}

fn peek(document: &Stored) -> Option<Key> {
    let peek: Peek = serde_json::from_slice(&document.body).ok()?;
    peek.current_status
        .map(|status| (status, peek.outcome, peek.stalled_since.is_some()))
}

fn count(heads: &mut HashMap<Key, i64>, before: Option<Key>, after: Option<Key>) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        *heads.entry(before).or_default() -= 1;
    }
    if let Some(after) = after {
        *heads.entry(after).or_default() += 1;
    }
}
