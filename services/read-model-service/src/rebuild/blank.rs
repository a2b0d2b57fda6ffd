//! Emptying collections without losing the versions of their documents.
//!
//! A document that is removed begins again at version 1, and a save that was on its way for longer than that, from another instance
//! or late on the network, may find the version that it goes by and overwrite what was rebuilt. So documents are emptied by
//! compare-and-set, which is a version more; what is still empty at the end is removed.
//!
//! All of it only as long as the rebuild has its mark, which is looked at after the documents are loaded and before they are saved: a
//! later rebuild that takes the mark after that look empties every document once more, those that are empty too, and a save that
//! goes by the version before finds another one.

use sagaline_runtime::Outage;
use sagaline_store::{Index, SaveResult, Store, Stored, Write};

use super::RebuildError;
use super::mark::Claim;
use super::patience::{Patience, patiently};
use crate::collections::{BLANK, is_blank};

const PAGE: usize = 500;
/// How often a page is tried against others who save the same documents.
const ROUNDS_MAX: usize = 50;

#[derive(Debug, thiserror::Error)]
#[error("{count} documents of {collection} were saved by others {ROUNDS_MAX} times in a row")]
struct Contended {
    collection: String,
    count: usize,
}

/// A collection, page by page.
struct Pages<'a> {
    store: &'a dyn Store,
    collection: &'a str,
    after: Option<String>,
    is_done: bool,
}

impl<'a> Pages<'a> {
    fn of(store: &'a dyn Store, collection: &'a str) -> Self {
        Self {
            store,
            collection,
            after: None,
            is_done: false,
        }
    }

    async fn next(&mut self, patience: &mut Patience) -> Result<Option<Vec<Stored>>, Outage> {
        if self.is_done {
            return Ok(None);
        }
        let after = self.after.as_deref();
        let scan = || self.store.scan(self.collection, after, PAGE);
        let page = patiently!(patience, scan().await);
        self.is_done = page.len() < PAGE;
        self.after = page.last().map(|stored| stored.id.clone());
        Ok(Some(page))
    }
}

/// Empties every document of a collection that is there now.
pub(super) async fn blank_all(
    store: &dyn Store,
    collection: &str,
    claim: &Claim,
) -> Result<(), RebuildError> {
    let mut patience = Patience::default();
    let mut pages = Pages::of(store, collection);
    while let Some(page) = pages.next(&mut patience).await? {
        let mut pending = Pending::new(page);
        let is_done = patiently!(
            patience,
            blank(store, collection, &mut pending, claim).await
        );
        if !is_done {
            return Err(RebuildError::Superseded);
        }
    }
    Ok(())
}

/// Removes the documents that are still empty.
pub(super) async fn remove_blank(
    store: &dyn Store,
    collection: &str,
    claim: &Claim,
) -> Result<(), RebuildError> {
    let mut patience = Patience::default();
    let mut pages = Pages::of(store, collection);
    while let Some(page) = pages.next(&mut patience).await? {
        let blank = page.into_iter().filter(is_blank);
        let blank: Vec<(String, u64)> = blank.map(|stored| (stored.id, stored.version)).collect();
        if blank.is_empty() {
            continue;
        }
        if !patiently!(patience, claim.is_held(store).await) {
            return Err(RebuildError::Superseded);
        }
        patiently!(patience, store.remove(collection, blank.clone()).await);
    }
    Ok(())
}

/// What of a page is not known to be emptied.
struct Pending {
    documents: Vec<Stored>,
    /// After a save without an answer nobody knows their versions.
    is_in_doubt: bool,
    rounds: usize,
}

impl Pending {
    fn new(documents: Vec<Stored>) -> Self {
        Self {
            documents,
            is_in_doubt: false,
            rounds: 0,
        }
    }

    /// Looks at what became of them: one that is empty, and was saved since, is done.
    async fn look_again(&mut self, store: &dyn Store, collection: &str) -> Result<(), Outage> {
        let ids: Vec<&str> = self
            .documents
            .iter()
            .map(|stored| stored.id.as_str())
            .collect();
        let loaded = store.load(collection, &ids).await?;
        let before = std::mem::take(&mut self.documents);
        let both = before.into_iter().zip(loaded);
        let left = both.filter_map(|(before, now)| {
            let now = now?;
            let is_done = is_blank(&now) && now.version > before.version;
            (!is_done).then_some(now)
        });
        self.documents = left.collect();
        self.is_in_doubt = false;
        Ok(())
    }
}

/// Whether the page could be emptied; not if another rebuild has the mark.
async fn blank(
    store: &dyn Store,
    collection: &str,
    pending: &mut Pending,
    claim: &Claim,
) -> Result<bool, Outage> {
    loop {
        if pending.is_in_doubt {
            pending.look_again(store, collection).await?;
        }
        let count = pending.documents.len();
        if count == 0 {
            return Ok(true);
        }
        pending.rounds += 1;
        if pending.rounds > ROUNDS_MAX {
            let collection = collection.to_owned();
            return Err(Outage::new("store", Contended { collection, count }));
        }
        if !claim.is_held(store).await? {
            return Ok(false);
        }
        let writes = pending.documents.iter().map(|stored| Write {
            id: stored.id.clone(),
            expected: stored.version,
            body: BLANK.into(),
            index: Index::default(),
        });
        pending.is_in_doubt = true;
        let results = store.save(collection, writes.collect()).await?;
        let mut results = results.into_iter();
        pending
            .documents
            .retain(|_| results.next() != Some(SaveResult::Saved));
    }
}
