//! Invariant 6: a rebuilt read model is equal, byte by byte.

use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use crate::operators::rebuild_with;
use crate::version::known_today;
use crate::world::World;

/// How much of a line is told.
const SHOWN: usize = 1_500;

/// Makes the read model of a world at rest anew, and compares.
pub(crate) async fn compare(world: &Arc<World>) -> Result<()> {
    let before = export(world).await?;
    rebuild_with(world, &world.checker_s_token).await?;
    if read_model_service::is_rebuild_unfinished(&*world.shelf).await? {
        world
            .env
            .broken("rebuild: it did not end although everything is at rest".to_owned());
        return Ok(());
    }
    let after = without_the_last(&export(world).await?, &before);
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

/// Without the audit's record of the rebuild that was just made: the one that was not there before.
fn without_the_last(after: &str, before: &str) -> String {
    let is_its = |line: &&str| {
        serde_json::from_str::<Value>(line).is_ok_and(|line| {
            let document = &line["document"];
            let id = document["commandId"].as_str();
            line["collection"] == "audit"
                && document["command"] == "rebuild"
                && id.is_some_and(|id| !before.contains(id))
        })
    };
    let kept = after.lines().filter(|line| !is_its(line));
    kept.flat_map(|line| [line, "\n"]).collect()
}

async fn export(world: &World) -> Result<String> {
    let mut bytes = Vec::new();
    read_model_service::export(&*world.shelf, &mut bytes).await?;
    Ok(known_today(&String::from_utf8(bytes)?))
}
