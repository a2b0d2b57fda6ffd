//! One operator with one order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::ask::Click;
use super::plan::{Chances, Task};
use super::{Acts, Restocked};
use crate::client::{Client, timeline};
use crate::load::Placed;

/// How long an operator leaves an order alone that has its outcome: what is asked for then comes at any moment of a fault.
const LATER: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// Products that are restocked.
const SKUS: [&str; 6] = ["SKU-1", "SKU-2", "SKU-3", "SKU-7", "SKU-12", "SKU-31"];
const STEPS: [&str; 3] = ["inventory", "payment", "shipping"];

/// What is left to chance.
mod question {
    pub(super) const FIRST_DOOR: u64 = 2;
    pub(super) const SECOND_DOOR: u64 = 3;
    pub(super) const STEP: u64 = 4;
    pub(super) const SKU: u64 = 5;
    pub(super) const UNITS: u64 = 6;
    pub(super) const LATER: u64 = 7;
}

pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) chances: Chances,
    /// The order's id.
    pub(super) order: String,
    /// Its body.
    pub(super) body: Value,
    acts: Arc<Mutex<Acts>>,
    /// What is waited for, for those who look for a cause.
    at: Mutex<String>,
}

impl Desk {
    pub(super) fn new(
        client: &Client,
        chances: Chances,
        placed: Placed,
        acts: &Arc<Mutex<Acts>>,
    ) -> Self {
        let id = placed.order["orderId"].as_str().unwrap_or_default();
        Self {
            client: client.clone(),
            chances,
            order: id.to_owned(),
            body: placed.order,
            acts: Arc::clone(acts),
            at: Mutex::default(),
        }
    }

    /// Does what there is to do; what cannot be done in time is wrong.
    pub(super) async fn see_to(self, task: Task, limit: Duration) {
        let wrong = match tokio::time::timeout(limit, self.carry_out(task)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => {
                let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
                format!("not done after {limit:?}: {at}")
            }
        };
        let what = format!("{task:?} of order {}: {wrong}", self.order);
        self.note(|acts| acts.wrong.push(what));
    }

    async fn carry_out(&self, task: Task) -> Result<()> {
        match task {
            Task::FollowUp => {
                let outcome = self.outcome(0).await?;
                let later = self.chances.one(question::LATER, &LATER);
                tokio::time::sleep(later.unwrap_or_default()).await;
                let follow_up = self.follow_up(&outcome).await?;
                self.done(follow_up).await
            }
            Task::Restock => self.restock().await,
            Task::Poison => {
                let poison = self.poison().await?;
                self.decide(&poison).await?;
                self.outcome(0).await.map(drop)
            }
            Task::PoisonAndFollowUp => {
                let outcome = self.outcome(0).await?;
                let poison = self.poison().await?;
                // It is dead wherever it came to, so all that follows waits behind it there.
                self.letter(&poison).await?;
                let follow_up = self.follow_up(&outcome).await?;
                self.decide(&poison).await?;
                self.done(follow_up).await
            }
        }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Acts)) {
        change(&mut self.acts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn at(&self, what: impl Into<String>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// Waits for the outcome of an attempt later than this one.
    async fn outcome(&self, after: u64) -> Result<Value> {
        self.at(format!("waits for the outcome of an attempt after {after}"));
        let ended = |order: &Value| {
            let attempt = order["attempt"].as_u64().unwrap_or(1);
            attempt > after && (order["outcome"] == "CONFIRMED" || order["outcome"] == "CANCELLED")
        };
        self.until("finished", ended).await
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        // The task's own limit is shorter.
        let limit = super::TASK_LIMIT;
        self.client
            .until_within(&self.order, what, limit, wanted)
            .await
    }

    /// Asks for what suits the outcome.
    async fn follow_up(&self, outcome: &Value) -> Result<FollowUp> {
        let attempt = outcome["attempt"].as_u64().unwrap_or(1);
        let (command, path, body, follow_up) = if outcome["outcome"] == "CONFIRMED" {
            let body = json!({ "action": "refundPayment" });
            (
                "refundPayment".to_owned(),
                "compensate",
                body,
                FollowUp::PaidBack,
            )
        } else {
            let step = self
                .chances
                .one(question::STEP, &STEPS)
                .unwrap_or("payment");
            let body = json!({ "step": step });
            (
                format!("retry {step}"),
                "retry",
                body,
                FollowUp::TriedAfter(attempt),
            )
        };
        self.at(format!("asks: {command}"));
        let key = format!("{path}-{}-{attempt}", self.order);
        let click = Click {
            urls: self.doors(&format!("/admin/{path}/{}", self.order)),
            body,
            key: Some(&key),
        };
        self.accepted(&command, None, click).await?;
        Ok(follow_up)
    }

    /// Waits until what was asked for has been done.
    async fn done(&self, follow_up: FollowUp) -> Result<()> {
        match follow_up {
            FollowUp::TriedAfter(attempt) => self.outcome(attempt).await.map(drop),
            FollowUp::PaidBack => {
                self.at("waits for the refund");
                let refunded = |order: &Value| {
                    let events = timeline(order);
                    let at = |name: &str| events.iter().rposition(|event| event == name);
                    at("PaymentRefunded") > at("OrderShipped")
                };
                self.until("paid back", refunded).await.map(drop)
            }
        }
    }

    /// The same path at the order service or the read model, once or twice: either takes commands.
    fn doors(&self, path: &str) -> Vec<String> {
        let addresses = self.client.addresses();
        let bases = [&addresses.order, &addresses.read_model];
        let clicks = [question::FIRST_DOOR, question::SECOND_DOOR];
        let doors = clicks
            .iter()
            .filter_map(|click| self.chances.one(*click, &bases));
        self.once_or_twice(doors.map(|base| format!("{base}{path}")).collect())
    }

    async fn restock(&self) -> Result<()> {
        let sku = self.chances.one(question::SKU, &SKUS).unwrap_or("SKU-1");
        let units = self
            .chances
            .one(question::UNITS, &[1, 2, 5, 100])
            .unwrap_or(1);
        let url = format!(
            "{}/admin/products/{sku}/restock",
            self.client.addresses().inventory
        );
        let key = format!("restock-{}", self.order);
        self.at(format!("asks: restock {sku}"));
        let click = Click {
            urls: self.once_or_twice(vec![url.clone(), url]),
            body: json!({ "qty": units }),
            key: Some(&key),
        };
        let answers = self.ask_all(&click).await?;
        let added = answers
            .iter()
            .filter(|answer| answer["repeated"] == false)
            .count();
        ensure!(added <= 1, "{key} was added {added} times: {answers:?}");
        ensure!(
            answers
                .iter()
                .all(|answer| answer["commandId"] == key.as_str()),
            "{key} is answered for another command: {answers:?}"
        );
        let restocked = Restocked {
            command_id: key,
            sku: sku.to_owned(),
            units,
        };
        self.note(|acts| acts.restocks.push(restocked));
        Ok(())
    }
}

/// What an operator waits for when it was accepted.
enum FollowUp {
    /// The outcome of an attempt after this one.
    TriedAfter(u64),
    PaidBack,
}
