//! Carries out the inventory's effects, and keeps the stock settled.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::OrderId;
use sagaline_runtime::{EffectRequest, Effects, Outage};
use sagaline_saga::EffectFailure;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::domain::{Effect, Inventory, Outcome};
use crate::stock::{Ledger, LedgerError, Sightings};

/// A SKU that no batch writes is settled by the second of these.
const SETTLE_INTERVAL: Duration = Duration::from_millis(200);
/// How often operations are looked for that nobody has spoken of.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// How long the last settling may take when the service stops. What it leaves, the next process finds.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// Saved orders that wait to be read again; beyond, the sweep finds them.
const SAVED_MAX: usize = 50_000;

/// The inventory's effects on stock.
pub struct StockEffects {
    ledger: Ledger,
    saved: Mutex<Vec<OrderId>>,
    wake: Notify,
}

impl StockEffects {
    /// Effects on the stock that `ledger` writes.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            saved: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The stock itself.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Keeps the stock settled until the shutdown, then settles what is left to settle.
    ///
    /// An outage costs nothing but time here: what is not settled now is found by a later sweep.
    pub async fn maintain(&self, shutdown: CancellationToken) {
        // Each on its own: none of them keeps another from its turn.
        tokio::join!(
            self.keep_learning(&shutdown),
            self.keep_settling(&shutdown),
            self.keep_sweeping(&shutdown),
        );
        match tokio::time::timeout(FLUSH_LIMIT, self.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(error = %error, "left unsettled for the next start"),
            Err(_) => tracing::info!("left unsettled for the next start: the store is too slow"),
        }
    }

    async fn keep_learning(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
            }
            note(self.learn_saved().await);
        }
    }

    async fn keep_settling(&self, shutdown: &CancellationToken) {
        let mut ticks = ticks(SETTLE_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            note(self.ledger.settle_idle(false).await);
        }
    }

    async fn keep_sweeping(&self, shutdown: &CancellationToken) {
        let mut ticks = ticks(SWEEP_INTERVAL);
        let mut sightings = Sightings::default();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            note(self.ledger.sweep(&mut sightings).await);
        }
    }

    /// Settles everything that is decided.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.learn_saved().await?;
        self.ledger.settle_idle(true).await
    }

    async fn learn_saved(&self) -> Result<(), LedgerError> {
        let saved = std::mem::take(&mut *self.saved.lock());
        Ok(self.ledger.learn(&saved).await?)
    }
}

fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn note(done: Result<(), LedgerError>) {
    if let Err(error) = done {
        // The consumer reports the outage.
        tracing::debug!(error = %error, "the stock could not be settled just now");
    }
}

#[async_trait]
impl Effects<Inventory> for StockEffects {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<Effect>],
    ) -> Result<Vec<Result<Outcome, EffectFailure>>, Outage> {
        Ok(self.ledger.carry_out(requests).await?)
    }

    /// The runtime tells who is saved, not what: it may be another instance's outcome that came first. So the documents are read
    /// again, in the background.
    fn saved(&self, orders: &[OrderId]) {
        let mut saved = self.saved.lock();
        let room = SAVED_MAX.saturating_sub(saved.len());
        saved.extend(orders.iter().take(room).cloned());
        drop(saved);
        self.wake.notify_one();
    }
}
