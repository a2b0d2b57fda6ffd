//! Those who order, and what they were answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::http::{Method, Request, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::http::Answer;
use crate::plan::{Identity, Placing, Service};
use crate::world::World;

/// How often a client tries before it gives up.
const TRIES_MAX: u32 = 60;

/// What clients know.
#[derive(Default)]
pub(crate) struct Clients {
    orders: Mutex<BTreeMap<u32, Ordered>>,
    accepted: Mutex<Vec<Accepted>>,
    poison: Mutex<BTreeSet<String>>,
    /// Units that were added for sure, and those that may have been.
    restocked: Mutex<(BTreeMap<String, u64>, BTreeMap<String, u64>)>,
    watched: Mutex<BTreeMap<String, Vec<Vec<Value>>>>,
    keys: Mutex<BTreeSet<String>>,
}

/// A command that was answered with 202.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// The order that it is about, if it is about one.
    pub(crate) order: Option<String>,
    /// What makes several clicks one command.
    pub(crate) clicks: String,
    pub(crate) command_id: String,
}

/// What became of the requests for one order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ordered {
    /// The order's id, once it is known.
    pub(crate) id: Option<String>,
    /// How many requests were answered with 201.
    pub(crate) created: u32,
    /// How many were answered with 200.
    pub(crate) repeated: u32,
    /// What has to be paid, in hundredths.
    pub(crate) total: i64,
}

impl Clients {
    /// Everything that was ordered.
    pub(crate) fn orders(&self) -> BTreeMap<u32, Ordered> {
        self.orders.lock().clone()
    }

    /// Commands that were answered with 202.
    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().clone()
    }

    pub(crate) fn accept(&self, accepted: Accepted) {
        self.accepted.lock().push(accepted);
    }

    /// Places of messages that were put there on purpose, and are no events.
    pub(crate) fn poison(&self) -> BTreeSet<String> {
        self.poison.lock().clone()
    }

    pub(crate) fn has_poisoned(&self, place: &str) -> bool {
        self.poison.lock().contains(place)
    }

    pub(crate) fn poisoned(&self, place: String) {
        self.poison.lock().insert(place);
    }

    /// Units that were added for sure, and those that may have been, by SKU.
    pub(crate) fn restocked(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        self.restocked.lock().clone()
    }

    pub(crate) fn restock_asked(&self, sku: &str, qty: u32) {
        *self.restocked.lock().1.entry(sku.to_owned()).or_default() += u64::from(qty);
    }

    pub(crate) fn restock_done(&self, sku: &str, qty: u32) {
        *self.restocked.lock().0.entry(sku.to_owned()).or_default() += u64::from(qty);
    }

    /// Whether this key was not asked for before.
    pub(crate) fn first_of(&self, key: &str) -> bool {
        self.keys.lock().insert(key.to_owned())
    }

    /// What each reader of each order was told.
    pub(crate) fn watched(&self) -> BTreeMap<String, Vec<Vec<Value>>> {
        self.watched.lock().clone()
    }

    pub(crate) fn was_told(&self, order: &str, told: Vec<Value>) {
        let mut watched = self.watched.lock();
        watched.entry(order.to_owned()).or_default().push(told);
    }

    /// The order of a number, when it is known by an id.
    pub(crate) fn id_of(&self, number: u32) -> Option<String> {
        self.orders.lock().get(&number)?.id.clone()
    }
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Request<Body>> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Body::from(body.to_string()))?)
}

/// A request to read.
pub(crate) fn get(path: &str) -> Result<Request<Body>> {
    Ok(Request::builder().uri(path).body(Body::empty())?)
}

