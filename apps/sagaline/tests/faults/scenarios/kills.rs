//! Processes that are killed with signal 9 in mid-flight.

use std::time::Duration;

use anyhow::{Context, Result};
use sagaline_testkit::stack::SERVICES;
use tokio::time::Instant;

use crate::drill::{Fault, drill};
use crate::world::World;

const ANSWERS_LIMIT: Duration = Duration::from_secs(30);

pub async fn each_service_is_killed(world: &mut World) -> Result<()> {
    for name in SERVICES {
        let what = format!("kill -9 of the {name}, started again at once");
        drill(world, &what, async |stack, _| {
            stack.kill_9(name)?;
            let began = Instant::now();
            stack.launch_again(name)?;
            Ok(Fault::since(began))
        })
        .await
        .with_context(|| format!("after {what}"))?;
    }
    Ok(())
}

/// The same in one go, without waiting for each to come right.
pub async fn the_services_are_killed_one_after_the_other(world: &mut World) -> Result<()> {
    let what = "kill -9 of each service, one after the other, each started again at once";
    drill(world, what, async |stack, load| {
        let began = Instant::now();
        for name in SERVICES {
            stack.kill_9(name)?;
            stack.restart(name).await?;
            load.so_many_more(10, ANSWERS_LIMIT).await?;
        }
        Ok(Fault::since(began))
    })
    .await
}

pub async fn the_broker_is_killed(world: &mut World) -> Result<()> {
    let what = "kill -9 of Kafka, started again at once";
    drill(world, what, async |stack, _| {
        let began = Instant::now();
        let kafka = stack.kafka().context("no Kafka")?;
        kafka.kill_9()?;
        kafka.restart().await?;
        Ok(Fault::since(began))
    })
    .await
}

pub async fn the_store_is_killed(world: &mut World) -> Result<()> {
    let what = "kill -9 of the database, started again at once";
    drill(world, what, async |stack, _| {
        let began = Instant::now();
        let mongo = stack.mongo().context("no store")?;
        mongo.kill_9()?;
        mongo.restart().await?;
        Ok(Fault::since(began))
    })
    .await
}

pub async fn everything_is_killed_at_once(world: &mut World) -> Result<()> {
    let what = "kill -9 of all five services, Kafka and the database at once, all started again";
    drill(world, what, async |stack, _| {
        let began = Instant::now();
        for name in SERVICES {
            stack.kill_9(name)?;
        }
        stack.kafka().context("no Kafka")?.kill_9()?;
        stack.mongo().context("no store")?.kill_9()?;
        // Services wait for what they depend on, whoever is up first.
        for name in SERVICES {
            stack.launch_again(name)?;
        }
        stack.mongo().context("no store")?.restart().await?;
        stack.kafka().context("no Kafka")?.restart().await?;
        Ok(Fault::since(began))
    })
    .await
}

pub async fn the_payment_service_is_stopped_for_a_while(world: &mut World) -> Result<()> {
    let what = "the payment-service stopped (SIGTERM), ordering went on, started again";
    drill(world, what, async |stack, load| {
        stack.terminate("payment-service").await?;
        let began = Instant::now();
        load.so_many_more(100, ANSWERS_LIMIT).await?;
        stack.launch_again("payment-service")?;
        Ok(Fault::since(began))
    })
    .await
}
