//! Kafka on several brokers, of which some fail while orders flow: others lead their partitions from then on.

use std::time::Duration;

use anyhow::{Context, Result};
use sagaline_testkit::ApacheKafka;
use sagaline_testkit::stack::Stack;
use tokio::time::Instant;

use crate::drill::{Fault, drill};
use crate::world::{BROKERS, World};

const ANSWERS_LIMIT: Duration = Duration::from_mins(1);
/// So many orders are answered while brokers are away.
const ORDERED_MEANWHILE: usize = 100;

/// The one with this number, from 1.
fn broker(stack: &mut Stack, number: usize) -> Result<&mut ApacheKafka> {
    let broker = stack.brokers().get_mut(number - 1);
    broker.with_context(|| format!("there is no broker {number}"))
}

pub async fn each_broker_of_three_is_killed(world: &mut World) -> Result<()> {
    for number in 1..=BROKERS {
        let what = format!(
            "kill -9 of Kafka's broker {number} of {BROKERS}, {ORDERED_MEANWHILE} orders later started again"
        );
        drill(world, &what, async |stack, load| {
            let began = Instant::now();
            broker(stack, number)?.kill_9()?;
            load.so_many_more(ORDERED_MEANWHILE, ANSWERS_LIMIT).await?;
            broker(stack, number)?.restart().await?;
            Ok(Fault::since(began))
        })
        .await
        .with_context(|| format!("after {what}"))?;
    }
    Ok(())
}

/// The one that is left may acknowledge nothing: an outage, in which nothing that was acknowledged is forgotten.
pub async fn two_brokers_of_three_are_killed(world: &mut World) -> Result<()> {
    let what = format!("kill -9 of two of Kafka's {BROKERS} brokers, started again at once");
    drill(world, &what, async |stack, _| {
        let began = Instant::now();
        for number in [1, 2] {
            broker(stack, number)?.kill_9()?;
        }
        for number in [2, 1] {
            broker(stack, number)?.restart().await?;
        }
        Ok(Fault::since(began))
    })
    .await
}

/// It does not know that others lead its partitions when it goes on.
pub async fn each_broker_of_three_is_frozen(world: &mut World) -> Result<()> {
    for number in 1..=BROKERS {
        let what = format!(
            "SIGSTOP of Kafka's broker {number} of {BROKERS}, {ORDERED_MEANWHILE} orders later SIGCONT"
        );
        drill(world, &what, async |stack, load| {
            let began = Instant::now();
            broker(stack, number)?.sigstop()?;
            load.so_many_more(ORDERED_MEANWHILE, ANSWERS_LIMIT).await?;
            broker(stack, number)?.sigcont()?;
            Ok(Fault::since(began))
        })
        .await
        .with_context(|| format!("after {what}"))?;
    }
    Ok(())
}
