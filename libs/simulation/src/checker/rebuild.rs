//! Invariant 6: a rebuilt read model is equal, byte by byte.

use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use crate::operators::rebuild;
use crate::version::known_today;
use crate::world::World;

/// How much of a line is told.
const SHOWN: usize = 1_500;

/// Makes the read model of a world at rest anew, and compares.
pub(crate) async fn compare(world: &Arc<World>) -> Result<()> {
    let before = without_rebuilds(&export(world).await?);
    rebuild(Arc::clone(world)).await?;
    if read_model_service::is_rebuild_unfinished(&*world.shelf).await? {
        world
            .env
            .broken("rebuild: it did not end although everything is at rest".to_owned());
        return Ok(());
    }
    let after = without_rebuilds(&export(world).await?);
    if before != after {
        let gone = before.lines().find(|line| !after.contains(*line));
        let new = after.lines().find(|line| !before.contains(*line));
        let shown = |line: Option<&str>| -> String {
            line.unwrap_or("nothing").chars().take(SHOWN).collect()
        };
        world.env.broken(format!(
            "rebuild: what was shown as {} is shown as {}",
            shown(gone),
            shown(new)
        ));
    }
    Ok(())
}

/// Without the audit's records of rebuilds: the one that was just made is new, and how an earlier one ended may be kept and not shown
/// yet, when the instance that made it is gone for good (see "Known limits").
fn without_rebuilds(exported: &str) -> String {
    let kept = exported.lines().filter(|line| !is_rebuild(line));
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn is_rebuild(line: &str) -> bool {
    serde_json::from_str::<Value>(line)
        .is_ok_and(|line| line["collection"] == "audit" && line["document"]["command"] == "rebuild")
}

async fn export(world: &World) -> Result<String> {
    let mut bytes = Vec::new();
    read_model_service::export(&*world.shelf, &mut bytes).await?;
    Ok(known_today(&String::from_utf8(bytes)?))
}
