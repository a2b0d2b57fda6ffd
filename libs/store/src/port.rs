//! The port that services see; every store in this crate passes the same contract suite.

use async_trait::async_trait;
use bytes::Bytes;

/// The most bytes of an id, which has at least one, and of a tag.
pub const NAME_BYTES_MAX: usize = 1024;
/// The most bytes of a body. `MongoDB` takes documents of 16 MB in its own form, in which lists of small numbers take several
/// times as much as in JSON, so there a body may be too large before it has so many.
pub const BODY_BYTES_MAX: usize = 15 * 1024 * 1024;

/// A document as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The document's id, unique in its collection.
    pub id: String,
    /// 1 after the first save, one more after each further save.
    pub version: u64,
    /// A JSON object.
    pub body: Bytes,
}

/// What a store can find documents by, besides their id. Saved atomically with the document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// When the document next needs attention, in microseconds since the Unix epoch (a timer, an outbox entry, a parked event).
    pub due: Option<i64>,
    /// A label to list by, for instance an order's status.
    pub tag: Option<String>,
    /// The order in which documents are listed, highest first; a document without one is not listed.
    pub rank: Option<i64>,
    /// Nothing more is expected to happen to this document. A store in memory may forget its oldest settled
    /// documents once it holds more than its limit; a durable store keeps them.
    pub settled: bool,
}

/// One compare-and-set write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The document's id.
    pub id: String,
    /// The version that the document must have now: 0 when it must not exist. It becomes `expected + 1`.
    pub expected: u64,
    /// The new body, a JSON object.
    pub body: Bytes,
    /// What it can be found by from now on.
    pub index: Index,
}

/// Why a write is refused by every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("an id and a tag have at most {NAME_BYTES_MAX} bytes, and an id at least one")]
    NameLength,
    #[error("the body has {0} bytes, and {BODY_BYTES_MAX} are the most")]
    BodyLength(usize),
}

impl Write {
    fn unfit(&self) -> Option<Unfit> {
        let tag = self.index.tag.as_deref().unwrap_or_default();
        if !(1..=NAME_BYTES_MAX).contains(&self.id.len()) || tag.len() > NAME_BYTES_MAX {
            return Some(Unfit::NameLength);
        }
        (self.body.len() > BODY_BYTES_MAX).then_some(Unfit::BodyLength(self.body.len()))
    }
}

/// Refuses a batch with a write that not every store can hold, before any of it is written.
pub(crate) fn check(collection: &str, writes: &[Write]) -> Result<(), StoreError> {
    let unfit = writes
        .iter()
        .find_map(|write| Some((write, write.unfit()?)));
    unfit.map_or(Ok(()), |(write, unfit)| {
        Err(StoreError::Unusable {
            collection: collection.to_owned(),
            id: write.id.clone(),
            source: Box::new(unfit),
        })
    })
}

/// What became of one write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveResult {
    /// Saved, and as durable as the store makes things.
    Saved,
    /// The document had another version; nothing was changed.
    Conflict,
}

/// A position in a listing: the rank and the id of the last document seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The document's [`Index::rank`].
    pub rank: i64,
    /// The document's id, which breaks ties (highest first, too).
    pub id: String,
}

/// A page of a listing, highest rank first.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only documents with this tag.
    pub tag: Option<String>,
    /// Only documents strictly after this position.
    pub after: Option<Rank>,
    /// At most so many.
    pub limit: usize,
}

/// Why a store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is down, unreachable or too slow: an outage, to be waited out. A write may have happened or not.
    #[error("the store is unavailable while it should {operation}; wait for it, then try again")]
    Unavailable {
        /// What was asked, for instance `save 12 documents of orders`.
        operation: String,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored cannot be read, or what was given cannot be stored: a bug or a damaged store, never worth a retry.
    #[error("document {id:?} of {collection} is not usable; inspect it by hand")]
    Unusable {
        /// The collection.
        collection: String,
        /// The document.
        id: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A store of versioned documents. Cheap to share: services hold an `Arc<dyn Store>`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads many documents in one round trip; the result has one entry per id, in the same order.
    async fn load(&self, collection: &str, ids: &[&str])
    -> Result<Vec<Option<Stored>>, StoreError>;

    /// Saves many documents in one round trip, each by compare-and-set on its own; the result has one entry per
    /// write, in the same order. A batch names each id at most once. One with a document that cannot be stored
    /// ([`NAME_BYTES_MAX`], [`BODY_BYTES_MAX`]) is refused, and the error names that document; the others may be saved without it.
    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError>;

    /// Documents whose [`Index::due`] is at or before `now` (microseconds), the longest overdue first.
    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError>;

    /// Documents that have a rank, highest first.
    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError>;

    /// Every document by ascending id, from the one after `after` on.
    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError>;

    /// How many documents a collection has.
    async fn count(&self, collection: &str) -> Result<u64, StoreError>;

    /// How many documents with this [`Index::tag`] are listed. No document is read for it.
    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError>;

    /// Removes many documents, each only if it has still this version; others are left as they are. A batch names each id at most
    /// once. The versions of a document that comes again begin anew.
    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError>;

    /// Removes every document of a collection.
    async fn clear(&self, collection: &str) -> Result<(), StoreError>;

    /// Whether the store can work now.
    async fn ping(&self) -> Result<(), StoreError>;
}
