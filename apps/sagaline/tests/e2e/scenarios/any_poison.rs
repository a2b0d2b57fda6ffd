//! Every kind of poison, on every topic, and everything that an operator can decide about it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use sagaline_testkit::client::order;
use sagaline_testkit::invariants::TOPICS;
use sagaline_testkit::topics::produce;
use serde_json::{Value, json};

use super::poison::{dead_letter, decide, letter_id, letter_when};
use crate::fate::{Fate, order_id};
use crate::world::World;

/// Topics that no participant consumes: the read model keeps nothing that could be handled again as it is.
const READ_ONLY_FOR_PEOPLE: [&str; 2] = ["order.OrderConfirmed.v1", "ops.CommandRejected.v1"];
/// How long an order may take while poison comes in: as long as without it, on a busy machine.
const ON_TIME: Duration = Duration::from_secs(10);
/// As much as a broker with Kafka's default limit takes in one message.
const MEGABYTE: usize = 1_048_000;

/// A kind of poison: what makes it, out of an event of its topic, and what its letter names.
struct Kind {
    names: &'static str,
    has_key: bool,
    value: fn(Value) -> Option<Vec<u8>>,
}

fn keyed(names: &'static str, value: fn(Value) -> Option<Vec<u8>>) -> Kind {
    let has_key = true;
    Kind {
        names,
        has_key,
        value,
    }
}

fn with(mut event: Value, field: &str, value: Value) -> Vec<u8> {
    event[field] = value;
    event.to_string().into_bytes()
}

/// No topic of the happy path has the kind without a key: there the letters are redriven.
fn kinds() -> Vec<Kind> {
    vec![
        keyed("JSON", |_| Some(b"poison".to_vec())),
        Kind {
            names: "key",
            has_key: false,
            value: |event| Some(event.to_string().into_bytes()),
        },
        keyed("no value", |_| None),
        keyed("key", |event| Some(with(event, "key", json!("another")))),
        keyed("payload", |event| {
            Some(with(event, "payload", json!("none")))
        }),
        keyed("version", |event| Some(with(event, "version", json!(2)))),
        keyed("type", |event| {
            Some(with(event, "type", json!("order.Unheard.v1")))
        }),
        keyed("UTF-8", |_| Some(vec![0xff, 0xfe, b'{', b'}'])),
        keyed("timestamp", |event| {
            Some(with(event, "timestamp", json!("yesterday")))
        }),
        keyed("not repeated", |event| {
            Some(with(event, "payload", json!("x".repeat(900_000))))
        }),
    ]
}

/// A valid event of this topic.
fn event(topic: &str, id: &str) -> Value {
    json!({
        "eventId": format!("foreign-{id}"), "type": topic, "version": 1, "timestamp": "2026-01-31T12:00:00Z",
        "correlationId": id, "key": id, "headers": {}, "payload": payload(topic, id),
    })
}

fn payload(topic: &str, id: &str) -> Value {
    let items = json!([{ "sku": "SKU-4", "qty": 1 }]);
    let mut payload = match topic {
        "order.OrderCreated.v1" => json!({ "items": items, "total": 10 }),
        "order.OrderRetried.v1" => json!({
            "attempt": 2, "step": "payment", "items": items, "total": 10, "requestedBy": "ann",
        }),
        "inventory.InventoryReserved.v1" => json!({ "reservedItems": items, "total": 10 }),
        "inventory.InventoryReleased.v1" => json!({ "releasedItems": items, "reason": "x" }),
        "payment.PaymentAuthorized.v1" => json!({ "amount": 10, "authId": "other" }),
        "payment.PaymentRefunded.v1" => json!({ "amount": 10, "refundId": "other" }),
        "shipping.OrderShipped.v1" => json!({ "carrier": "c", "trackingId": "other" }),
        "ops.RetryRequested.v1" => json!({ "step": "payment" }),
        "ops.CompensationRequested.v1" => json!({ "action": "refundPayment" }),
        "ops.CommandRejected.v1" => {
            json!({ "command": "retry payment", "reason": "x", "requestedBy": "ann" })
        }
        "ops.RedriveRequested.v1" => {
            json!({ "deadLetterId": "none", "action": "discard", "requestedBy": "ann" })
        }
        _ => json!({ "reason": "x" }),
    };
    payload["orderId"] = json!(id);
    payload
}

/// What the poison should have been where the order goes its way with it: the step itself, or a command that is refused.
fn correction(case: &Case) -> Option<Value> {
    let goes_on = [
        "order.OrderCreated.v1",
        "inventory.InventoryReserved.v1",
        "payment.PaymentAuthorized.v1",
        "ops.RetryRequested.v1",
    ];
    let can_be = case.has_key && goes_on.contains(&case.topic);
    can_be.then(|| payload(case.topic, &case.id))
}

/// A message that was sent, and its letter.
struct Case {
    topic: &'static str,
    id: String,
    has_key: bool,
    letter: Value,
}

