//! Operators who go on working while things break, and who do not give up either: they have cancelled orders tried again, pay
//! confirmed ones back, add to the stock, and decide about dead letters, for which they see to it that there are some.

mod ask;
mod desk;
mod letters;
mod plan;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};

use crate::client::Client;
use crate::load::Placed;
use desk::Desk;
use plan::Chances;
pub use plan::seed_of;

/// How long an operator is at one task, whatever breaks meanwhile.
const TASK_LIMIT: Duration = Duration::from_secs(150);

/// Something that an operator asked for and that was accepted: all clicks of it, however often they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// As the audit names it: `retry payment`, `refundPayment`, `redrive`, `discard`.
    pub command: String,
    /// The id that it was answered with.
    pub command_id: String,
    /// The order that it is about.
    pub order: String,
    /// The dead letter that it is about.
    pub letter: Option<String>,
}

/// Units that an operator added, however often they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restocked {
    /// The id that it was answered with.
    pub command_id: String,
    /// The product.
    pub sku: String,
    /// How many.
    pub units: i64,
}

/// A message that is no event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Poison {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The order whose key it has.
    pub order: String,
}

/// What operators asked for, and what came of it.
#[derive(Debug, Clone, Default)]
pub struct Acts {
    /// What was accepted of that which the audit tells of.
    pub accepted: Vec<Accepted>,
    /// What was added to the stock.
    pub restocks: Vec<Restocked>,
    /// Messages that are no events, acknowledged by the broker.
    pub poison: Vec<Poison>,
    /// Clicks that were refused (409) because the reader had not heard of another click of the same command yet.
    pub refused: usize,
    /// Requests that got no answer, or were asked to come again (503).
    pub asked_again: usize,
    /// What no operator deserves.
    pub wrong: Vec<String>,
}

impl Acts {
    /// How many actions were accepted.
    pub fn count(&self) -> usize {
        self.accepted.len() + self.restocks.len()
    }

    /// Takes over what others did.
    pub fn extend(&mut self, more: Self) {
        self.accepted.extend(more.accepted);
        self.restocks.extend(more.restocks);
        self.poison.extend(more.poison);
        self.refused += more.refused;
        self.asked_again += more.asked_again;
        self.wrong.extend(more.wrong);
    }
}

/// Operators at work until they are stopped.
#[derive(Debug)]
pub struct Operators {
    ear: Option<UnboundedSender<Placed>>,
    acts: Arc<Mutex<Acts>>,
    task: Option<JoinHandle<()>>,
}

impl Operators {
    /// Begins to listen. Everything that `client` asks for is the operators': the audit must have nothing else in its name. What they
    /// choose follows from `seed` and the orders' numbers.
    pub fn start(client: &Client, seed: u64) -> Self {
        let (ear, told) = unbounded_channel();
        let acts = Arc::<Mutex<Acts>>::default();
        let work = work(client.clone(), Chances::new(seed), told, Arc::clone(&acts));
        Self {
            ear: Some(ear),
            acts,
            task: Some(tokio::spawn(work)),
        }
    }

    /// Where they hear of orders.
    pub fn ear(&self) -> Option<UnboundedSender<Placed>> {
        self.ear.clone()
    }

    /// Waits until everything that they began is done, and gives what they did. Whoever tells them of orders has to have stopped.
    pub async fn stop(mut self, limit: Duration) -> Result<Acts> {
        drop(self.ear.take());
        if let Some(task) = self.task.take() {
            let mut task = task;
            if tokio::time::timeout(limit, &mut task).await.is_err() {
                task.abort();
                bail!("operators are not done after {limit:?}: {:?}", self.acts());
            }
        }
        let acts = self.acts();
        ensure!(acts.wrong.is_empty(), "operators: {:?}", acts.wrong);
        Ok(acts)
    }

    fn acts(&self) -> Acts {
        let acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.clone()
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn work(
    client: Client,
    chances: Chances,
    mut told: UnboundedReceiver<Placed>,
    acts: Arc<Mutex<Acts>>,
) {
    let mut desks = JoinSet::new();
    while let Some(placed) = told.recv().await {
        if let Some(task) = chances.task(placed.number) {
            let desk = Desk::new(&client, chances.of(placed.number), placed, &acts);
            desks.spawn(async move { desk.see_to(task, TASK_LIMIT).await });
        }
        while desks.try_join_next().is_some() {}
    }
    while desks.join_next().await.is_some() {}
}
