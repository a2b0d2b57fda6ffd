//! Merging documents into what is stored.

use std::collections::BTreeMap;

use sagaline_runtime::Outage;
use sagaline_store::{SaveResult, Store, Stored, Write};

use super::blame::{self, blamed};
use crate::collections::{Mergeable, is_blank};

/// How often a batch is tried against others who save the same documents.
pub(super) const ROUNDS_MAX: usize = 50;

/// Others save the same documents all the time.
#[derive(Debug, thiserror::Error)]
#[error("{count} documents of {collection} were saved by others {ROUNDS_MAX} times in a row")]
pub(super) struct Contended {
    pub(super) collection: &'static str,
    pub(super) count: usize,
}

/// Merges documents into what is stored; returns when everything is there that can be. A document that the store cannot use is
/// left alone.
pub async fn merge_all<T: Mergeable>(store: &dyn Store, documents: Vec<T>) -> Result<(), Outage> {
    let mut pending: BTreeMap<String, T> = BTreeMap::new();
    for document in documents {
        match pending.get_mut(document.id()) {
            Some(known) => {
                known.merge(document);
            }
            None => {
                pending.insert(document.id().to_owned(), document);
            }
        }
    }
    for _ in 0..ROUNDS_MAX {
        if pending.is_empty() {
            return Ok(());
        }
        pending = merge_once(store, pending).await?;
    }
    let contended = Contended {
        collection: T::COLLECTION,
        count: pending.len(),
    };
    Err(Outage::new("store", contended))
}

/// One round; gives back those that someone else has saved meanwhile, as they came: what was stored then may be gone.
async fn merge_once<T: Mergeable>(
    store: &dyn Store,
    mut pending: BTreeMap<String, T>,
) -> Result<BTreeMap<String, T>, Outage> {
    let ids: Vec<&str> = pending.keys().map(String::as_str).collect();
    let loaded = blame::load(store, T::COLLECTION, &ids).await?;
    let mut writes = Vec::with_capacity(pending.len());
    for (document, stored) in pending.values().zip(loaded) {
        // One that cannot be loaded was logged.
        if let Ok(stored) = stored {
            writes.extend(merged(document, stored));
        }
    }
    let lost = save(store, T::COLLECTION, writes).await?;
    pending.retain(|id, _| lost.contains(id));
    Ok(pending)
}

/// The write that adds the document to what is stored, unless that has it already.
fn merged<T: Mergeable>(document: &T, stored: Option<Stored>) -> Option<Write> {
    let expected = stored.as_ref().map_or(0, |stored| stored.version);
    let stored = stored.filter(|stored| !is_blank(stored));
    let known = stored.map(|stored| T::parse(&stored.body));
    let ((body, index), id) = match known {
        None => (document.document(), document.id()),
        Some(Ok(mut known)) => {
            if !known.merge(document.clone()) {
                return None;
            }
            (known.document(), document.id())
        }
        Some(Err(error)) => {
            let id = document.id();
            tracing::error!(collection = T::COLLECTION, id, %error, "a document cannot be read");
            return None;
        }
    };
    Some(Write {
        id: id.to_owned(),
        expected,
        body,
        index,
    })
}

/// Saves what can be; gives the documents that someone else has saved meanwhile.
async fn save(
    store: &dyn Store,
    collection: &'static str,
    mut writes: Vec<Write>,
) -> Result<Vec<String>, Outage> {
    while !writes.is_empty() {
        let tried: Vec<String> = writes.iter().map(|write| write.id.clone()).collect();
        match store.save(collection, writes.clone()).await {
            Ok(results) => {
                let results = tried.into_iter().zip(results);
                let lost = results.filter(|(_, result)| *result == SaveResult::Conflict);
                return Ok(lost.map(|(id, _)| id).collect());
            }
            Err(error) => {
                let (unusable, _) = blamed(error, |id| tried.iter().any(|tried| tried == id))?;
                writes.retain(|write| write.id != unusable);
            }
        }
    }
    Ok(Vec::new())
}
