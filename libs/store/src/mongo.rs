//! Documents in `MongoDB`: standalone, replica set or sharded (by hashed `_id`).
//!
//! A document is `{ _id, version, write, due?, tag?, rank?, settled, body: { … } }`. Only single-document atomicity is
//! asked of the server: no sessions, no transactions. Writes are acknowledged by the majority, in their journals.

mod bson;
mod failure;
mod save;
mod update;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{
    Acknowledgment, ClientOptions, FindOptions, IndexOptions, ReadConcern, ReadPreference,
    SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database, IndexModel};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::mongo::bson::BodyError;
use crate::mongo::failure::Failure;
use crate::{ListQuery, SaveResult, Store, StoreError, Stored, Write, port};

/// Documents that are removed by one command when a collection is cleared.
const CLEAR_STEP: u64 = 10_000;
/// Documents that are removed by one command when each has to have a version.
const REMOVE_STEP: usize = 200;

/// How long `MongoDB` may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MongoLimits {
    /// To find a server that can do what is asked; and to connect to it.
    pub selection: Duration,
    /// For an operation with all its attempts.
    pub operation: Duration,
}

impl Default for MongoLimits {
    fn default() -> Self {
        Self {
            selection: Duration::from_secs(2),
            operation: Duration::from_secs(10),
        }
    }
}

/// Documents in a database of a `MongoDB` server.
#[derive(Debug)]
pub struct MongoStore {
    database: Database,
    limits: MongoLimits,
    /// Collections that have their indexes, or are about to.
    indexed: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl MongoStore {
    /// A store in `database` of the server at `url`. Does not wait for the server: [`Store::ping`] tells whether it is there.
    pub async fn connect(url: &str, database: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, database, MongoLimits::default()).await
    }

    /// The same, with other limits.
    pub async fn connect_with(
        url: &str,
        database: &str,
        limits: MongoLimits,
    ) -> Result<Self, StoreError> {
        // TLS needs a provider of cryptography, and the program may have chosen one already
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = async {
            let mut options = ClientOptions::parse(url).await?;
            options.server_selection_timeout = Some(limits.selection);
            options.connect_timeout = Some(limits.selection);
            // a version that was read elsewhere may be an old one
            options.selection_criteria =
                Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
            options.read_concern = Some(ReadConcern::local());
            options.write_concern = Some(
                WriteConcern::builder()
                    .w(Acknowledgment::Majority)
                    .journal(true)
                    .w_timeout(limits.operation)
                    .build(),
            );
            options
                .app_name
                .get_or_insert_with(|| "sagaline".to_owned());
            Client::with_options(options)
        };
        // the address may hold a password, so it is not shown
        let client = client.await.map_err(|error| StoreError::Unavailable {
            operation: format!("open database {database} of MongoDB (is its URL right?)"),
            source: Box::new(error),
        })?;
        Ok(Self {
            database: client.database(database),
            limits,
            indexed: Mutex::default(),
        })
    }

