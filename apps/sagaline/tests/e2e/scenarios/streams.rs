//! What is pushed to readers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sagaline_testkit::client::order;
use sagaline_testkit::sse::{SseEvent, open, read_until};
use serde_json::Value;

use crate::fate::{Fate, order_id};
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(30);

fn is(event: &SseEvent, kind: &str) -> bool {
    event.data["type"]
        .as_str()
        .is_some_and(|name| name.contains(kind))
}

pub async fn a_stream_that_is_cut_resumes_without_gap_or_double(world: &mut World) -> Result<()> {
    let id = world
        .place_with_fate("stream", &[Fate::Declined, Fate::Ships])
        .await?;
    let url = format!("{}/orders/{id}/stream", world.client.addresses().read_model);
    let from_start = format!("{url}?from=start");
    let http = world.client.http().clone();
    let first = read_until(&http, &from_start, None, LIMIT, |events| {
        events.iter().any(|e| is(e, "OrderCancelled"))
    })
    .await?;
    world.client.outcome_is(&id, "CANCELLED").await?;
    world.client.retry(&id, "payment").await?;
    world.client.outcome_is(&id, "CONFIRMED").await?;
    let complete = |events: &[SseEvent]| events.iter().any(|event| is(event, "OrderConfirmed"));
    let whole = read_until(&http, &from_start, None, LIMIT, complete).await?;
    // Wherever it is cut, what was seen and what comes after it are the whole.
    for cut in 0..first.len() {
        let seen = &first[..=cut];
        let last = seen
            .last()
            .and_then(|event| event.id.as_deref())
            .context("an event without an id")?;
        let missing = whole.len() - seen.len();
        let rest = read_until(&http, &url, Some(last), LIMIT, |events| {
            events.len() >= missing
        })
        .await?;
        let ids = |events: &[SseEvent]| -> Vec<Value> {
            events
                .iter()
                .map(|event| event.data["eventId"].clone())
                .collect()
        };
        let mut together = ids(seen);
        together.extend(ids(&rest));
        let distinct: BTreeSet<String> = together.iter().map(Value::to_string).collect();
        ensure!(
            distinct.len() == together.len(),
            "a double after a cut at {cut}"
        );
        ensure!(
            distinct == ids(&whole).iter().map(Value::to_string).collect(),
            "a gap after a cut at {cut}"
        );
    }
    Ok(())
}

/// Two instances share the partitions, so of twenty orders each projects some; and each has a reader of every one.
pub async fn readers_at_two_instances_hear_everything_live_whichever_projects_it(
    world: &mut World,
) -> Result<()> {
    let second = world.stack.add_instance("read-model-service").await?;
    let bases = [world.client.addresses().read_model.clone(), second];
    let http = world.client.http().clone();
    let ids: Vec<String> = (0..20)
        .map(|_| order_id("two-instances", &[Fate::Ships]))
        .collect();
    // They read before there is anything, so what they hear they hear live.
    let mut readers = Vec::new();
    for (id, base) in ids
        .iter()
        .flat_map(|id| bases.iter().map(move |base| (id, base)))
    {
        let stream = open(&http, &format!("{base}/orders/{id}/stream"), None).await?;
        let happy = |events: &[SseEvent]| events.len() >= 5;
        readers.push(tokio::spawn(stream.read_until(LIMIT, happy)));
    }
    for id in &ids {
        world.place(&order(id, "SKU-1", 1)).await?;
    }
    for reader in readers {
        let events = reader.await??;
        let distinct: BTreeSet<String> = events
            .iter()
            .map(|event| event.data["eventId"].to_string())
            .collect();
        ensure!(distinct.len() == events.len(), "a double: {events:?}");
    }
    world.stack.stop_instances().await
}

pub async fn the_feed_shows_every_order_to_its_outcome(world: &mut World) -> Result<()> {
    let url = format!("{}/orders/stream", world.client.addresses().read_model);
    let http = world.client.http().clone();
    let (sender, opened) = tokio::sync::oneshot::channel();
    let reader = tokio::spawn(async move {
        let probe = http.get(&url).send().await?.error_for_status()?;
        sender.send(()).ok();
        drop(probe);
        let done = |events: &[SseEvent]| {
            outcomes(events)
                .values()
                .filter(|outcome| *outcome != "PENDING")
                .count()
                >= 20
        };
        read_until(&http, &url, None, LIMIT, done).await
    });
    opened.await?;
    let mut placed = BTreeSet::new();
    while !reader.is_finished() {
        for _ in 0..5 {
            placed.insert(world.place_with_fate("feed", &[Fate::Ships]).await?);
        }
        ensure!(placed.len() < 2_000, "the feed does not show outcomes");
    }
    let seen = outcomes(&reader.await??);
    let ours = seen.keys().filter(|id| placed.contains(*id)).count();
    ensure!(
        ours >= 10,
        "only {ours} of the feed's orders are ours: {seen:?}"
    );
    Ok(())
}

fn outcomes(events: &[SseEvent]) -> BTreeMap<String, String> {
    let states = events.iter().flat_map(|event| match &event.data {
        Value::Array(states) => states.clone(),
        state => vec![state.clone()],
    });
    let text = |state: &Value, name: &str| state[name].as_str().unwrap_or_default().to_owned();
    states
        .map(|state| (text(&state, "orderId"), text(&state, "outcome")))
        .collect()
}
