//! Why the store in `MongoDB` could not do as asked.

use std::time::Duration;

use crate::StoreError;
use crate::mongo::bson::BodyError;
use crate::mongo::save::Ambiguous;
use crate::mongo::update::{ReplyError, Unstorable};

/// Why `MongoDB` could not do as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the MongoDB driver failed")]
    Driver(#[from] mongodb::error::Error),
    #[error(transparent)]
    Reply(ReplyError),
    #[error(transparent)]
    Ambiguous(Ambiguous),
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    #[error("the document is refused")]
    Refused {
        id: String,
        #[source]
        source: ReplyError,
    },
    #[error("the document cannot be used")]
    Body {
        id: String,
        #[source]
        source: BodyError,
    },
}

impl From<Unstorable> for Failure {
    fn from(Unstorable { id, error }: Unstorable) -> Self {
        Self::Body { id, source: error }
    }
}

impl Failure {
    pub(super) fn into_error(
        self,
        collection: &str,
        operation: impl FnOnce() -> String,
    ) -> StoreError {
        let unusable = |id, source| StoreError::Unusable {
            collection: collection.to_owned(),
            id,
            source,
        };
        match self {
            Self::Refused { id, source } => unusable(id, Box::new(source)),
            Self::Body { id, source } => unusable(id, Box::new(source)),
            outage => StoreError::Unavailable {
                operation: operation(),
                source: Box::new(outage),
            },
        }
    }
}
