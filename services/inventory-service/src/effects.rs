//! Carries out the inventory's effects, and keeps the stock settled.

use std::time::Duration;

use async_trait::async_trait;
use sagaline_runtime::{EffectRequest, Effects, Outage, Saved};
use sagaline_saga::EffectFailure;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::domain::{Effect, Inventory, InventoryState, Outcome};
use crate::stock::{Ledger, LedgerError, Sightings};

/// A SKU that no batch writes is settled by the second of these.
const SETTLE_INTERVAL: Duration = Duration::from_millis(200);
/// How often operations are looked for that nobody has spoken of.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// How long the last settling may take when the service stops. What it leaves, the next process finds.
const FLUSH_LIMIT: Duration = Duration::from_millis(1_500);

/// The inventory's effects on stock.
pub struct StockEffects {
    ledger: Ledger,
}

impl StockEffects {
    /// Effects on the stock that `ledger` writes.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
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
        tokio::join!(self.keep_settling(&shutdown), self.keep_sweeping(&shutdown),);
        match tokio::time::timeout(FLUSH_LIMIT, self.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(error = %error, "left unsettled for the next start"),
            Err(_) => tracing::info!("left unsettled for the next start: the store is too slow"),
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
        self.ledger.settle_idle(true).await
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

    fn saved(&self, saved: &[Saved<'_, InventoryState>]) {
        self.ledger
            .learn(saved.iter().map(|saved| (saved.order_id, saved.state)));
    }
}
