//! Messages that nobody should have sent.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use sagaline_testkit::client::order;
use sagaline_testkit::invariants::TOPICS;
use sagaline_testkit::topics::{produce, read_all};
use serde_json::{Value, json};

use crate::fate::{Fate, order_id};
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(20);

fn created(id: &str, event_id: &str) -> Value {
    json!({
        "eventId": event_id, "type": "order.OrderCreated.v1", "version": 1, "timestamp": "2026-01-31T12:00:00Z",
        "correlationId": id, "key": id, "headers": {},
        "payload": { "orderId": id, "items": [{ "sku": "SKU-1", "qty": 1, "price": 10 }], "total": 10 }
    })
}

/// Waits for the dead letter of a message.
pub async fn dead_letter(world: &World, topic: &str, partition: i32, offset: i64) -> Result<Value> {
    let found = async {
        loop {
            let letters = world.client.dead_letters().await?;
            let ours = |letter: &&Value| {
                letter["topic"] == topic
                    && letter["partition"] == partition
                    && letter["offset"] == offset
            };
            if let Some(letter) = letters.iter().find(ours) {
                return anyhow::Ok(letter.clone());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(LIMIT, found).await {
        Ok(letter) => letter,
        Err(_) => bail!(
            "no dead letter for {topic}/{partition}/{offset}: {:?}",
            world.client.dead_letters().await?
        ),
    }
}

/// The id of a dead letter.
pub fn letter_id(letter: &Value) -> Result<&str> {
    letter["deadLetterId"]
        .as_str()
        .or(letter["_id"].as_str())
        .context("a dead letter without an id")
}

/// Waits until a dead letter is as `wanted` says.
pub async fn letter_when(
    world: &World,
    letter: &Value,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let id = letter_id(letter)?;
    let url = format!("{}/dead-letters/{id}", world.client.addresses().read_model);
    let mut last = Value::Null;
    let polled = async {
        loop {
            (_, last) = world.client.send(Method::GET, &url, None).await?;
            if wanted(&last) {
                return anyhow::Ok(last.clone());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(LIMIT, polled).await {
        Ok(letter) => letter,
        Err(_) => bail!("dead letter {id} is not {what}: {}", last["consumers"]),
    }
}

/// Tells the pipeline what becomes of a dead letter.
pub async fn decide(world: &World, letter: &Value, decision: &str, body: &Value) -> Result<()> {
    let id = letter_id(letter)?;
    let url = format!(
        "{}/admin/dead-letters/{id}/{decision}",
        world.client.addresses().read_model
    );
    let (status, answer) = world.client.send(Method::POST, &url, Some(body)).await?;
    ensure!(status == 202, "{decision}: {status} {answer}");
    Ok(())
}

pub async fn every_kind_of_poison_is_a_dead_letter_with_a_reason(world: &mut World) -> Result<()> {
    let key = |n: usize| format!("poison-kind-{n}");
    world
        .known
        .foreign
        .extend((0..10).map(|n| format!("poison-{n}")));
    let edited = |n: usize, pointer: &str, value: Value| {
        let mut event = created(&key(n), &format!("poison-{n}"));
        if let Some(place) = event.pointer_mut(pointer) {
            *place = value;
        }
        event.to_string().into_bytes()
    };
    let large = format!("{{\"payload\":\"{}\"}}", "x".repeat(900_000)).into_bytes();
    let cases: Vec<(&str, Option<String>, Option<Vec<u8>>)> = vec![
        ("JSON", Some(key(0)), Some(b"not json".to_vec())),
        ("no value", Some(key(1)), None),
        (
            "no key",
            None,
            Some(created(&key(2), "poison-2").to_string().into_bytes()),
        ),
        (
            "key",
            Some("poison-kind-other".to_owned()),
            Some(created(&key(3), "poison-3").to_string().into_bytes()),
        ),
        (
            "qty",
            Some(key(4)),
            Some(edited(4, "/payload/items/0/qty", json!(0))),
        ),
        (
            "version",
            Some(key(5)),
            Some(edited(5, "/version", json!(2))),
        ),
        (
            "type",
            Some(key(6)),
            Some(edited(6, "/type", json!("order.OrderConfirmed.v1"))),
        ),
        ("UTF-8", Some(key(7)), Some(vec![0xff, 0xfe, b'{', b'}'])),
        (
            "timestamp",
            Some(key(8)),
            Some(edited(8, "/timestamp", json!("yesterday"))),
        ),
        ("", Some(key(9)), Some(large)),
    ];
    for (named, key, value) in &cases {
        let topic = "order.OrderCreated.v1";
        let (partition, offset) = produce(
            world.kafka(),
            topic,
            key.as_ref().map(String::as_bytes),
            value.as_deref(),
        )
        .await?;
        let letter = dead_letter(world, topic, partition, offset).await?;
        let error = letter.to_string();
        ensure!(
            error.contains(named),
            "{named:?} is not named: {}",
            error.chars().take(600).collect::<String>()
        );
    }
    let dlq = read_all(world.kafka(), vec!["order.OrderCreated.v1.dlq".to_owned()]).await?;
    let wrong = dlq
        .iter()
        .map(sagaline_testkit::topics::TopicMessage::json)
        .find(|letter| letter["type"] != "ops.DeadLetter.v1");
    ensure!(wrong.is_none(), "{wrong:?}");
    let id = world
        .place_with_fate("beside-poison", &[Fate::Ships])
        .await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    Ok(())
}

pub async fn poison_parks_its_order_at_that_service_until_it_is_discarded(
    world: &mut World,
) -> Result<()> {
    // The events of the happy path, each consumed by a participant that would go on because of it.
    for topic in [
        "order.OrderCreated.v1",
        "inventory.InventoryReserved.v1",
        "payment.PaymentAuthorized.v1",
        "shipping.OrderShipped.v1",
    ] {
        let id = order_id("parked", &[Fate::Ships]);
        let (partition, offset) = produce(
            world.kafka(),
            topic,
            Some(id.as_bytes()),
            Some(b"{\"poison\":true}"),
        )
        .await?;
        let letter = dead_letter(world, topic, partition, offset).await?;
        world.place(&order(&id, "SKU-4", 1)).await?;
        let beside = world
            .place_with_fate("beside-parked", &[Fate::Ships])
            .await?;
        world.client.outcome_is(&beside, "CONFIRMED").await?;
        let (_, parked) = world.client.order(&id).await?;
        ensure!(
            parked["outcome"] != "CONFIRMED",
            "poison on {topic} did not park the order"
        );
        decide(world, &letter, "discard", &json!({})).await?;
        world
            .client
            .outcome(&id)
            .await
            .with_context(|| format!("after the discard on {topic}"))?;
    }
    Ok(())
}

pub async fn an_edited_redrive_completes_the_order(world: &mut World) -> Result<()> {
    let id = order_id("edited", &[Fate::Ships]);
    let event_id = format!("foreign-{id}");
    let mut broken = created(&id, &event_id);
    broken["payload"]["items"][0]["qty"] = json!("one");
    world.known.foreign.insert(event_id);
    let topic = "order.OrderCreated.v1";
    let value = broken.to_string();
    let (partition, offset) = produce(
        world.kafka(),
        topic,
        Some(id.as_bytes()),
        Some(value.as_bytes()),
    )
    .await?;
    let letter = dead_letter(world, topic, partition, offset).await?;
    let mut payload = broken["payload"].clone();
    payload["items"][0]["qty"] = json!(-3);
    let dead_id = letter["deadLetterId"]
        .as_str()
        .or(letter["_id"].as_str())
        .unwrap_or_default();
    let url = format!(
        "{}/admin/dead-letters/{dead_id}/redrive",
        world.client.addresses().read_model
    );
    let (status, answer) = world
        .client
        .send(Method::POST, &url, Some(&json!({ "payload": payload })))
        .await?;
    ensure!(
        matches!(status.as_u16(), 400 | 422) && answer.to_string().contains("qty"),
        "a bad edit: {status} {answer}"
    );
    payload["items"][0]["qty"] = json!(1);
    decide(world, &letter, "redrive", &json!({ "payload": payload })).await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    Ok(())
}

pub async fn old_events_replayed_change_nothing(world: &mut World) -> Result<()> {
    let ids = [
        world.place_with_fate("replayed", &[Fate::Ships]).await?,
        world.place_with_fate("replayed", &[Fate::Declined]).await?,
        world.place_with_fate("replayed", &[Fate::Refused]).await?,
    ];
    let mut before = Vec::new();
    for id in &ids {
        world.client.outcome(id).await?;
    }
    // Everything that follows an outcome has arrived.
    world.check_invariants().await?;
    for id in &ids {
        before.push(world.client.projection(id).await?);
    }
    let messages = read_all(
        world.kafka(),
        TOPICS.iter().map(|topic| (*topic).to_owned()).collect(),
    )
    .await?;
    for message in messages.iter().rev() {
        let key = message
            .key
            .as_deref()
            .and_then(|key| std::str::from_utf8(key).ok());
        if key.is_some_and(|key| ids.iter().any(|id| id == key)) {
            produce(
                world.kafka(),
                &message.topic,
                message.key.as_deref(),
                message.value.as_deref(),
            )
            .await?;
        }
    }
    let after = world
        .place_with_fate("after-replay", &[Fate::Ships])
        .await?;
    world.client.outcome_is(&after, "CONFIRMED").await?;
    for (id, before) in ids.iter().zip(before) {
        let now = world.client.projection(id).await?;
        ensure!(now == before, "the replay changed order {id}: {now:?}");
    }
    Ok(())
}
