//! Recorded histories of concurrent clients, with and without faults, and whether they are linearizable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use sagaline_testkit::client::{Answer, Client, order};
use sagaline_testkit::history::{
    Creation, CreationAnswer, Creations, Operation, Recorder, Stock, StockOperation, linearization,
};
use sagaline_testkit::stack::Stack;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::drill::{check, healthy};
use crate::fate::{Fate, order_id};
use crate::report::Row;
use crate::world::World;

const CLIENTS: usize = 8;
const KEYS: usize = 60;
const STOCK_ORDERS: u32 = 160;
const LIMITED: &str = "LIMITED-1";
/// Longer than an answer takes when nothing is broken.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long a client waits before it asks again when it got no answer.
const PAUSE: Duration = Duration::from_millis(100);
const PROGRESS_LIMIT: Duration = Duration::from_mins(1);

pub async fn concurrent_creation_is_linearizable(world: &mut World) -> Result<()> {
    creation(world, "creation by 8 clients under the same keys", None).await
}

pub async fn concurrent_creation_is_linearizable_while_the_service_is_killed(
    world: &mut World,
) -> Result<()> {
    let what =
        "creation by 8 clients under the same keys, kill -9 of the order-service three times";
    creation(world, what, Some("order-service")).await
}

pub async fn concurrent_creation_is_linearizable_while_the_store_is_killed(
    world: &mut World,
) -> Result<()> {
    let what = "creation by 8 clients under the same keys, kill -9 of the database three times";
    creation(world, what, Some(STORE)).await
}

pub async fn limited_stock_is_linearizable(world: &mut World) -> Result<()> {
    stock(
        world,
        "8 clients order the last units, others are added",
        None,
    )
    .await
}

pub async fn limited_stock_is_linearizable_while_the_service_is_killed(
    world: &mut World,
) -> Result<()> {
    let what = "8 clients order the last units, others are added, kill -9 of the inventory-service three times";
    stock(world, what, Some("inventory-service")).await
}

/// The database instead of a service.
const STORE: &str = "the database";

/// Kills the victim at a quarter, at half and at three quarters of the way.
async fn kill_now_and_then(
    stack: &mut Stack,
    victim: Option<&'static str>,
    progress: &watch::Sender<usize>,
    goal: usize,
) -> Result<()> {
    let Some(victim) = victim else { return Ok(()) };
    let mut progress = progress.subscribe();
    for quarter in 1..4 {
        let reached = progress.wait_for(|done| *done * 4 >= goal * quarter);
        tokio::time::timeout(PROGRESS_LIMIT, reached)
            .await
            .context("the clients do not get on")??;
        if victim == STORE {
            let store = stack.mongo().context("no store")?;
            store.kill_9()?;
            store.restart().await?;
        } else {
            stack.kill_9(victim)?;
            stack.restart(victim).await?;
        }
    }
    Ok(())
}

async fn creation(world: &mut World, what: &str, victim: Option<&'static str>) -> Result<()> {
    static RUN: AtomicU32 = AtomicU32::new(0);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let keys: Vec<(String, Recorder<Creation>)> = (0..KEYS)
        .map(|n| {
            (
                order_id(&format!("history-{run}"), &[]) + &format!("-{n}"),
                Recorder::new(),
            )
        })
        .collect();
    let keys = Arc::new(keys);
    let progress = watch::Sender::new(0);
    let clients = (0..CLIENTS).map(|number| {
        let creator = Creator {
            client: world.client.clone(),
            keys: Arc::clone(&keys),
            progress: progress.clone(),
            number,
        };
        async move { tokio::spawn(creator.create_all()).await? }
    });
    let goal = KEYS * CLIENTS * 2;
    let killing = kill_now_and_then(&mut world.stack, victim, &progress, goal);
    let (_, ()) = tokio::try_join!(try_join_all(clients), killing)?;
    healthy(&world.client).await?;

    let mut accepted = Vec::new();
    let (mut operations, mut unknown) = (0, 0);
    for (key, recorder) in keys.iter() {
        let history = recorder.history();
        operations += history.len();
        unknown += history.iter().filter(|o| o.answered.is_none()).count();
        ensure!(
            linearization(&Creations, &history).is_some(),
            "no order of these requests under {key} explains their answers:\n{}",
            told(&history)
        );
        let mut ids: Vec<String> = history.iter().filter_map(|o| id(&o.what)).collect();
        ids.dedup();
        accepted.extend(ids.into_iter().next());
    }
    let note = format!("{operations} requests, {unknown} without an answer: linearizable");
    finish(world, what, accepted, note).await
}