/// The request for an order, and what has to be paid, in hundredths. `more` units than planned make it another one.
fn order_request(placing: &Placing, more: u32) -> Result<(Request<Body>, i64)> {
    let number = placing.number;
    let price = placing.price;
    let lines = placing.lines.iter().map(|(sku, qty)| (sku, qty + more));
    let total: u32 = lines.clone().map(|(_, qty)| qty * price).sum();
    let (path, mut body) = if placing.checkout {
        let items: Vec<Value> = lines
            .map(|(sku, qty)| json!({ "productId": sku, "quantity": qty, "price": price }))
            .collect();
        ("/api/checkout", json!({ "userId": "u-1", "items": items }))
    } else {
        let items: Vec<Value> = lines
            .map(|(sku, qty)| json!({ "sku": sku, "qty": qty, "price": price }))
            .collect();
        ("/orders", json!({ "items": items, "total": total }))
    };
    let key = format!("key-{number}");
    let mut headers = Vec::new();
    match placing.identity {
        // A checkout knows no id of the order.
        Identity::OrderId if !placing.checkout => body["orderId"] = format!("o-{number}").into(),
        Identity::OrderId | Identity::Key => headers.push(("idempotency-key", key.as_str())),
        Identity::Request => body["clientRequestId"] = format!("r-{number}").into(),
        Identity::KeyAndRequest => {
            headers.push(("idempotency-key", key.as_str()));
            body["clientRequestId"] = format!("r-{number}").into();
        }
    }
    Ok((post(path, &headers, &body)?, i64::from(total) * 100))
}

/// Places an order, and tries again until it is answered.
pub(crate) async fn place(world: Arc<World>, placing: Placing) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let (request, total) = order_request(&placing, 0)?;
        world
            .clients
            .orders
            .lock()
            .entry(placing.number)
            .or_default()
            .total = total;
        if let Some(answer) = world.fronts.call(&world.env, Service::Order, request).await {
            match answer.status {
                200 | 201 => {
                    note_answer(&world, &placing, &answer);
                    return contradict(&world, &placing).await;
                }
                // It takes longer than anybody waits, or was cancelled.
                202 | 409 if placing.checkout && answer.body["orderId"].is_string() => {
                    note_answer(&world, &placing, &answer);
                    return contradict(&world, &placing).await;
                }
                503 => {}
                other => {
                    world.env.broken(format!(
                        "order {} was answered with {other}: {}",
                        placing.number, answer.body
                    ));
                    return Ok(());
                }
            }
        }
        let pause = 50 + world.env.client_dice.up_to(500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}

/// Asks for something else under the same identity: that is refused.
async fn contradict(world: &World, placing: &Placing) -> Result<()> {
    if !placing.contradicts {
        return Ok(());
    }
    for _ in 0..TRIES_MAX {
        let (request, _) = order_request(placing, 1)?;
        if let Some(answer) = world.fronts.call(&world.env, Service::Order, request).await {
            match answer.status {
                // A cancelled checkout is a conflict, too, but one that names its order.
                409 if !answer.body["orderId"].is_string() => {
                    world.env.fault("another body under the same identity");
                    return Ok(());
                }
                503 => {}
                other => {
                    world.env.broken(format!(
                        "create: another order under the identity of {} was answered with {other}: {}",
                        placing.number, answer.body
                    ));
                    return Ok(());
                }
            }
        }
        let pause = 50 + world.env.client_dice.up_to(500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}

fn note_answer(world: &World, placing: &Placing, answer: &Answer) {
    let number = placing.number;
    let id = answer.body["orderId"].as_str().unwrap_or_default();
    world
        .env
        .trace
        .note((14_u8, number, answer.status, id), || {
            format!(
                "client: order {number} is answered with {} {id}",
                answer.status
            )
        });
    let mut orders = world.clients.orders.lock();
    let order = orders.entry(number).or_default();
    match answer.status {
        201 => order.created += 1,
        _ => order.repeated += 1,
    }
    let told = order.id.get_or_insert_with(|| id.to_owned());
    if told != id {
        let told = told.clone();
        drop(orders);
        world.env.broken(format!(
            "create: order {number} was answered with {told} and with {id}"
        ));
    }
}
