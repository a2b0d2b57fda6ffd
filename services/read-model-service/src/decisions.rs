//! What operators did that no event tells of.
//!
//! No service waits for a dead letter that belongs to no order, so no event tells what was decided about it; nor does one tell of a
//! rebuild, or of a decision that was refused. All of it is kept here, in collections of its own that a rebuild leaves alone
//! and merges in again.
//!
//! What is kept is due until it is shown, like an event in an outbox: whoever kept it may end before it shows it, and a save that was
//! given up may arrive late. Every instance looks for it from time to time.

use sagaline_runtime::Outage;
use sagaline_store::{Index, Store, Stored, Write};

use crate::collections::{KEPT_ACTIONS, ORPHAN_DISCARDS};
use crate::projection::{Audit, Kept, OrphanDiscard, PostMortem};
use crate::projector::merge_all;

const PAGE: usize = 500;

/// Keeps a decision, and shows it. Done again after a crash, it finishes what was begun. A letter that dies at one more service after
/// it was decided is decided once more: that is another decision, and both are kept.
pub(crate) async fn keep(store: &dyn Store, discard: OrphanDiscard) -> Result<(), Outage> {
    let body = serde_json::to_vec(&discard).map_err(|error| Outage::new("store", error))?;
    let write = Write {
        id: if sagaline_saga::planted!("one decision per letter") {
            discard.dead_letter_id.clone()
        } else {
            discard.command_id.to_string()
        },
        expected: 0,
        body: body.into(),
        index: Index {
            due: Some(discard.at.micros()),
            ..shown()
        },
    };
    store.save(ORPHAN_DISCARDS, vec![write]).await?;
    let stored = store
        .load(ORPHAN_DISCARDS, &[discard.command_id.as_str()])
        .await?;
    let first = stored.into_iter().flatten().next();
    let first = first.and_then(|stored| serde_json::from_slice(&stored.body).ok());
    show(store, vec![first.unwrap_or(discard)]).await
}

/// Keeps what was asked of the read model itself, and shows it in the audit.
pub(crate) async fn record(store: &dyn Store, audit: Audit) -> Result<(), Outage> {
    merge_all(store, vec![Kept(audit.clone())]).await?;
    merge_all(store, vec![audit]).await
}

/// Shows everything that was kept: after a rebuild.
pub(crate) async fn show_all(store: &dyn Store) -> Result<(), Outage> {
    for collection in [KEPT_ACTIONS, ORPHAN_DISCARDS] {
        let mut after: Option<String> = None;
        loop {
            let page = store.scan(collection, after.as_deref(), PAGE).await?;
            show_page(store, collection, &page).await?;
            if page.len() < PAGE {
                break;
            }
            after = page.last().map(|stored| stored.id.clone());
        }
    }
    Ok(())
}

/// Shows what was kept and may not have been shown.
pub(crate) async fn show_unshown(store: &dyn Store) -> Result<(), Outage> {
    for collection in [KEPT_ACTIONS, ORPHAN_DISCARDS] {
        loop {
            let page = store.due(collection, i64::MAX, PAGE).await?;
            show_page(store, collection, &page).await?;
            // One that somebody has saved meanwhile stays due, and is looked at again the next time.
            let writes = page.iter().map(|kept| Write {
                id: kept.id.clone(),
                expected: kept.version,
                body: kept.body.clone(),
                index: shown(),
            });
            if !page.is_empty() {
                store.save(collection, writes.collect()).await?;
            }
            if page.len() < PAGE {
                break;
            }
        }
    }
    Ok(())
}

/// How that is found which needs nothing any more: by its id alone.
fn shown() -> Index {
    Index {
        settled: true,
        ..Index::default()
    }
}

async fn show_page(store: &dyn Store, collection: &str, page: &[Stored]) -> Result<(), Outage> {
    if collection == KEPT_ACTIONS {
        let parsed = page.iter().filter_map(|kept| Audit::parse(&kept.body).ok());
        return merge_all(store, parsed.collect()).await;
    }
    let parsed = page
        .iter()
        .filter_map(|kept| serde_json::from_slice(&kept.body).ok());
    show(store, parsed.collect()).await
}

async fn show(store: &dyn Store, discards: Vec<OrphanDiscard>) -> Result<(), Outage> {
    // The audit first: a letter that is shown as decided is not decided again, so nobody would come back to it.
    merge_all(store, discards.iter().map(Audit::of_discard).collect()).await?;
    let letters = discards.iter().map(PostMortem::discarded).collect();
    merge_all(store, letters).await
}
