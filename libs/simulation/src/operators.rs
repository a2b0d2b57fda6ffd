//! Those who operate, and whatever else happens to a pipeline from the outside: poison, restocks, readers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use sagaline_contracts::{DEAD_LETTER_SUFFIX, EventType};
use sagaline_saga::message_id;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::clients::{Accepted, get, post};
use crate::http::Answer;
use crate::plan::{Asking, Command, Nonsense, Poison, Service};
use crate::world::World;

/// How often an operator tries before he gives up.
const TRIES_MAX: u32 = 60;
/// How often a reader is cut off.
const BREAKS_MAX: u32 = 8;
/// How long an operator waits for an order to be there.
const KNOWN_MAX: u32 = 100;

/// Calls an admin endpoint until it answers something that is no outage.
async fn ask(
    world: &World,
    service: Service,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> Result<Option<Answer>> {
    for _ in 0..TRIES_MAX {
        let authorization = format!("Bearer {}", world.token);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let request = post(path, &headers, body)?;
        if let Some(answer) = world.fronts.call(&world.env, service, request).await {
            world.env.trace.note((15_u8, path, answer.status), || {
                format!(
                    "operator: {path} is answered with {} {}",
                    answer.status, answer.body
                )
            });
            match answer.status {
                503 | 429 => {}
                status @ (500 | 401 | 403) => {
                    world.env.broken(format!(
                        "operators: {path} was answered with {status}: {}",
                        answer.body
                    ));
                    return Ok(None);
                }
                _ => return Ok(Some(answer)),
            }
        }
        let pause = 50 + world.env.client_dice.up_to(500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Ok(None)
}

/// Waits until an order is known by its id.
pub(crate) async fn known(world: &World, number: u32) -> Option<String> {
    for _ in 0..KNOWN_MAX {
        if let Some(id) = world.clients.id_of(number) {
            return Some(id);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

/// An operator asks for something, once: several of these are several clicks.
pub(crate) async fn command(world: Arc<World>, asking: Asking, at_ms: u64) -> Result<()> {
    let Some(order) = known(&world, asking.order).await else {
        return Ok(());
    };
    let service = if asking.at_read_model {
        Service::ReadModel
    } else {
        Service::Order
    };
    let (path, body) = match asking.command {
        Command::Retry => (
            format!("/admin/retry/{order}"),
            json!({ "step": step_of(at_ms) }),
        ),
        Command::Release => (
            format!("/admin/compensate/{order}"),
            json!({ "action": "releaseInventory" }),
        ),
        Command::Refund => (
            format!("/admin/compensate/{order}"),
            json!({ "action": "refundPayment" }),
        ),
    };
    let key = format!("click-{at_ms}-{}", asking.order);
    let answer = ask(&world, service, &path, Some(&key), &body).await?;
    accept(&world, Some(order), format!("{key} {path} {body}"), answer);
    Ok(())
}

/// Which step an operator names: it is told to people, and nothing follows from it.
fn step_of(at_ms: u64) -> &'static str {
    match at_ms % 3 {
        0 => "inventory",
        1 => "payment",
        _ => "shipping",
    }
}

fn accept(world: &World, order: Option<String>, clicks: String, answer: Option<Answer>) {
    let Some(answer) = answer.filter(|answer| answer.status == 202) else {
        return;
    };
    world.clients.accept(Accepted {
        order,
        clicks,
        command_id: answer.body["commandId"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    });
}

/// Decides about the dead letters that wait. At the end of a run, those of poison are dropped, and the others handled again.
pub(crate) async fn decide(
    world: Arc<World>,
    discard: Option<bool>,
    edit: bool,
    clicks: u32,
) -> Result<()> {
    let request = get("/dead-letters?state=waiting&limit=20")?;
    let answer = world
        .fronts
        .call(&world.env, Service::ReadModel, request)
        .await;
    let letters = answer.map(|answer| answer.body).unwrap_or_default();
    for letter in letters.as_array().into_iter().flatten() {
        let id = letter["deadLetterId"].as_str().unwrap_or_default();
        let is_dropped = discard.unwrap_or_else(|| world.clients.has_poisoned(id));
        let action = if is_dropped { "discard" } else { "redrive" };
        let path = format!("/admin/dead-letters/{id}/{action}");
        let order = letter["orderId"].as_str().map(str::to_owned);
        let corrected = corrected(letter).filter(|_| edit && !is_dropped);
        if corrected.is_some() {
            world.env.fault("redrive with another payload");
        }
        let body = corrected.unwrap_or_else(|| json!({}));
        let asked = (0..clicks.max(1)).map(|_| ask(&world, Service::ReadModel, &path, None, &body));
        for answer in futures::future::join_all(asked).await {
            // Each death is decided on its own, so no clicks have to be one.
            let answer = answer?;
            let clicks = answer
                .as_ref()
                .map(|answer| answer.body["commandId"].to_string());
            accept(&world, order.clone(), clicks.unwrap_or_default(), answer);
        }
    }
    Ok(())
}

/// What a message may have been meant to say, when it stands where commands are: anything else would be made up.
fn corrected(letter: &Value) -> Option<Value> {
    let order = letter["orderId"].as_str()?;
    let topic = letter["originalTopic"].as_str()?;
    let payload = match EventType::parse(topic)? {
        EventType::RetryRequested => {
            json!({ "orderId": order, "step": "payment", "requestedBy": "operator" })
        }
        EventType::CompensationRequested => {
            json!({ "orderId": order, "action": "releaseInventory", "requestedBy": "operator" })
        }
        _ => return None,
    };
    Some(json!({ "payload": payload }))
}

/// Adds units, once: several of these are several clicks.
pub(crate) async fn restock(
    world: Arc<World>,
    sku: String,
    qty: u32,
    key: String,
    is_first: bool,
) -> Result<()> {
    if is_first {
        world.clients.restock_asked(&sku, qty);
    }
    let path = format!("/admin/products/{sku}/restock");
    let answer = ask(
        &world,
        Service::Inventory,
        &path,
        Some(&key),
        &json!({ "qty": qty }),
    )
    .await?;
    let done = answer.is_some_and(|answer| answer.status == 200);
    // The first one to hear of it counts it.
    if done && world.clients.first_of(&key) {
        world.clients.restock_done(&sku, qty);
    }
    Ok(())
}

/// Puts a message on a topic that is no event, or one that is there already.
pub(crate) async fn poison(world: Arc<World>, poison: Poison) -> Result<()> {
    let is_old = poison.nonsense == Nonsense::Old;
    if is_old || poison.nonsense == Nonsense::Double {
        let chosen = {
            let state = world.cluster.state.lock();
            let all = state.topics.all();
            let of_topic = all.filter(|(topic, ..)| *topic == poison.topic);
            let mut written: Vec<_> = of_topic.map(|(.., record)| record.clone()).collect();
            if is_old {
                let at = world.env.client_dice.index(written.len());
                written.truncate(at + 1);
            }
            written.pop()
        };
        if let Some(record) = chosen.filter(|record| record.by != 0) {
            world
                .env
                .fault(match (is_old, poison.topic.ends_with(DEAD_LETTER_SUFFIX)) {
                    (false, false) => "message doubled",
                    (true, false) => "old message doubled",
                    (_, true) => "dead letter doubled",
                });
            world.cluster.append(
                &poison.topic,
                record.key.as_deref(),
                record.value.as_deref(),
                record.by,
            );
        }
        return Ok(());
    }
    let order = match poison.order {
        None => None,
        Some(number) => match known(&world, number).await {
            Some(order) => Some(order),
            None => return Ok(()),
        },
    };
    let value: Option<&[u8]> = match poison.nonsense {
        Nonsense::Garbage => Some(b"\xff\xfe not JSON"),
        Nonsense::NoEvent => Some(br#"{"not":"an event"}"#),
        Nonsense::Empty | Nonsense::Double | Nonsense::Old => None,
    };
    world.env.fault("poison");
    // Known as poison before anybody can read it: nothing waits between here and there.
    let key = order.as_deref().map(str::as_bytes);
    if let Some((partition, offset)) = world.cluster.append(&poison.topic, key, value, 0) {
        let (partition, offset) = (i32::try_from(partition)?, i64::try_from(offset)?);
        let place = message_id(&poison.topic, partition, offset);
        world.clients.poisoned(place.to_string());
    }
    Ok(())
}

/// Makes the read model anew.
pub(crate) async fn rebuild(world: Arc<World>) -> Result<()> {
    rebuild_with(&world, &world.token).await
}

/// The same with this token.
pub(crate) async fn rebuild_with(world: &World, token: &str) -> Result<()> {
    let authorization = format!("Bearer {token}");
    let request = post(
        "/admin/rebuild",
        &[("authorization", &authorization)],
        &json!({}),
    )?;
    // It may be broken off by a crash: the next start finishes it.
    let _ = world
        .fronts
        .call(&world.env, Service::ReadModel, request)
        .await;
    Ok(())
}

/// Reads an order's stream from its beginning until `until`, and comes back after each break.
pub(crate) async fn watch(
    world: Arc<World>,
    number: u32,
    break_after: u32,
    until: CancellationToken,
) -> Result<()> {
    let Some(order) = known(&world, number).await else {
        return Ok(());
    };
    let mut reader = Reader {
        order,
        last_id: None,
        told: Vec::new(),
    };
    let mut breaks = 0;
    loop {
        // Who is cut off again and again does not get through a long timeline in time.
        let break_after = if breaks < BREAKS_MAX { break_after } else { 0 };
        breaks += 1;
        let reading = reader.read(&world, break_after);
        tokio::select! {
            biased;
            () = until.cancelled() => break,
            read = reading => read?,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Whoever never got a stream was told nothing, and knows it.
    if reader.last_id.is_some() {
        world.clients.was_told(&reader.order, reader.told);
    }
    Ok(())
}

struct Reader {
    order: String,
    last_id: Option<String>,
    told: Vec<Value>,
}

impl Reader {
    /// One connection, until it breaks.
    async fn read(&mut self, world: &World, break_after: u32) -> Result<()> {
        let Some((life, router)) = world.fronts.one_of(&world.env, Service::ReadModel) else {
            return Ok(());
        };
        let path = format!("/orders/{}/stream?from=start", self.order);
        let mut request = Request::builder().uri(path);
        if let Some(last) = &self.last_id {
            request = request.header("last-event-id", last);
        }
        let request = request
            .header(header::ACCEPT, "text/event-stream")
            .body(Body::empty())?;
        let calling = async {
            let Ok(response) = router.oneshot(request).await;
            if response.status().as_u16() != 200 {
                return;
            }
            let mut left = break_after;
            let mut text = String::new();
            let mut chunks = response.into_body().into_data_stream();
            while let Some(Ok(chunk)) = chunks.next().await {
                if !life.is_running() {
                    return;
                }
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some((message, rest)) = text.split_once("\n\n") {
                    let message = message.to_owned();
                    text = rest.to_owned();
                    if self.take(&message) {
                        left = left.saturating_sub(1);
                        if left == 0 && break_after > 0 {
                            return;
                        }
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = life.ended() => {}
            () = calling => {}
        }
        Ok(())
    }

    /// Takes a message; whether it told of an event.
    fn take(&mut self, message: &str) -> bool {
        let mut data = None;
        for line in message.lines() {
            if let Some(id) = line.strip_prefix("id:") {
                self.last_id = Some(id.trim().to_owned());
            } else if let Some(text) = line.strip_prefix("data:") {
                data = serde_json::from_str(text.trim()).ok();
            }
        }
        data.map(|data| self.told.push(data)).is_some()
    }
}
