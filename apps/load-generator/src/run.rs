//! The phases of a run: look, connect, send, wait, ask, report.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::errors::CreationError;
use hyper::StatusCode;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::Plan;
use crate::backlog::Due;
use crate::follow::Follower;
use crate::http::{Client, HttpError};
use crate::ledger::{Ledger, LostOrder};
use crate::mix::OrderMix;
use crate::progress::{Progress, Snapshot};
use crate::report::{Facts, Report};
use crate::schedule::Schedule;
use crate::sender::{Sending, sender, since_us};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
const YIELD_EVERY: u64 = 256;
const PREFLIGHT_LIMIT: Duration = Duration::from_secs(5);

/// How a run is ended early, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Send no more orders; those that were sent are still followed.
    pub sending: CancellationToken,
    /// Wait no longer; report what is known.
    pub waiting: CancellationToken,
}

/// A run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The order service does not answer.
    #[error(
        "the order service at {url} does not answer: start it (`sagaline up`) or give its address with --order-service"
    )]
    NoOrderService {
        /// Its address.
        url: String,
        /// What happened instead.
        #[source]
        source: HttpError,
    },
    /// The read model's feed cannot be opened.
    #[error(
        "the read model's feed at {url}/orders/stream cannot be read: start it (`sagaline up`) or give its address with --read-model"
    )]
    NoReadModel {
        /// Its address.
        url: String,
        /// What happened instead.
        #[source]
        source: HttpError,
    },
    /// The histograms could not be made.
    #[error("no memory for the histograms")]
    Histogram(#[from] CreationError),
}

/// Runs the plan and reports what happened.
pub async fn run(plan: &Plan, stop: &Stop, progress: &dyn Progress) -> Result<Report, RunError> {
    let ledger = Arc::new(Ledger::new()?);
    let orders_target = look(plan).await?;
    let follower = Follower {
        base: plan.read_model.clone(),
        ledger: Arc::clone(&ledger),
    };
    let feed = follower
        .open()
        .await
        .map_err(|source| no_read_model(plan, source))?;

    let start = Instant::now();
    let (stop_following, stopped) = oneshot::channel();
    let following = tokio::spawn(follower.clone().follow(feed, start, stopped));
    let sending = Arc::new(Sending {
        start,
        backlog: Arc::default(),
        ledger: Arc::clone(&ledger),
        mix: OrderMix::new(plan, run_number()),
        target: orders_target,
    });
    let phases = Phases {
        plan,
        stop,
        sending,
        progress,
    };
    let sent_for = phases.send().await;
    phases.wait().await;
    let lost = phases.ask(&follower).await;
    let _ = stop_following.send(());
    let _ = following.await;
    progress.finish();
    let facts = Facts {
        sent_for,
        interrupted: stop.sending.is_cancelled() || stop.waiting.is_cancelled(),
        lost,
        closed: ledger.close(),
    };
    Ok(Report::new(plan, facts))
}

/// Checks that the order service is there, and where orders go.
async fn look(plan: &Plan) -> Result<hyper::Uri, RunError> {
    let failed = |source| RunError::NoOrderService {
        url: plan.order_service.to_string(),
        source,
    };
    let mut client = Client::new(plan.order_service.clone());
    let answer = client
        .get("/health", PREFLIGHT_LIMIT)
        .await
        .map_err(failed)?;
    if answer.status != StatusCode::OK {
        return Err(failed(HttpError::Status(answer.status)));
    }
    client.base().path("/orders").map_err(failed)
}

fn no_read_model(plan: &Plan, source: HttpError) -> RunError {
    RunError::NoReadModel {
        url: plan.read_model.to_string(),
        source,
    }
}

/// Keeps the idempotency keys of two runs apart.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock, for a number that no other run has"
)]
fn run_number() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

struct Phases<'a> {
    plan: &'a Plan,
    stop: &'a Stop,
    sending: Arc<Sending>,
    progress: &'a dyn Progress,
}

impl Phases<'_> {
    /// Puts each order into the backlog when it is due, while the senders empty it. Returns how long orders were due for.
    async fn send(&self) -> Duration {
        let mut senders = JoinSet::new();
        for _ in 0..self.plan.connections {
            senders.spawn(sender(
                Arc::clone(&self.sending),
                self.plan.order_service.clone(),
            ));
        }
        let paced = self.observed("sending", self.pace()).await;
        self.sending.backlog.close();
        let drained = self.observed("sending", async {
            while senders.join_next().await.is_some() {}
        });
        tokio::select! {
            () = drained => {}
            () = self.stop.waiting.cancelled() => {
                senders.shutdown().await;
            }
        }
        let unsent = self.sending.backlog.clear();
        let now_us = since_us(self.sending.start);
        self.sending.ledger.abandon(unsent, now_us);
        paced
    }

    async fn pace(&self) -> Duration {
        let schedule = Schedule::new(self.plan.rate, self.plan.duration);
        let start = self.sending.start;
        let mut order = 0;
        while order < schedule.total() {
            let due_us = schedule.due_us(order);
            if due_us > since_us(start) {
                // The timer counts in milliseconds. What it is late by is part of the measured latency.
                let due = start + Duration::from_micros(due_us);
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.stop.sending.cancelled() => return start.elapsed(),
                    () = self.stop.waiting.cancelled() => return start.elapsed(),
                }
            }
            if self.sending.ledger.due(due_us, self.plan.max_in_flight) {
                self.sending.backlog.put(Due { order, due_us });
            }
            order += 1;
            if order.is_multiple_of(YIELD_EVERY) {
                // A rate beyond what this program can do must not keep the senders from their turn.
                tokio::task::yield_now().await;
            }
        }
        // The last order stands for its share of time as well.
        self.plan.duration.max(start.elapsed())
    }

    /// Waits until every accepted order has its outcome, as long as the plan allows.
    async fn wait(&self) {
        let ledger = Arc::clone(&self.sending.ledger);
        let settled =
            tokio::time::timeout(
                self.plan.drain_timeout,
                async move { ledger.settled().await },
            );
        tokio::select! {
            _ = self.observed("waiting for outcomes", settled) => {}
            () = self.stop.waiting.cancelled() => {}
        }
    }

    /// Asks for the orders that the feed said nothing final about, for as long again as was waited for them.
    async fn ask(&self, follower: &Follower) -> Vec<LostOrder> {
        let asking = follower.ask_for_open(self.sending.start);
        let asking = tokio::time::timeout(self.plan.drain_timeout, asking);
        let asked = tokio::select! {
            asked = self.observed("asking for what is open", asking) => asked.ok(),
            () = self.stop.waiting.cancelled() => None,
        };
        let not_asked = |order_id: Box<str>| LostOrder {
            order_id: order_id.into(),
            state: "not asked for: the run was ended before".to_owned(),
        };
        asked.unwrap_or_else(|| {
            self.sending
                .ledger
                .open()
                .into_iter()
                .map(not_asked)
                .collect()
        })
    }

    /// Carries out a phase and shows how it goes.
    async fn observed<T>(&self, phase: &'static str, work: impl Future<Output = T>) -> T {
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => self.progress.show(self.snapshot(phase)),
            }
        }
    }

    fn snapshot(&self, phase: &'static str) -> Snapshot {
        let counts = self.sending.ledger.counts();
        Snapshot {
            phase,
            elapsed: self.sending.start.elapsed(),
            planned: self.plan.duration,
            accepted: counts.accepted,
            failed: counts.refused + counts.errors + counts.not_sent,
            concluded: counts.concluded(),
        }
    }
}