fn told<O: std::fmt::Debug>(history: &[Operation<O>]) -> String {
    let mut lines: Vec<(u64, String)> = history
        .iter()
        .map(|o| {
            let end = o
                .answered
                .map_or_else(|| "?".to_owned(), |end| end.to_string());
            (
                o.called,
                format!("{:>10} to {end:>10} µs  {:?}", o.called, o.what),
            )
        })
        .collect();
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    lines.join("\n")
}

fn id(creation: &Creation) -> Option<String> {
    match &creation.answer {
        Some(CreationAnswer::Created(id) | CreationAnswer::WasThere(id)) => Some(id.clone()),
        _ => None,
    }
}

struct Creator {
    client: Client,
    keys: Arc<Vec<(String, Recorder<Creation>)>>,
    progress: watch::Sender<usize>,
    number: usize,
}

impl Creator {
    /// Goes through all keys, and asks twice under each; three clients of four want the same.
    async fn create_all(self) -> Result<()> {
        for (at, (key, recorder)) in self.keys.iter().enumerate() {
            for _ in 0..2 {
                let body = u32::from((self.number + at).is_multiple_of(4)) + 1;
                let called = recorder.call();
                let asked = tokio::time::timeout(ANSWER_LIMIT, self.ask(at, key, body)).await;
                let answer = match asked {
                    Ok(Ok((status, answer))) => read(status.as_u16(), &answer)?,
                    _ => None,
                };
                let creation = Creation { body, answer };
                if creation.answer.is_some() {
                    recorder.answered(called, creation);
                } else {
                    recorder.unknown(called, creation);
                    // Nobody asks a service that is gone a thousand times a second.
                    tokio::time::sleep(PAUSE).await;
                }
                self.progress.send_modify(|done| *done += 1);
            }
        }
        Ok(())
    }

    /// Each of the three ways to say that it is the same request.
    async fn ask(&self, at: usize, key: &str, qty: u32) -> Result<Answer> {
        let url = format!("{}/orders", self.client.addresses().order);
        let mut body = order("", "SKU-40", qty);
        let fields = body.as_object_mut().context("an order is an object")?;
        fields.remove("orderId");
        let mut headers = Vec::new();
        match at % 3 {
            0 => drop(fields.insert("orderId".to_owned(), json!(key))),
            1 => drop(fields.insert("clientRequestId".to_owned(), json!(key))),
            _ => headers.push(("idempotency-key", key)),
        }
        self.client
            .send_with(Method::POST, &url, Some(&body), &headers)
            .await
    }
}

/// What an answer says; nothing when it leaves open what happened.
fn read(status: u16, answer: &Value) -> Result<Option<CreationAnswer>> {
    let id = answer["orderId"].as_str().unwrap_or_default().to_owned();
    Ok(match status {
        201 => Some(CreationAnswer::Created(id)),
        200 => Some(CreationAnswer::WasThere(id)),
        409 => Some(CreationAnswer::Conflict),
        500.. => None,
        other => bail!("a creation was answered with {other}: {answer}"),
    })
}

async fn stock(world: &mut World, what: &str, victim: Option<&'static str>) -> Result<()> {
    let before = available(&world.client).await?;
    let recorder = Recorder::new();
    let progress = watch::Sender::new(0);
    let next = Arc::new(AtomicU32::new(0));
    let buyers = (0..CLIENTS).map(|_| {
        let buyer = Buyer {
            client: world.client.clone(),
            recorder: recorder.clone(),
            progress: progress.clone(),
            next: Arc::clone(&next),
        };
        async move { tokio::spawn(buyer.buy()).await? }
    });
    let goal = usize::try_from(STOCK_ORDERS)?;
    let adding = add_units(&world.client, &recorder, &progress, goal);
    let killing = kill_now_and_then(&mut world.stack, victim, &progress, goal);
    let (placed, added, ()) = tokio::try_join!(try_join_all(buyers), adding, killing)?;
    let restocked = world.known.restocked.entry(LIMITED.to_owned()).or_default();
    *restocked += i64::from(added);

    let history = recorder.history();
    let model = Stock {
        initial: before,
        // What a killed process had taken for an order is given back when the order's message comes again.
        may_refuse: victim.is_some(),
    };
    let found = linearization(&model, &history);
    ensure!(
        found.is_some(),
        "no order of these explains who was served, from {before} units on:\n{}",
        told(&history)
    );
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in &history {
        *kinds.entry(kind(&operation.what)).or_default() += 1;
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    let note = format!("{}: linearizable", kinds.join(", "));
    let placed = placed.into_iter().flatten().collect();
    finish(world, what, placed, note).await
}

fn kind(operation: &StockOperation) -> &'static str {
    match operation {
        StockOperation::Restock(_) => "restocks",
        StockOperation::Taken(_) => "confirmed",
        StockOperation::Refused(_) => "out of stock",
        StockOperation::Held(..) => "declined",
        StockOperation::GivenBack(..) => "given back",
    }
}

