//! What must always hold, checked from the outside: topics, documents over HTTP, and what clients were answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::client::Client;
use crate::topics::{TopicMessage, read_all};

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

/// Units of a SKU that a new installation starts with.
fn initial(sku: &str) -> Option<i64> {
    match sku {
        "LIMITED-1" => Some(5),
        sku if sku.starts_with("SKU-") => Some(1_000_000),
        _ => None,
    }
}

/// Checks every invariant over every accepted order; gives one complaint per violation. Waits for outcomes first.
pub async fn violations(client: &Client, known: &Known) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut projections = HashMap::new();
    for id in &known.accepted {
        match client.outcome(id).await {
            Ok(projection) => {
                projections.insert(id.as_str(), projection);
            }
            Err(error) => {
                // One that is stuck is enough to fail; waiting for each of many would take hours.
                complaints.push(format!("lost or stuck: {error:#}"));
                return Ok(complaints);
            }
        }
    }
    let (events, settled) = settled_stock(client, known).await?;
    complaints.extend(settled);
    for id in &known.accepted {
        let nothing = BTreeMap::new();
        let events = events.get(id).unwrap_or(&nothing);
        check_money(client, id, events, &mut complaints).await?;
        check_outcomes(id, events, &mut complaints);
        if let Some(projection) = projections.get(id.as_str()) {
            check_timeline(client, id, projection, events, &mut complaints).await?;
        }
    }
    Ok(complaints)
}

type Events = BTreeMap<String, Value>;