    /// Runs an operation within the limit.
    async fn bounded<T>(
        &self,
        collection: &str,
        operation: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        let limit = self.limits.operation;
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(Failure::TooSlow(limit)))
            .map_err(|failure| failure.into_error(collection, operation))
    }

    fn raw(&self, collection: &str) -> Collection<RawDocumentBuf> {
        self.database.collection(collection)
    }

    /// Creates the indexes at the first use of a collection.
    async fn indexed(&self, collection: &str) -> Result<Collection<RawDocumentBuf>, Failure> {
        let once = {
            let mut indexed = self.indexed.lock();
            match indexed.get(collection) {
                Some(once) => Arc::clone(once),
                None => Arc::clone(indexed.entry(collection.to_owned()).or_default()),
            }
        };
        let raw = self.raw(collection);
        once.get_or_try_init(|| async {
            raw.create_indexes(indexes()).await?;
            Ok::<_, Failure>(())
        })
        .await?;
        Ok(raw)
    }

    async fn find(
        &self,
        collection: &str,
        filter: Document,
        sort: Option<Document>,
        limit: Option<usize>,
    ) -> Result<Vec<Stored>, Failure> {
        if limit == Some(0) {
            return Ok(Vec::new());
        }
        let options = FindOptions::builder()
            .projection(doc! { "version": 1, "body": 1 })
            .sort(sort)
            .limit(limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)))
            // as much in one round trip as the server's own limits allow
            .batch_size(1_000_000)
            .max_time(self.limits.operation)
            .build();
        let raw = self.raw(collection);
        let mut cursor = raw.find(filter).with_options(options).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(stored(cursor.current())?);
        }
        Ok(found)
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let operation = || format!("load {} documents of {collection}", ids.len());
        let filter = doc! { "_id": { "$in": ids } };
        let found = self.find(collection, filter, None, None);
        let found = self.bounded(collection, operation, found).await?;
        let places: HashMap<&str, &Stored> = found.iter().map(|d| (d.id.as_str(), d)).collect();
        Ok(ids
            .iter()
            .map(|id| places.get(id).copied().cloned())
            .collect())
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        port::check(collection, &writes)?;
        let operation = || format!("save {} documents of {collection}", writes.len());
        let save = async {
            self.indexed(collection).await?;
            save::save(&self.database, collection, &writes, self.limits.operation).await
        };
        self.bounded(collection, operation, save).await
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let filter = doc! { "due": { "$lte": now } };
        let sort = doc! { "due": 1 };
        let found = self.find(collection, filter, Some(sort), Some(limit));
        let operation = || format!("find due documents of {collection}");
        self.bounded(collection, operation, found).await
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        let highest = query.after.as_ref().map_or(i64::MAX, |after| after.rank);
        // both bounds, so that an index serves it and documents without a rank are left out
        let mut filter = doc! { "rank": { "$gte": i64::MIN, "$lte": highest } };
        if let Some(tag) = query.tag {
            filter.insert("tag", tag);
        }
        if let Some(after) = query.after {
            let lower = doc! { "rank": { "$lt": after.rank } };
            let level = doc! { "rank": after.rank, "_id": { "$lt": after.id } };
            filter.insert("$or", vec![lower, level]);
        }
        let sort = doc! { "rank": -1, "_id": -1 };
        let found = self.find(collection, filter, Some(sort), Some(query.limit));
        self.bounded(collection, || format!("list {collection}"), found)
            .await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
        let sort = doc! { "_id": 1 };
        let found = self.find(collection, filter, Some(sort), Some(limit));
        self.bounded(collection, || format!("scan {collection}"), found)
            .await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        let count = async { Ok(self.raw(collection).estimated_document_count().await?) };
        self.bounded(collection, || format!("count {collection}"), count)
            .await
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        // By both, so that the index has the answer.
        let command = doc! {
            "count": collection,
            "query": { "tag": tag, "rank": { "$gte": i64::MIN, "$lte": i64::MAX } },
            "maxTimeMS": i64::try_from(self.limits.operation.as_millis()).unwrap_or(i64::MAX),
        };
        let count = async {
            let reply = self.database.run_command(command).await?;
            Ok(number(&reply, "n"))
        };
        self.bounded(collection, || format!("count {collection}"), count)
            .await
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        for some in documents.chunks(REMOVE_STEP) {
            let filters = some
                .iter()
                .map(|(id, version)| doc! { "_id": id, "version": version.cast_signed() });
            let filter = doc! { "$or": filters.collect::<Vec<_>>() };
            let step = async {
                self.raw(collection).delete_many(filter).await?;
                Ok(())
            };
            let operation = || format!("remove documents of {collection}");
            self.bounded(collection, operation, step).await?;
        }
        Ok(())
    }

    /// In steps, each within the limit, because a server removes documents one at a time.
    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        loop {
            let step = async {
                let raw = self.raw(collection);
                let next = raw
                    .find_one(doc! {})
                    .sort(doc! { "_id": 1 })
                    .skip(CLEAR_STEP)
                    .projection(doc! { "_id": 1 })
                    .await?;
                let end = next.as_deref().map(id).transpose()?;
                let filter = end.map_or_else(Document::new, |end| doc! { "_id": { "$lt": end } });
                raw.delete_many(filter).await?;
                Ok(end.is_none())
            };
            let operation = || format!("clear {collection}");
            if self.bounded(collection, operation, step).await? {
                return Ok(());
            }
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let ping = async {
            self.database.run_command(doc! { "ping": 1 }).await?;
            Ok(())
        };
        self.bounded("", || "answer a ping".to_owned(), ping).await
    }
}

fn indexes() -> [IndexModel; 3] {
    let index = |name: &str, keys, sparse| {
        let options = IndexOptions::builder()
            .name(name.to_owned())
            .sparse(sparse)
            .build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    [
        index("due", doc! { "due": 1 }, Some(true)),
        index("ranked", doc! { "rank": -1, "_id": -1 }, None),
        index("tagged", doc! { "tag": 1, "rank": -1, "_id": -1 }, None),
    ]
}

/// A whole number of a reply, which servers give in whatever type it fits.
fn number(reply: &Document, name: &str) -> u64 {
    let number = reply.get(name).and_then(|number| match number {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a count of documents is exact"
        )]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    });
    number.unwrap_or(0).unsigned_abs()
}

fn id(document: &RawDocument) -> Result<&str, Failure> {
    document
        .get_str("_id")
        .map_err(|_| missing(String::new(), "text as its _id"))
}

fn stored(document: &RawDocument) -> Result<Stored, Failure> {
    let id = id(document)?;
    let version = document.get_i64("version");
    let version = version.map_err(|_| missing(id.to_owned(), "64-bit version"))?;
    let body = document.get_document("body");
    let body = body.map_err(|_| missing(id.to_owned(), "body"))?;
    let body = bson::to_json(body).map_err(|source| Failure::Body {
        id: id.to_owned(),
        source,
    })?;
    Ok(Stored {
        id: id.to_owned(),
        version: version.cast_unsigned(),
        body: Bytes::from(body),
    })
}

fn missing(id: String, what: &'static str) -> Failure {
    Failure::Body {
        id,
        source: BodyError::Missing(what),
    }
}
