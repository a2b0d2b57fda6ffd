//! An operator who does not let go of an order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use order_service::domain::Phase;
use sagaline_store::Store;
use serde::Deserialize;
use tokio::time::Instant;

use crate::operators::{command, known};
use crate::plan::{Asking, Command};
use crate::world::World;

/// How often the operator looks.
const LOOK: Duration = Duration::from_millis(10);
/// Attempts after which it is enough.
const ATTEMPTS_MAX: u32 = 5;

/// What is read of an order.
#[derive(Deserialize)]
struct Record {
    state: State,
}

#[derive(Deserialize)]
struct State {
    phase: Phase,
    #[serde(default)]
    attempt: u32,
}

/// Retries an order as soon as it is cancelled, at both services that take it; with `undo`, asks for it to be undone as soon as the
/// retry was taken.
pub(crate) async fn insist(
    world: Arc<World>,
    number: u32,
    limit: Duration,
    undo: bool,
    at_ms: u64,
) -> Result<()> {
    let until = Instant::now() + limit;
    let Some(order) = known(&world, number).await else {
        return Ok(());
    };
    let mut retried = 0;
    while Instant::now() < until && retried < ATTEMPTS_MAX {
        let state = state_of(&world, &order).await?;
        let cancelled = state.filter(|state| state.phase == Phase::Cancelled);
        if let Some(state) = cancelled.filter(|state| state.attempt > retried) {
            retried = state.attempt;
            let click = |which| 1_000_000 + at_ms * 100 + u64::from(retried) * 10 + which;
            // Two operators, of whom one is slow: his view of the order may be old.
            let late = async {
                let slow = Duration::from_millis(world.env.client_dice.up_to(250));
                tokio::time::sleep(slow).await;
                command(
                    Arc::clone(&world),
                    asking(number, Command::Retry, true),
                    click(1),
                )
                .await
            };
            let asked = asking(number, Command::Retry, false);
            let now = command(Arc::clone(&world), asked, click(0));
            let undoing = async {
                if undo && has_begun(&world, &order, retried + 1, until).await? {
                    let at_read_model = world.env.client_dice.chance(300);
                    let asked = asking(number, Command::Release, at_read_model);
                    command(Arc::clone(&world), asked, click(2)).await?;
                }
                anyhow::Ok(())
            };
            tokio::try_join!(now, late, undoing)?;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Waits until an attempt has begun; whether it has.
async fn has_begun(world: &World, order: &str, attempt: u32, until: Instant) -> Result<bool> {
    while Instant::now() < until {
        let state = state_of(world, order).await?;
        if state.is_some_and(|state| state.attempt >= attempt) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK / 5).await;
    }
    Ok(false)
}

const fn asking(order: u32, command: Command, at_read_model: bool) -> Asking {
    Asking {
        order,
        command,
        at_read_model,
        clicks: 1,
    }
}

async fn state_of(world: &World, order: &str) -> Result<Option<State>> {
    let stored = world
        .shelf
        .load(order_service::domain::COLLECTION, &[order])
        .await?;
    let stored = stored.into_iter().flatten().next();
    Ok(stored.and_then(|stored| Some(serde_json::from_slice::<Record>(&stored.body).ok()?.state)))
}