/// The events of every order, and what is wrong with the stock once it had time to settle: what an order held is booked a
/// little after its outcome, and after a crash only when its messages have come again.
async fn settled_stock(
    client: &Client,
    known: &Known,
) -> Result<(HashMap<String, Events>, Vec<String>)> {
    let give_up = tokio::time::Instant::now() + SETTLE_LIMIT;
    loop {
        let mut complaints = Vec::new();
        let topics = TOPICS.iter().map(|topic| (*topic).to_owned()).collect();
        let messages = read_all(&client.addresses().kafka, topics).await?;
        let events = by_order(&messages, &known.foreign, &mut complaints);
        let contract = complaints.len();
        check_stock(client, known, &events, &mut complaints).await?;
        if complaints.len() == contract || tokio::time::Instant::now() > give_up {
            return Ok((events, complaints));
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

/// The valid events by order and event id. The same id must mean the same event, on every redelivery.
fn by_order(
    messages: &[TopicMessage],
    foreign: &BTreeSet<String>,
    complaints: &mut Vec<String>,
) -> HashMap<String, Events> {
    let mut orders: HashMap<String, Events> = HashMap::new();
    for message in messages {
        let event = message.json();
        let (Some(id), Some(order), Some(kind)) = (
            event["eventId"].as_str(),
            event["payload"]["orderId"].as_str(),
            event["type"].as_str(),
        ) else {
            continue;
        };
        if kind != message.topic || message.key.as_deref() != Some(order.as_bytes()) {
            if !foreign.contains(id) {
                complaints.push(format!(
                    "an event of ours breaks the contract on {}: {event}",
                    message.topic
                ));
            }
            continue;
        }
        let known = orders.entry(order.to_owned()).or_default();
        match known.get(id) {
            Some(first) if !same(first, &event) && !foreign.contains(id) => {
                complaints.push(format!(
                    "event {id} was published twice with different contents: {first} / {event}"
                ));
            }
            Some(_) => {}
            None => {
                known.insert(id.to_owned(), event);
            }
        }
    }
    orders
}

/// Whether two messages are the same event. Two clicks on a button are one command, but each has its own time; the first one
/// on the topic counts.
fn same(first: &Value, second: &Value) -> bool {
    let command = [
        "ops.RetryRequested.v1",
        "ops.CompensationRequested.v1",
        "ops.RedriveRequested.v1",
    ]
    .iter()
    .any(|kind| first["type"] == *kind);
    if !command || !first["causationId"].is_null() {
        return first == second;
    }
    let timeless = |event: &Value| {
        let mut event = event.clone();
        event["timestamp"] = Value::Null;
        event
    };
    timeless(first) == timeless(second)
}

fn of_type<'a>(events: &'a Events, name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.values().filter(move |event| {
        event["type"]
            .as_str()
            .is_some_and(|kind| kind.split('.').nth(1) == Some(name))
    })
}

async fn check_stock(
    client: &Client,
    known: &Known,
    events: &HashMap<String, Events>,
    complaints: &mut Vec<String>,
) -> Result<()> {
    let mut shipped: BTreeMap<String, i64> = BTreeMap::new();
    for events in events
        .values()
        .filter(|events| of_type(events, "OrderShipped").next().is_some())
    {
        // Every attempt reserves the same items.
        let Some(reserved) = of_type(events, "InventoryReserved").next() else {
            continue;
        };
        for item in reserved["payload"]["reservedItems"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let sku = item["sku"].as_str().unwrap_or_default().to_owned();
            *shipped.entry(sku).or_default() += item["qty"].as_i64().unwrap_or_default();
        }
    }
    for product in client.products().await? {
        let sku = product["sku"].as_str().unwrap_or_default();
        let number = |name: &str| product[name].as_i64().unwrap_or(i64::MIN);
        let (available, reserved, gone) =
            (number("available"), number("reserved"), number("shipped"));
        if available < 0 || reserved < 0 || gone < 0 {
            complaints.push(format!("stock below zero: {product}"));
        }
        let restocked = known.restocked.get(sku).copied().unwrap_or_default();
        if let Some(initial) = initial(sku)
            && available + reserved + gone != initial + restocked
        {
            complaints.push(format!(
                "{sku}: {initial} + {restocked} units became {product}"
            ));
        }
        if reserved != 0 {
            complaints.push(format!(
                "{sku}: {reserved} units are still reserved although every order has its outcome"
            ));
        }
        let expected = shipped.get(sku).copied().unwrap_or_default();
        if gone != expected {
            complaints.push(format!(
                "{sku}: {gone} units are shipped, but the events say {expected}"
            ));
        }
    }
    Ok(())
}

async fn check_money(
    client: &Client,
    id: &str,
    events: &Events,
    complaints: &mut Vec<String>,
) -> Result<()> {
    let shipped = of_type(events, "OrderShipped").count();
    let total = of_type(events, "OrderCreated")
        .next()
        .map(|event| event["payload"]["total"].clone());
    if shipped > 0 && of_type(events, "PaymentAuthorized").next().is_none() {
        complaints.push(format!("order {id} was shipped unpaid"));
    }
    let mut per_attempt: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in of_type(events, "PaymentAuthorized") {
        let payload = &event["payload"];
        per_attempt
            .entry(payload["attempt"].to_string())
            .or_default()
            .insert(payload["authId"].to_string());
        if Some(&payload["amount"]) != total.as_ref() {
            complaints.push(format!(
                "order {id} was charged {} instead of {total:?}",
                payload["amount"]
            ));
        }
    }
    for (attempt, charges) in per_attempt.iter().filter(|(_, charges)| charges.len() > 1) {
        complaints.push(format!(
            "order {id} was charged {} times in attempt {attempt}",
            charges.len()
        ));
    }
    let (status, payment) = client.payment(id).await?;
    if status.is_success() {
        let kept = payment["captured"].as_f64().unwrap_or(f64::NAN)
            - payment["refunded"].as_f64().unwrap_or(f64::NAN);
        let total = total.and_then(|total| total.as_f64()).unwrap_or(f64::NAN);
        let refunded_after_shipping = of_type(events, "PaymentRefunded").next().is_some();
        let wanted = if shipped > 0 && !refunded_after_shipping {
            total
        } else {
            kept
        };
        if (kept.abs() > 1e-6 && (kept - total).abs() > 1e-6) || (kept - wanted).abs() > 1e-6 {
            complaints.push(format!(
                "order {id}: {kept} is kept of {total}, shipped {shipped}: {payment}"
            ));
        }
        if shipped == 0 && kept.abs() > 1e-6 {
            complaints.push(format!(
                "order {id} was not shipped, but {kept} is kept: {payment}"
            ));
        }
    }
    Ok(())
}

fn check_outcomes(id: &str, events: &Events, complaints: &mut Vec<String>) {
    let attempts = |name: &'static str| -> Vec<String> {
        of_type(events, name)
            .map(|event| event["payload"]["attempt"].to_string())
            .collect()
    };
    let (confirmed, cancelled) = (attempts("OrderConfirmed"), attempts("OrderCancelled"));
    if confirmed.len() > 1 {
        complaints.push(format!(
            "order {id} was confirmed {} times",
            confirmed.len()
        ));
    }
    let mut all: Vec<&String> = confirmed.iter().chain(&cancelled).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    if all.len() != count {
        complaints.push(format!(
            "order {id} has two outcomes in one attempt: {confirmed:?} and {cancelled:?}"
        ));
    }
    if count == 0 {
        complaints.push(format!("order {id} has no outcome on the topics"));
    }
}

/// The timeline shows exactly the published events, each once, and no effect before its cause.
async fn check_timeline(
    client: &Client,
    id: &str,
    projection: &Value,
    events: &Events,
    complaints: &mut Vec<String>,
) -> Result<()> {
    let published: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    let shown_all = |projection: &Value| {
        published
            .iter()
            .all(|id| ids(projection).iter().any(|shown| shown == id))
    };
    let projection = match client.until(id, "complete", shown_all).await {
        Ok(projection) => projection,
        Err(_) => projection.clone(),
    };
    let shown: Vec<String> = ids(&projection);
    let mut seen = BTreeSet::new();
    for event in &shown {
        if !seen.insert(event.as_str()) {
            complaints.push(format!("order {id} shows event {event} twice"));
        }
        let cause = events
            .get(event)
            .and_then(|event| event["causationId"].as_str());
        if let Some(cause) = cause.filter(|cause| published.contains(cause))
            && !seen.contains(cause)
        {
            complaints.push(format!(
                "order {id} shows event {event} before its cause {cause}"
            ));
        }
    }
    let missing: Vec<&&str> = published
        .iter()
        .filter(|event| !seen.contains(**event))
        .collect();
    if !missing.is_empty() {
        complaints.push(format!("order {id} does not show {missing:?}"));
    }
    Ok(())
}

/// Event ids of the timeline, without dead letters.
fn ids(projection: &Value) -> Vec<String> {
    let entries = projection["timeline"].as_array();
    entries
        .into_iter()
        .flatten()
        .filter(|entry| {
            entry["type"]
                .as_str()
                .is_some_and(|kind| TOPICS.contains(&kind))
        })
        .filter_map(|entry| entry["eventId"].as_str().map(str::to_owned))
        .collect()
}
