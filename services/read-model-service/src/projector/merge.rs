//! Merging documents into what is stored.

use std::collections::BTreeMap;

use sagaline_runtime::Outage;
use sagaline_store::{SaveResult, Store, Write};

use crate::collections::Mergeable;

/// How often a batch is tried against others who save the same documents.
pub(super) const ROUNDS_MAX: usize = 50;

/// Others save the same documents all the time.
#[derive(Debug, thiserror::Error)]
#[error("{count} documents of {collection} were saved by others {ROUNDS_MAX} times in a row")]
pub(super) struct Contended {
    pub(super) collection: &'static str,
    pub(super) count: usize,
}

/// Merges documents into what is stored; returns when everything is there.
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

/// One round; gives back those that someone else has saved meanwhile.
async fn merge_once<T: Mergeable>(
    store: &dyn Store,
    mut pending: BTreeMap<String, T>,
) -> Result<BTreeMap<String, T>, Outage> {
    let ids: Vec<&str> = pending.keys().map(String::as_str).collect();
    let stored = store.load(T::COLLECTION, &ids).await?;
    let mut writes = Vec::with_capacity(pending.len());
    let mut unreadable = Vec::new();
    for (document, stored) in pending.values_mut().zip(stored) {
        let expected = stored.as_ref().map_or(0, |stored| stored.version);
        if let Some(stored) = stored {
            match T::parse(&stored.body) {
                Ok(mut known) => {
                    // What is stored takes part in the merge; when it has everything there is nothing to save.
                    std::mem::swap(&mut known, document);
                    if !document.merge(known) {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::error!(collection = T::COLLECTION, id = stored.id, %error, "a document cannot be read");
                    unreadable.push(stored.id);
                    continue;
                }
            }
        }
        let (body, index) = document.document();
        writes.push(Write {
            id: document.id().to_owned(),
            expected,
            body,
            index,
        });
    }
    let tried: Vec<String> = writes.iter().map(|write| write.id.clone()).collect();
    let results = if writes.is_empty() {
        Vec::new()
    } else {
        store.save(T::COLLECTION, writes).await?
    };
    let lost = tried.into_iter().zip(results);
    let lost: Vec<String> = lost
        .filter(|(_, result)| *result == SaveResult::Conflict)
        .map(|(id, _)| id)
        .collect();
    pending.retain(|id, _| lost.contains(id));
    Ok(pending)
}
