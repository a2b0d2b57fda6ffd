//! What is kept of a rebuild while it is under way, so that one that is cut off is finished, and of the last one that ended, so that
//! other instances notice it.

use sagaline_contracts::{EventId, EventType, Timestamp};
use sagaline_runtime::Outage;
use sagaline_saga::{derived_event_id, message_id};
use sagaline_store::{Index, SaveResult, Store, StoreError, Write};
use serde::{Deserialize, Serialize};

use super::RebuildOptions;
use crate::collections::{REBUILDING, REBUILT};
use crate::projection::{Asked, Audit, PROJECTOR};

const ID: &str = "rebuild";
const ROUNDS_MAX: usize = 20;

/// Who asked for a rebuild, when, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    /// When it was asked for.
    pub(crate) began: Timestamp,
    #[serde(default)]
    pub(crate) requested_by: String,
    #[serde(default)]
    pub(crate) accept_loss: bool,
}

impl Request {
    pub(crate) fn new(options: &RebuildOptions, began: Timestamp) -> Self {
        Self {
            began,
            requested_by: options.requested_by.clone(),
            accept_loss: options.accept_loss,
        }
    }

    /// It, as the audit has it.
    pub(crate) fn audit(&self) -> Audit {
        Audit::of_asked(Asked {
            id: self.id(),
            command: "rebuild",
            dead_letter_id: None,
            order_id: None,
            requested_by: &self.requested_by,
            note: self.accept_loss.then_some("acceptLoss"),
            at: self.began,
        })
    }

    /// Follows from when it was asked for and by whom.
    fn id(&self) -> EventId {
        let cause = message_id(&self.requested_by, 0, self.began.micros());
        derived_event_id(&cause, PROJECTOR, EventType::CommandRejected, 0)
    }
}

/// Whether a rebuild has begun and not ended: what is projected is not complete, and a rebuild has to be started again.
pub async fn is_rebuild_unfinished(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.count(REBUILDING).await? > 0)
}

/// The rebuild that has begun and not ended.
pub(crate) async fn unfinished(store: &dyn Store) -> Result<Option<Request>, StoreError> {
    let stored = store.load(REBUILDING, &[ID]).await?;
    let stored = stored.into_iter().flatten().next();
    Ok(stored.and_then(|stored| serde_json::from_slice(&stored.body).ok()))
}

/// Changes with every rebuild that ends.
pub(crate) async fn last_rebuilt(store: &dyn Store) -> Result<u64, StoreError> {
    let stored = store.load(REBUILT, &[ID]).await?;
    Ok(stored
        .into_iter()
        .flatten()
        .next()
        .map_or(0, |stored| stored.version))
}

pub(super) async fn begin(store: &dyn Store, request: &Request) -> Result<(), Outage> {
    put(store, REBUILDING, request).await
}

pub(super) async fn end(store: &dyn Store, request: &Request) -> Result<(), Outage> {
    put(store, REBUILT, request).await?;
    Ok(store.clear(REBUILDING).await?)
}

/// Replaces what is there.
async fn put(store: &dyn Store, collection: &str, request: &Request) -> Result<(), Outage> {
    let body = serde_json::to_vec(request).map_err(|error| Outage::new("store", error))?;
    for _ in 0..ROUNDS_MAX {
        let stored = store.load(collection, &[ID]).await?;
        let stored = stored.into_iter().flatten().next();
        let write = Write {
            id: ID.to_owned(),
            expected: stored.map_or(0, |stored| stored.version),
            body: body.clone().into(),
            index: Index::default(),
        };
        if store.save(collection, vec![write]).await? == [SaveResult::Saved] {
            return Ok(());
        }
    }
    Err(Outage::new(
        "store",
        format!("{collection} is saved by others all the time"),
    ))
}
