//! The course of every drill: orders flow, something breaks, it is whole again, everything must come right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sagaline_testkit::client::Client;
use sagaline_testkit::invariants::{Broken, TOPICS, operated, verdict};
use sagaline_testkit::lag::{self, Ends};
use sagaline_testkit::load::{Answered, Load, MakeOrder};
use sagaline_testkit::operators::{Operators, seed_of};
use sagaline_testkit::stack::{SERVICES, Stack};
use sagaline_testkit::topics::read_all;
use serde_json::json;
use tokio::time::Instant;

use crate::fate::{Fate, order_id};
use crate::report::Row;
use crate::world::{OPERATOR, World};

/// Orders per second: enough to have some in flight at every moment, few enough for a machine that does other things as well.
pub const LOAD: u32 = 20;
/// Orders that must have come to an outcome before something breaks: the pipeline flows.
const FLOWING: usize = 20;
const FLOW_LIMIT: Duration = Duration::from_mins(1);
/// Nothing may take longer than this to come right.
const RECOVERY_LIMIT: Duration = Duration::from_mins(2);
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
/// Operators wait for what orders do, and for what waits behind dead letters.
const OPERATORS_LIMIT: Duration = Duration::from_mins(3);

/// When a fault began, and when it ended.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub began: Instant,
    pub ended: Instant,
}

impl Fault {
    /// One that ends now.
    pub fn since(began: Instant) -> Self {
        Self {
            began,
            ended: Instant::now(),
        }
    }
}

/// Runs a drill: `fault` breaks something and makes it whole again.
pub async fn drill(
    world: &mut World,
    what: &str,
    fault: impl AsyncFnOnce(&mut Stack, &Load) -> Result<Fault>,
) -> Result<()> {
    let operators = Operators::start(&world.operator, seed_of(what));
    let ear = operators.ear().context("operators that do not listen")?;
    let load = Load::start_and_tell(&world.client, LOAD, orders(), ear);
    world.outcomes.so_many_more(FLOWING, FLOW_LIMIT).await?;
    let fault = fault(&mut world.stack, &load).await?;
    let recovered = match recovered(world, &load, fault).await {
        Ok(recovered) => recovered,
        Err(error) => {
            let lag = lag::summary(world.kafka(), &SERVICES).await;
            let repeated = repetitions(world).await;
            return Err(error.context(format!("it does not come right; {lag}; {repeated}")));
        }
    };
    let answered = load.stop(ANSWER_LIMIT).await?;
    let acts = operators.stop(OPERATORS_LIMIT).await?;
    let actions = acts.count();
    let note = format!(
        "operators asked again {} times",
        acts.asked_again + acts.refused
    );
    world.has_operated(acts);
    drained(world, &answered).await?;
    healthy(&world.client).await?;
    let row = Row {
        what: what.to_owned(),
        per_second: Some(LOAD),
        orders: 0,
        actions: Some(actions),
        timed_out: 0,
        lasted: Some(fault.ended.duration_since(fault.began)),
        recovered: Some(recovered),
        lost: 0,
        doubled: 0,
        note,
    };
    check(world, answered.orders, row).await
}

/// Orders of all fates.
fn orders() -> MakeOrder {
    Arc::new(|number| {
        let fates = [Fate::Ships, Fate::Declined, Fate::Ships, Fate::Refused];
        let at = usize::try_from(number).unwrap_or_default();
        let fate = fates.get(at % fates.len()).copied().unwrap_or(Fate::Ships);
        let id = order_id("fault", &[fate]);
        let line =
            |sku: u64, qty: u64| json!({ "sku": format!("SKU-{sku}"), "qty": qty, "price": 10 });
        // One SKU is in every third order; the others are spread.
        let items = if number.is_multiple_of(3) {
            vec![line(1, 1), line(2 + number % 10, 2)]
        } else {
            vec![line(2 + number % 30, 1)]
        };
        let total = if items.len() == 2 { 30 } else { 10 };
        json!({ "orderId": id, "items": items, "total": total })
    })
}

