//! Why the embedded store could not do as asked.

use std::sync::Arc;

use crate::StoreError;
use crate::embedded::record::RecordError;

/// Why the engine could not do as asked. Cloned to everyone whose write was in a failed batch.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    #[error("the storage engine failed")]
    Engine(#[source] Arc<fjall::Error>),
    #[error("the disk cannot be written")]
    Disk(#[source] Arc<std::io::Error>),
    #[error("document {id:?} cannot be read")]
    Document {
        id: String,
        #[source]
        source: Arc<RecordError>,
    },
    #[error("the storage engine is closed after a failure and could not be opened again yet")]
    Closed,
    #[error("the writer has stopped")]
    Stopped,
    #[error("the disk took too long")]
    TooSlow,
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(Arc::new(error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}

impl Failure {
    pub(super) fn into_error(
        self,
        collection: &str,
        operation: impl FnOnce() -> String,
    ) -> StoreError {
        match self {
            Self::Document { id, source } => StoreError::Unusable {
                collection: collection.to_owned(),
                id,
                source: Box::new(source),
            },
            outage => StoreError::Unavailable {
                operation: operation(),
                source: Box::new(outage),
            },
        }
    }
}

/// An error with its causes, on one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
