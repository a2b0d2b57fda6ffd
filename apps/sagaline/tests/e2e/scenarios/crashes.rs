//! Processes that come and go while orders are in flight.

use anyhow::{Context, Result};
use sagaline_testkit::client::order;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fate::{Fate, order_id};
use crate::world::World;

/// Places orders one after the other until it is told to stop; gives those that were accepted. An order that gets no answer
/// is asked for again, as a careful client does.
fn keep_ordering(world: &World) -> (CancellationToken, JoinHandle<Vec<String>>) {
    let stop = CancellationToken::new();
    let (client, stopped) = (world.client.clone(), stop.clone());
    let ordering = tokio::spawn(async move {
        let mut accepted = Vec::new();
        // The load: every order is checked from the outside afterwards, so not more than needed.
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(25));
        while !stopped.is_cancelled() {
            pace.tick().await;
            let id = order_id(
                "crash",
                &[[Fate::Ships, Fate::Declined, Fate::Refused][accepted.len() % 3]],
            );
            let body = order(&id, "SKU-5", 1);
            while !stopped.is_cancelled() {
                if client
                    .place(&body)
                    .await
                    .is_ok_and(|(status, _)| status.is_success())
                {
                    accepted.push(id);
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        accepted
    });
    (stop, ordering)
}

async fn flow(world: &World) -> Result<()> {
    for _ in 0..20 {
        // Orders of our own, to know that others are in flight.
        let id = order_id("pace", &[Fate::Ships]);
        if world.client.place(&order(&id, "SKU-6", 1)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

pub async fn each_process_is_restarted_in_mid_flight(world: &mut World) -> Result<()> {
    let (stop, ordering) = keep_ordering(world);
    for name in world.stack.process_names() {
        flow(world).await?;
        world
            .stack
            .terminate(name)
            .await
            .with_context(|| format!("stopping {name}"))?;
        world
            .stack
            .restart(name)
            .await
            .with_context(|| format!("starting {name} again"))?;
    }
    stop.cancel();
    world.known.accepted.extend(ordering.await?);
    Ok(())
}

pub async fn each_process_is_killed_in_mid_flight(world: &mut World) -> Result<()> {
    let (stop, ordering) = keep_ordering(world);
    for name in world.stack.process_names() {
        flow(world).await?;
        world
            .stack
            .kill_9(name)
            .with_context(|| format!("killing {name}"))?;
        world
            .stack
            .restart(name)
            .await
            .with_context(|| format!("starting {name} again"))?;
    }
    stop.cancel();
    world.known.accepted.extend(ordering.await?);
    Ok(())
}