/// Waits until every order that was answered before the fault ended has its outcome, and what waited in Kafka then is worked
/// off by every service; how long that took.
async fn recovered(world: &World, load: &Load, fault: Fault) -> Result<Duration> {
    let backlog = load.answered().orders;
    let ends = ends(world).await?;
    let last = world.outcomes.all(&backlog, RECOVERY_LIMIT).await?;
    let worked_off = lag::worked_off(world.kafka(), &SERVICES, &ends, RECOVERY_LIMIT).await?;
    let came_right = last.map_or(worked_off, |last| last.max(worked_off));
    Ok(came_right.saturating_duration_since(fault.ended))
}

/// For those who look for a cause: how many messages each topic has, and of how many events.
async fn repetitions(world: &World) -> String {
    let topics = TOPICS.iter().map(|topic| (*topic).to_owned()).collect();
    let Ok(messages) = read_all(world.kafka(), topics).await else {
        return "the topics cannot be read".to_owned();
    };
    let mut events: BTreeMap<&str, (usize, BTreeSet<String>)> = BTreeMap::new();
    for message in &messages {
        let (count, ids) = events.entry(&message.topic).or_default();
        *count += 1;
        ids.insert(message.json()["eventId"].to_string());
    }
    let said = events
        .iter()
        .map(|(topic, (count, ids))| format!("{topic}: {count} messages of {} events", ids.len()));
    said.collect::<Vec<_>>().join(", ")
}

async fn drained(world: &World, answered: &Answered) -> Result<()> {
    world.outcomes.all(&answered.orders, RECOVERY_LIMIT).await?;
    let ends = ends(world).await?;
    lag::worked_off(world.kafka(), &SERVICES, &ends, RECOVERY_LIMIT).await?;
    Ok(())
}

/// Where the topics end; a broker that comes back takes a moment.
async fn ends(world: &World) -> Result<Ends> {
    let give_up = Instant::now() + RECOVERY_LIMIT;
    loop {
        match lag::ends(world.kafka()).await {
            Err(error) if Instant::now() > give_up => {
                return Err(error.context("the broker does not come back"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            Ok(ends) => return Ok(ends),
        }
    }
}

/// Every service says that it can work.
pub async fn healthy(client: &Client) -> Result<()> {
    for service in SERVICES {
        let url = format!("{}/healthz", client.addresses().base(service));
        let give_up = Instant::now() + FLOW_LIMIT;
        loop {
            let asked = client.send(reqwest::Method::GET, &url, None).await;
            match asked {
                Ok((status, _)) if status.is_success() => break,
                answer => ensure!(
                    Instant::now() < give_up,
                    "{service} does not say that it can work again: {answer:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Checks every invariant over these orders, and completes the row with what was found.
pub async fn check(world: &mut World, orders: Vec<String>, row: Row) -> Result<()> {
    world.known.accepted.extend(orders.iter().cloned());
    let found = verdict(&world.client, &world.known, &orders)
        .await
        .context("the invariants could not be checked")?;
    // An outage is no reason for a dead letter: only poison is one.
    let operated = operated(&world.operator, OPERATOR, &world.acts)
        .await
        .context("what operators did could not be checked")?;
    let count = |kind| found.violations.count(kind) + operated.violations.count(kind);
    let waited = operated.waited - std::mem::replace(&mut world.waited, operated.waited);
    let mut note = row.note;
    if waited > 0 {
        write!(note, "; behind poison waited: {waited}")?;
    }
    let row = Row {
        orders: orders.len(),
        note,
        timed_out: found.timed_out,
        lost: count(Broken::Lost),
        doubled: count(Broken::Doubled),
        ..row
    };
    let mut wrong = found.violations.into_texts();
    wrong.extend(operated.violations.into_texts());
    world.report(row, &wrong)
}
