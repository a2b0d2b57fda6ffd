//! Processes that are frozen for longer than their session in the consumer group lasts, and go on as if nothing had been.

use std::time::Duration;

use anyhow::{Context, Result};
use sagaline_testkit::lag;
use sagaline_testkit::stack::{Dependency, SERVICES};
use tokio::time::Instant;

use crate::drill::{Fault, drill};
use crate::world::World;

/// Longer than the session timeout of ten seconds.
const FROZEN: Duration = Duration::from_secs(12);
const CAUGHT_LIMIT: Duration = Duration::from_secs(20);
const TAKEN_OVER_LIMIT: Duration = Duration::from_secs(60);
/// What a command that saves documents has in it, and no other.
const SAVE: &[u8] = b"\x02update\0";

pub async fn each_service_is_frozen_beyond_its_session(world: &mut World) -> Result<()> {
    for name in SERVICES {
        let what = format!("SIGSTOP of the {name} for longer than its session, SIGCONT");
        drill(world, &what, async |stack, _| {
            stack.freeze(name)?;
            let began = Instant::now();
            tokio::time::sleep(FROZEN).await;
            stack.thaw(name)?;
            Ok(Fault::since(began))
        })
        .await
        .with_context(|| format!("after {what}"))?;
    }
    Ok(())
}

pub async fn a_zombie_of_the_payment_service_saves_late(world: &mut World) -> Result<()> {
    zombie(world, "payment-service").await
}

pub async fn a_zombie_of_every_other_service_saves_late(world: &mut World) -> Result<()> {
    for name in SERVICES
        .into_iter()
        .filter(|name| *name != "payment-service")
    {
        zombie(world, name).await?;
    }
    Ok(())
}

/// The service is frozen while a save of its is on its way. Another instance takes over its partitions, and handles the same
/// events. Then the save arrives after all, and the frozen one goes on in the belief that it still owns them.
async fn zombie(world: &mut World, name: &'static str) -> Result<()> {
    let what = format!(
        "SIGSTOP of the {name} while it saves, until another instance has taken over; its save arrives late; SIGCONT"
    );
    world.stack.add_instance(name).await?;
    let kafka = world.kafka().to_owned();
    let drilled = drill(world, &what, async |stack, _| {
        let line = stack.line(name, Dependency::Store)?;
        line.stall_at(SAVE);
        line.holds_something(CAUGHT_LIMIT).await?;
        stack.freeze(name)?;
        let began = Instant::now();
        let waiting = lag::ends(&kafka).await?;
        lag::worked_off(&kafka, &[name], &waiting, TAKEN_OVER_LIMIT)
            .await
            .context("nobody took over")?;
        stack.line(name, Dependency::Store)?.heal();
        stack.thaw(name)?;
        Ok(Fault::since(began))
    });
    drilled.await.with_context(|| format!("after {what}"))?;
    world.stack.stop_instances().await
}
