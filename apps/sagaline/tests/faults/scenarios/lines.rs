//! Lines between a service and what it depends on, which are cut or let nothing through.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sagaline_testkit::client::Client;
use sagaline_testkit::stack::{Dependency, SERVICES};
use tokio::time::Instant;

use crate::drill::{Fault, drill};
use crate::world::World;

/// Longer than the session timeout, and than a publish or an operation of the store may take.
const LONG: Duration = Duration::from_secs(12);
const NOTICED_LIMIT: Duration = Duration::from_secs(20);

/// How a line fails.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// Connections are closed, and refused.
    Cut,
    /// Connections stay, and nothing comes through.
    Stalled,
}

pub async fn two_lines_fail_at_the_same_time(world: &mut World) -> Result<()> {
    let what = "connection of the payment-service to Kafka cut, that of the inventory-service to the database stalled";
    let client = world.client.clone();
    drill(world, what, async |stack, _| {
        stack.line("payment-service", Dependency::Kafka)?.cut();
        stack.line("inventory-service", Dependency::Store)?.stall();
        let began = Instant::now();
        let noticed = tokio::try_join!(
            says_that_it_cannot_work(&client, "payment-service"),
            says_that_it_cannot_work(&client, "inventory-service")
        );
        stack.line("payment-service", Dependency::Kafka)?.heal();
        stack.line("inventory-service", Dependency::Store)?.heal();
        let fault = Fault::since(began);
        noticed.map(|_| fault)
    })
    .await
}

pub async fn every_line_to_kafka_is_cut(world: &mut World) -> Result<()> {
    each(world, Dependency::Kafka, Failure::Cut).await
}

pub async fn every_line_to_kafka_is_stalled(world: &mut World) -> Result<()> {
    each(world, Dependency::Kafka, Failure::Stalled).await
}

pub async fn every_line_to_the_store_is_cut(world: &mut World) -> Result<()> {
    each(world, Dependency::Store, Failure::Cut).await
}

pub async fn every_line_to_the_store_is_stalled(world: &mut World) -> Result<()> {
    each(world, Dependency::Store, Failure::Stalled).await
}

async fn each(world: &mut World, to: Dependency, failure: Failure) -> Result<()> {
    for service in SERVICES {
        lose(world, service, to, failure, LONG).await?;
    }
    Ok(())
}

/// The line fails until the service says so itself, and at least for some time.
async fn lose(
    world: &mut World,
    service: &'static str,
    to: Dependency,
    failure: Failure,
    at_least: Duration,
) -> Result<()> {
    let dependency = match to {
        Dependency::Kafka => "Kafka",
        Dependency::Store => "the database",
    };
    let what = match failure {
        Failure::Cut => format!("connection of the {service} to {dependency} cut"),
        Failure::Stalled => {
            format!("connection of the {service} to {dependency} stalled: nothing arrives")
        }
    };
    let client = world.client.clone();
    let drilled = drill(world, &what, async |stack, _| {
        let line = stack.line(service, to)?;
        match failure {
            Failure::Cut => line.cut(),
            Failure::Stalled => line.stall(),
        }
        let began = Instant::now();
        let (noticed, ()) = tokio::join!(
            says_that_it_cannot_work(&client, service),
            tokio::time::sleep(at_least)
        );
        line.heal();
        let fault = Fault::since(began);
        noticed.map(|()| fault)
    });
    drilled.await.with_context(|| format!("after {what}"))
}

/// Waits until `/healthz` says 503; what does not answer at all does not say so.
pub async fn says_that_it_cannot_work(client: &Client, service: &str) -> Result<()> {
    let url = format!("{}/healthz", client.addresses().base(service));
    let give_up = Instant::now() + NOTICED_LIMIT;
    loop {
        match client.send(reqwest::Method::GET, &url, None).await {
            Ok((status, _)) if status == 503 => return Ok(()),
            answer if Instant::now() > give_up => {
                bail!("{service} does not say that it cannot work: {answer:?}")
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