async fn available(client: &Client) -> Result<u32> {
    let products = client.products().await?;
    let limited = products.iter().find(|product| product["sku"] == LIMITED);
    let units = limited.and_then(|product| product["available"].as_u64());
    Ok(u32::try_from(units.context("no LIMITED-1")?)?)
}

/// Adds a few units now and then, until all orders are placed; gives how many.
async fn add_units(
    client: &Client,
    recorder: &Recorder<StockOperation>,
    progress: &watch::Sender<usize>,
    goal: usize,
) -> Result<u32> {
    let url = format!(
        "{}/admin/products/{LIMITED}/restock",
        client.addresses().inventory
    );
    let mut progress = progress.subscribe();
    let mut added = 0;
    for step in 1..8 {
        progress.wait_for(|done| *done * 8 >= goal * step).await?;
        let qty = 3;
        let key = order_id("restock", &[]);
        let called = recorder.call();
        // The same command until it is answered.
        loop {
            let body = json!({ "qty": qty });
            let headers = [("idempotency-key", key.as_str())];
            let asked = client.send_with(Method::POST, &url, Some(&body), &headers);
            match tokio::time::timeout(ANSWER_LIMIT, asked).await {
                Ok(Ok((status, _))) if status.is_success() => break,
                Ok(Ok((status, answer))) if status.is_client_error() => {
                    bail!("a restock was refused: {status} {answer}")
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        recorder.answered(called, StockOperation::Restock(qty));
        added += qty;
    }
    Ok(added)
}

struct Buyer {
    client: Client,
    recorder: Recorder<StockOperation>,
    progress: watch::Sender<usize>,
    next: Arc<AtomicU32>,
}

impl Buyer {
    /// Orders one unit or two, waits for the outcome, orders again.
    async fn buy(self) -> Result<Vec<String>> {
        let mut placed = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= STOCK_ORDERS {
                return Ok(placed);
            }
            let qty = 1 + number % 2;
            let fate = if number.is_multiple_of(5) {
                Fate::Declined
            } else {
                Fate::Ships
            };
            let id = order_id("limited-history", &[fate]);
            let called = self.recorder.call();
            self.place(&order(&id, LIMITED, qty)).await?;
            let outcome = self.client.outcome(&id).await?;
            let operations = match (outcome["outcome"].as_str(), reason(&outcome)) {
                (Some("CONFIRMED"), _) => vec![StockOperation::Taken(qty)],
                (_, Some("out_of_stock")) => vec![StockOperation::Refused(qty)],
                _ => vec![
                    StockOperation::Held(number, qty),
                    StockOperation::GivenBack(number, qty),
                ],
            };
            for operation in operations {
                self.recorder.answered(called, operation);
            }
            placed.push(id);
            self.progress.send_modify(|done| *done += 1);
        }
    }

    async fn place(&self, order: &Value) -> Result<()> {
        loop {
            match tokio::time::timeout(ANSWER_LIMIT, self.client.place(order)).await {
                Ok(Ok((status, _))) if status.is_success() => return Ok(()),
                Ok(Ok((status, answer))) if status.is_client_error() => {
                    bail!("{order} was refused: {status} {answer}")
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// Why an order was cancelled.
fn reason(projection: &Value) -> Option<&str> {
    let entries = projection["timeline"].as_array()?;
    let mut entries = entries.iter().rev();
    let cancelled = entries.find(|entry| entry["type"] == "order.OrderCancelled.v1")?;
    cancelled["details"]["reason"].as_str()
}

async fn finish(world: &mut World, what: &str, orders: Vec<String>, note: String) -> Result<()> {
    let row = Row {
        what: what.to_owned(),
        per_second: None,
        orders: orders.len(),
        actions: None,
        timed_out: 0,
        lasted: None,
        recovered: None,
        lost: 0,
        doubled: 0,
        note,
    };
    check(world, orders, row).await
}
