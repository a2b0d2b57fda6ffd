//! What is kept of a rebuild while it is under way, so that one that is cut off is finished, and of the last one that ended, so that
//! other instances notice it.
//!
//! There is one mark, and the newest rebuild has it: nobody can tell whether the process of an older one is dead or only stands still.
//! The version of the mark is a fencing token. Who does not have it any more empties and removes nothing, and does not
//! take it away: a rebuild that began later may rely on what the older one would undo, and is not finished yet. The mark of one that
//! has ended is emptied, not removed, so that no version comes twice.

use std::iter;

use bytes::Bytes;
use sagaline_contracts::{EventId, EventType, Timestamp};
use sagaline_runtime::Outage;
use sagaline_saga::{derived_event_id, message_id};
use sagaline_store::{Index, SaveResult, Store, StoreError, Stored, Write};
use serde::{Deserialize, Serialize};

use super::RebuildOptions;
use crate::collections::{BLANK, REBUILDING, REBUILT, is_blank};
use crate::projection::{Asked, Audit, PROJECTOR};

const ID: &str = "rebuild";
const ROUNDS_MAX: usize = 20;
/// So many rebuilds that were cut off are remembered, to be answered: more in a row are not the same trouble any more.
const CUT_OFF_MAX: usize = 20;

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

/// What a store has of the rebuild that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    #[serde(flatten)]
    request: Request,
    /// Those that it does the work of, too: they were cut off, or have to give way.
    #[serde(default)]
    cut_off: Vec<Request>,
}

impl Mark {
    fn is_of(&self, request: &Request) -> bool {
        self.request == *request || self.cut_off.contains(request)
    }

    /// The mark of a rebuild that takes over from this one.
    fn succeeded_by(self, request: &Request) -> Self {
        let mut cut_off = self.cut_off;
        cut_off.push(self.request);
        cut_off.retain(|cut_off| cut_off != request);
        let surplus = cut_off.len().saturating_sub(CUT_OFF_MAX);
        cut_off.drain(..surplus);
        Self {
            request: request.clone(),
            cut_off,
        }
    }
}

async fn stored(store: &dyn Store, collection: &str) -> Result<Option<Stored>, StoreError> {
    let stored = store.load(collection, &[ID]).await?;
    Ok(stored.into_iter().flatten().next())
}

/// The mark, if a rebuild is under way or was cut off.
fn parsed(stored: Option<&Stored>) -> Option<Mark> {
    let stored = stored.filter(|stored| !is_blank(stored))?;
    serde_json::from_slice(&stored.body).ok()
}

/// Whether a rebuild has begun and not ended: what is projected is not complete, and a rebuild has to be started again.
pub async fn is_rebuild_unfinished(store: &dyn Store) -> Result<bool, StoreError> {
    let mark = stored(store, REBUILDING).await?;
    Ok(mark.is_some_and(|mark| !is_blank(&mark)))
}

/// The rebuild that has begun and not ended.
pub(crate) async fn unfinished(store: &dyn Store) -> Result<Option<Request>, StoreError> {
    let mark = stored(store, REBUILDING).await?;
    Ok(parsed(mark.as_ref()).map(|mark| mark.request))
}

/// Changes with every rebuild that ends.
pub(crate) async fn last_rebuilt(store: &dyn Store) -> Result<u64, StoreError> {
    let rebuilt = stored(store, REBUILT).await?;
    Ok(rebuilt.map_or(0, |rebuilt| rebuilt.version))
}

/// The mark, as the rebuild that has put it there holds it.
#[derive(Debug)]
pub(super) struct Claim {
    mark: Mark,
    version: u64,
}

/// How a rebuild's hold on the mark ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself.
    Ended,
    /// A later one has it.
    Superseded,
}

impl Claim {
    /// Takes the mark, from whoever has it.
    pub(super) async fn take(store: &dyn Store, request: &Request) -> Result<Self, Outage> {
        for _ in 0..ROUNDS_MAX {
            let stored = stored(store, REBUILDING).await?;
            let version = stored.as_ref().map_or(0, |stored| stored.version);
            let mark = match parsed(stored.as_ref()) {
                Some(before) => before.succeeded_by(request),
                None => Mark {
                    request: request.clone(),
                    cut_off: Vec::new(),
                },
            };
            if save(store, REBUILDING, version, to_json(&mark)?).await? {
                let version = version + 1;
                return Ok(Self { mark, version });
            }
        }
        Err(contended(REBUILDING))
    }

    /// Whether no later rebuild has taken it.
    pub(super) async fn is_held(&self, store: &dyn Store) -> Result<bool, StoreError> {
        if sagaline_saga::planted!("rebuild ends another's") {
            return Ok(true);
        }
        let stored = stored(store, REBUILDING).await?;
        Ok(stored.is_some_and(|stored| stored.version == self.version))
    }

    /// Those that it does the work of, its own one first.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        iter::once(&self.mark.request).chain(&self.mark.cut_off)
    }

    /// Tells the other instances, and empties the mark. It can be done again when nobody knows whether it was done.
    pub(super) async fn end(&self, store: &dyn Store) -> Result<Ending, Outage> {
        rebuilt(store, &self.mark.request).await?;
        sagaline_saga::planted!("rebuild ends another's" => {
            store.clear(REBUILDING).await?;
            return Ok(Ending::Ended);
        });
        if save(store, REBUILDING, self.version, BLANK.into()).await? {
            return Ok(Ending::Ended);
        }
        let now = parsed(stored(store, REBUILDING).await?.as_ref());
        let is_superseded = now.is_some_and(|mark| mark.is_of(&self.mark.request));
        Ok(if is_superseded {
            Ending::Superseded
        } else {
            Ending::Ended
        })
    }
}

async fn rebuilt(store: &dyn Store, request: &Request) -> Result<(), Outage> {
    let body = to_json(request)?;
    for _ in 0..ROUNDS_MAX {
        let version = stored(store, REBUILT)
            .await?
            .map_or(0, |known| known.version);
        if save(store, REBUILT, version, body.clone()).await? {
            return Ok(());
        }
    }
    Err(contended(REBUILT))
}

fn to_json(value: &impl Serialize) -> Result<Bytes, Outage> {
    let json = serde_json::to_vec(value).map_err(|error| Outage::new("store", error))?;
    Ok(json.into())
}

fn contended(collection: &str) -> Outage {
    Outage::new(
        "store",
        format!("{collection} is saved by others all the time"),
    )
}

/// Whether it was saved: nobody else was faster.
async fn save(
    store: &dyn Store,
    collection: &str,
    expected: u64,
    body: Bytes,
) -> Result<bool, StoreError> {
    let write = Write {
        id: ID.to_owned(),
        expected,
        body,
        index: Index::default(),
    };
    Ok(store.save(collection, vec![write]).await? == [SaveResult::Saved])
}
