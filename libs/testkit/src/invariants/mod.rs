//! What must always hold, checked from the outside: topics, documents over HTTP, and what clients were answered.

mod events;
mod letters;
mod operators;
mod order;
mod overtaken;
mod stock;
mod timeline;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

use crate::client::Client;
use crate::topics::{TopicMessage, read_all};
use events::Events;
pub use operators::{Operated, operated};

/// The pipeline's lifecycle and command topics, without dead letters.
pub const TOPICS: [&str; 16] = [
    "order.OrderCreated.v1",
    "order.OrderRetried.v1",
    "order.OrderConfirmed.v1",
    "order.OrderCancelled.v1",
    "inventory.InventoryReserved.v1",
    "inventory.InventoryFailed.v1",
    "inventory.InventoryReleased.v1",
    "payment.PaymentAuthorized.v1",
    "payment.PaymentFailed.v1",
    "payment.PaymentRefunded.v1",
    "shipping.OrderShipped.v1",
    "shipping.ShippingFailed.v1",
    "ops.RetryRequested.v1",
    "ops.CompensationRequested.v1",
    "ops.CommandRejected.v1",
    "ops.RedriveRequested.v1",
];

const SETTLE_LIMIT: Duration = Duration::from_secs(30);
const SETTLE_POLL: Duration = Duration::from_millis(200);
/// Orders that are looked at at a time.
const AT_A_TIME: usize = 16;

/// What is known about the world from what the test itself did.
#[derive(Debug, Default)]
pub struct Known {
    /// Orders that were answered with 201 or 200, in the order in which they were.
    pub accepted: Vec<String>,
    /// Units that were restocked, by SKU.
    pub restocked: BTreeMap<String, i64>,
    /// Event ids of messages that tests produced by hand; they need no cause and may break rules.
    pub foreign: BTreeSet<String>,
}

/// What kind of promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Something that was accepted or published is not there, or has no end.
    Lost,
    /// Something happened more often than once.
    Doubled,
    /// Something is not as it should be.
    Wrong,
}

/// One broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its kind.
    pub kind: Broken,
    /// What it is.
    pub what: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    fn push(&mut self, kind: Broken, what: String) {
        self.0.push(Violation { kind, what });
    }

    /// How many are of this kind.
    pub fn count(&self, kind: Broken) -> usize {
        self.0.iter().filter(|found| found.kind == kind).count()
    }

    /// What they are.
    pub fn into_texts(self) -> Vec<String> {
        self.0.into_iter().map(|found| found.what).collect()
    }
}

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Orders that ended confirmed.
    pub confirmed: usize,
    /// Orders that ended cancelled.
    pub cancelled: usize,
    /// Of those, by a timeout.
    pub timed_out: usize,
    /// What is wrong.
    pub violations: Violations,
}

/// Checks every invariant over every accepted order; gives one complaint per violation. Waits for outcomes first.
pub async fn violations(client: &Client, known: &Known) -> Result<Vec<String>> {
    let verdict = verdict(client, known, &known.accepted).await?;
    Ok(verdict.violations.into_texts())
}

/// Checks the stock over all orders that there are, and everything else over `orders`. Waits for their outcomes first.
pub async fn verdict(client: &Client, known: &Known, orders: &[String]) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut projections = HashMap::new();
    let asked = futures::stream::iter(orders).map(async |id| {
        client
            .outcome(id)
            .await
            .map(|projection| (id.as_str(), projection))
    });
    let mut asked = asked.buffer_unordered(AT_A_TIME);
    while let Some(outcome) = asked.next().await {
        match outcome {
            Ok((id, projection)) => {
                projections.insert(id, projection);
            }
            Err(error) => {
                // One that is stuck is enough to fail; waiting for each of many would take hours.
                let what = format!("lost or stuck: {error:#}");
                verdict.violations.push(Broken::Lost, what);
                return Ok(verdict);
            }
        }
    }
    let (events, settled) = settled_stock(client, known).await?;
    verdict.violations = settled;
    let nothing = Events::new();
    let looked_at = futures::stream::iter(orders).map(|id| {
        let events = events.get(id).unwrap_or(&nothing);
        look_at(client, id, events, projections.get(id.as_str()))
    });
    let mut looked_at = looked_at.buffer_unordered(AT_A_TIME);
    let mut besides = Vec::new();
    while let Some((found, more)) = looked_at.try_next().await? {
        verdict.violations.0.extend(found.0);
        besides.extend(more);
    }
    check_published(client, besides, &mut verdict.violations).await?;
    for projection in projections.values() {
        let outcome = |wanted: &str| usize::from(projection["outcome"] == wanted);
        verdict.confirmed += outcome("CONFIRMED");
        verdict.cancelled += outcome("CANCELLED");
        verdict.timed_out += usize::from(timeline::was_timed_out(projection));
    }
    Ok(verdict)
}

/// Everything about one order, and events that its timeline shows although they were not published when the topics were read.
async fn look_at(
    client: &Client,
    id: &str,
    events: &Events,
    projection: Option<&Value>,
) -> Result<(Violations, Vec<String>)> {
    let mut found = Violations::default();
    order::check_money(client, id, events, &mut found).await?;
    order::check_shipment(id, events, &mut found);
    order::check_outcomes(id, events, &mut found);
    let besides = match projection {
        Some(projection) => timeline::check(client, id, projection, events, &mut found).await,
        None => Vec::new(),
    };
    Ok((found, besides))
}

/// What timelines show must be on the topics by now.
async fn check_published(
    client: &Client,
    shown: Vec<String>,
    found: &mut Violations,
) -> Result<()> {
    if shown.is_empty() {
        return Ok(());
    }
    let messages = read_published(client).await?;
    // What was handled in the place of a message that was none stands on no topic by itself.
    let ids = messages.iter().map(TopicMessage::json).flat_map(|event| {
        [&event["eventId"], &event["payload"]["event"]["eventId"]]
            .map(|id| id.as_str().map(str::to_owned))
    });
    let published: BTreeSet<String> = ids.flatten().collect();
    for event in shown.iter().filter(|event| !published.contains(*event)) {
        let what = format!("a timeline shows event {event}, which is on no topic");
        found.push(Broken::Wrong, what);
    }
    Ok(())
}

async fn read_published(client: &Client) -> Result<Vec<TopicMessage>> {
    let topics = TOPICS.iter().map(|topic| (*topic).to_owned()).collect();
    read_all(&client.addresses().kafka, topics).await
}

/// The events of every order, and what is wrong with the stock once it had time to settle: what an order held is booked a
/// little after its outcome, and after a crash only when its messages have come again.
async fn settled_stock(
    client: &Client,
    known: &Known,
) -> Result<(HashMap<String, Events>, Violations)> {
    let give_up = tokio::time::Instant::now() + SETTLE_LIMIT;
    loop {
        let mut found = Violations::default();
        let messages = read_published(client).await?;
        let events = events::by_order(&messages, &known.foreign, &mut found);
        let contract = found.0.len();
        stock::check(client, known, &events, &mut found).await?;
        if found.0.len() == contract || tokio::time::Instant::now() > give_up {
            return Ok((events, found));
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}
