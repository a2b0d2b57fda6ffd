//! Customers who go on ordering while things break, and who do not give up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::client::Client;

/// Orders that may wait for their answers at a time; beyond it no new ones are placed.
const WAITING_MAX: usize = 200;
/// How long a customer waits for an answer before asking again.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Every so many-th order is placed by two requests at the same time.
const DOUBLE_CLICK: u64 = 16;
/// Every so many-th order is cancelled by an operator as soon as it is answered.
const CANCELLED: u64 = 25;

/// Makes the body of the n-th order; it has an `orderId`.
pub type MakeOrder = Arc<dyn Fn(u64) -> Value + Send + Sync>;

/// An order that was answered.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its number in the load, from 0 on.
    pub number: u64,
    /// Its body.
    pub order: Value,
}

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// Orders that were answered with 201 or 200, in the order in which they were.
    pub orders: Vec<String>,
    /// Orders that were answered with 201 more than once, and refusals that no customer deserves.
    pub wrong: Vec<String>,
    /// Orders without an answer up to now.
    pub waiting: usize,
    /// Requests that got no answer, or were asked to come again (503).
    pub asked_again: usize,
}

/// Orders that come at a steady rate until it is stopped.
pub struct Load {
    answered: watch::Receiver<Answered>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Load {
    /// Begins to place `per_second` orders.
    pub fn start(client: &Client, per_second: u32, make: MakeOrder) -> Self {
        Self::begin(client, per_second, make, None)
    }

    /// The same, and tells of every order that is answered.
    pub fn start_and_tell(
        client: &Client,
        per_second: u32,
        make: MakeOrder,
        tell: UnboundedSender<Placed>,
    ) -> Self {
        Self::begin(client, per_second, make, Some(tell))
    }

    fn begin(
        client: &Client,
        per_second: u32,
        make: MakeOrder,
        tell: Option<UnboundedSender<Placed>>,
    ) -> Self {
        let (sender, answered) = watch::channel(Answered::default());
        let (stop, stopped) = watch::channel(false);
        let customers = Customers {
            client: client.clone(),
            answered: Arc::new(sender),
            make,
            tell,
        };
        let task = tokio::spawn(customers.order(per_second, stopped));
        Self {
            answered,
            stop,
            task,
        }
    }

    /// What is known now.
    pub fn answered(&self) -> Answered {
        self.answered.borrow().clone()
    }

    /// Waits until so many more orders are answered than now.
    pub async fn so_many_more(&self, count: usize, limit: Duration) -> Result<()> {
        let mut answered = self.answered.clone();
        let wanted = answered.borrow().orders.len() + count;
        let reached = answered.wait_for(|answered| answered.orders.len() >= wanted);
        match tokio::time::timeout(limit, reached).await {
            Ok(reached) => reached.map(drop).map_err(Into::into),
            Err(_) => bail!(
                "{} of {wanted} orders are answered after {limit:?}",
                self.answered().orders.len()
            ),
        }
    }

    /// Places no more orders, and waits until the last one is answered.
    pub async fn stop(self, limit: Duration) -> Result<Answered> {
        self.stop.send_replace(true);
        if tokio::time::timeout(limit, self.task).await.is_err() {
            let waiting = self.answered.borrow().waiting;
            bail!("{waiting} orders got no answer within {limit:?}");
        }
        let answered = self.answered.borrow().clone();
        ensure!(
            answered.wrong.is_empty(),
            "wrong answers: {:?}",
            answered.wrong
        );
        Ok(answered)
    }
}

struct Customers {
    client: Client,
    answered: Arc<watch::Sender<Answered>>,
    make: MakeOrder,
    tell: Option<UnboundedSender<Placed>>,
}

impl Customers {
    async fn order(self, per_second: u32, mut stopped: watch::Receiver<bool>) {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let room = Arc::new(Semaphore::new(WAITING_MAX));
        let mut customers = JoinSet::new();
        for number in 0_u64.. {
            let next = async {
                pace.tick().await;
                Arc::clone(&room).acquire_owned().await
            };
            let permit = tokio::select! {
                permit = next => permit,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let customer = Customer {
                client: self.client.clone(),
                answered: Arc::clone(&self.answered),
                body: (self.make)(number),
                tell: self.tell.clone(),
            };
            self.answered.send_modify(|answered| answered.waiting += 1);
            customers.spawn(async move {
                customer.order(number).await;
                drop(permit);
            });
            while customers.try_join_next().is_some() {}
        }
        while customers.join_next().await.is_some() {}
    }
}

struct Customer {
    client: Client,
    answered: Arc<watch::Sender<Answered>>,
    body: Value,
    tell: Option<UnboundedSender<Placed>>,
}

impl Customer {
    async fn order(&self, number: u64) {
        let created = if number.is_multiple_of(DOUBLE_CLICK) {
            let (first, second) = tokio::join!(self.ask(), self.ask());
            usize::from(first) + usize::from(second)
        } else {
            usize::from(self.ask().await)
        };
        let id = self.body["orderId"].as_str().unwrap_or_default().to_owned();
        self.answered.send_modify(|answered| {
            answered.waiting -= 1;
            if created > 1 {
                answered.wrong.push(format!("order {id} was created twice"));
            }
            answered.orders.push(id.clone());
        });
        if let Some(tell) = &self.tell {
            let order = self.body.clone();
            // Who does not listen any more does not have to know.
            tell.send(Placed { number, order }).ok();
        }
        if number % CANCELLED == CANCELLED - 1 {
            // Whether it comes through, and whether in time, is one of the things that vary.
            let wish = self.client.compensate(&id, "releaseInventory");
            tokio::time::timeout(ANSWER_LIMIT, wish).await.ok();
        }
    }

    /// Asks until the order is there; whether this request created it.
    async fn ask(&self) -> bool {
        loop {
            match tokio::time::timeout(ANSWER_LIMIT, self.client.place(&self.body)).await {
                Ok(Ok((StatusCode::CREATED, _))) => return true,
                Ok(Ok((StatusCode::OK, _))) => return false,
                Ok(Ok((status, body))) if status.is_client_error() => {
                    let refusal = format!("{} was refused: {status} {body}", self.body);
                    self.answered
                        .send_modify(|answered| answered.wrong.push(refusal));
                    return false;
                }
                _ => {}
            }
            self.answered
                .send_modify(|answered| answered.asked_again += 1);
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}