pub async fn any_poison_on_any_topic_is_redriven_edited_or_discarded(
    world: &mut World,
) -> Result<()> {
    let mut cases = send_poison(world).await?;
    redrive_as_it_is(world, &mut cases).await?;
    let mut edited = 0;
    for case in &cases {
        // What stands on its topic is nearly an event, so it is not among the orders whose timelines are held to their topics.
        world.client.accepted(&order(&case.id, "SKU-4", 1)).await?;
        match correction(case) {
            Some(payload) => {
                decide(
                    world,
                    &case.letter,
                    "redrive",
                    &json!({ "payload": payload }),
                )
                .await?;
                edited += 1;
            }
            None => decide(world, &case.letter, "discard", &json!({})).await?,
        }
    }
    ensure!(edited == 4, "{edited} were edited");
    for Case { id, topic, .. } in &cases {
        let ended = world.client.outcome_is(id, "CONFIRMED").await;
        ended.with_context(|| format!("after poison on {topic}"))?;
    }
    Ok(())
}

/// One message a topic, the kinds in turn; each becomes a dead letter that names what is wrong.
async fn send_poison(world: &mut World) -> Result<Vec<Case>> {
    let kinds = kinds();
    let mut places = Vec::new();
    for (topic, kind) in TOPICS.into_iter().zip(kinds.iter().cycle()) {
        let id = order_id("any-topic", &[Fate::Ships]);
        world.known.foreign.insert(format!("foreign-{id}"));
        let key = kind.has_key.then_some(id.as_bytes());
        let value = (kind.value)(event(topic, &id));
        let place = produce(world.kafka(), topic, key, value.as_deref()).await?;
        places.push((topic, id, kind, place));
    }
    let mut cases = Vec::new();
    for (topic, id, kind, (partition, offset)) in places {
        let letter = dead_letter(world, topic, partition, offset).await?;
        let text = letter.to_string();
        ensure!(
            text.contains(kind.names),
            "{topic}: {:?} is not named: {}",
            kind.names,
            text.chars().take(600).collect::<String>()
        );
        let has_key = kind.has_key;
        cases.push(Case {
            topic,
            id,
            has_key,
            letter,
        });
    }
    Ok(cases)
}

/// Whoever holds the message handles it as it was: it dies again, and is seen to wait again.
async fn redrive_as_it_is(world: &World, cases: &mut [Case]) -> Result<()> {
    let mut again = Vec::new();
    for case in cases.iter_mut() {
        let held = case.has_key && !READ_ONLY_FOR_PEOPLE.contains(&case.topic);
        if held {
            let tried = |letter: &Value| attempts(letter) >= 1;
            case.letter =
                letter_when(world, &case.letter, "held by who consumes it", tried).await?;
            decide(world, &case.letter, "redrive", &json!({})).await?;
            again.push(case);
        } else {
            let id = letter_id(&case.letter)?;
            let read_model = &world.client.addresses().read_model;
            let url = format!("{read_model}/admin/dead-letters/{id}/redrive");
            let (status, answer) = world
                .client
                .send(Method::POST, &url, Some(&json!({})))
                .await?;
            let topic = case.topic;
            ensure!(status == 422, "{topic}: nobody holds it: {status} {answer}");
        }
    }
    for case in again {
        let died = |letter: &Value| letter["state"] == "waiting" && attempts(letter) >= 2;
        case.letter = letter_when(world, &case.letter, "dead again", died).await?;
    }
    Ok(())
}

/// How often the participant tried it that tried most.
fn attempts(letter: &Value) -> u64 {
    let consumers = letter["consumers"].as_array().into_iter().flatten();
    let tried = consumers
        .filter(|copy| copy["consumer"] != "read-model-service")
        .filter_map(|copy| copy["attempts"].as_u64());
    tried.max().unwrap_or(0)
}

pub async fn a_megabyte_of_poison_holds_nobody_up(world: &mut World) -> Result<()> {
    let json = format!("{{\"payload\":\"{}\"}}", "x".repeat(MEGABYTE - 100)).into_bytes();
    let mut places = Vec::new();
    for topic in ["inventory.InventoryReserved.v1", "order.OrderConfirmed.v1"] {
        for key in [None, Some("megabyte".as_bytes())] {
            for value in [&vec![0xff; MEGABYTE], &json] {
                let (partition, offset) =
                    produce(world.kafka(), topic, key, Some(value.as_slice())).await?;
                places.push((topic, partition, offset));
            }
        }
    }
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.push(
            world
                .place_with_fate("beside-large", &[Fate::Ships])
                .await?,
        );
    }
    let confirmed = async {
        for id in &orders {
            world.client.outcome_is(id, "CONFIRMED").await?;
        }
        anyhow::Ok(())
    };
    let in_time = tokio::time::timeout(ON_TIME, confirmed).await;
    in_time.with_context(|| format!("orders are not confirmed within {ON_TIME:?}"))??;
    for (topic, partition, offset) in places {
        let letter = dead_letter(world, topic, partition, offset).await?;
        let size = letter.to_string().len();
        ensure!(size < 16_384, "{topic}: a letter of {size} bytes");
        decide(world, &letter, "discard", &json!({})).await?;
    }
    Ok(())
}
