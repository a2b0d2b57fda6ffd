//! Opening whichever store is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{EmbeddedStore, MemoryLimits, MemoryStore, MongoStore, Store, StoreError};

/// Which store.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreSpec {
    /// In memory, gone with the process.
    Memory(MemoryLimits),
    /// In this folder.
    Embedded(PathBuf),
    /// In `MongoDB`.
    Mongo {
        /// Its connection string.
        url: String,
        /// The database.
        database: String,
    },
}

impl std::fmt::Debug for StoreSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(limits) => f.debug_tuple("Memory").field(limits).finish(),
            Self::Embedded(folder) => f.debug_tuple("Embedded").field(folder).finish(),
            // the URL may hold a password
            Self::Mongo { database, .. } => write!(f, "Mongo {{ database: {database:?} }}"),
        }
    }
}

/// Opens a store. A `MongoDB` that is down is no error here: [`Store::ping`] tells.
pub async fn open(spec: StoreSpec) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match spec {
        StoreSpec::Memory(limits) => Arc::new(MemoryStore::new(limits)),
        StoreSpec::Embedded(folder) => {
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(folder)).await;
            let opened = opened.map_err(|error| StoreError::Unavailable {
                operation: "open the embedded store".to_owned(),
                source: Box::new(error),
            })?;
            Arc::new(opened?)
        }
        StoreSpec::Mongo { url, database } => Arc::new(MongoStore::connect(&url, &database).await?),
    })
}
