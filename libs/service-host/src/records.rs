//! A service's records of orders, as its queries read them.

use std::sync::Arc;

use sagaline_contracts::OrderId;
use sagaline_service_kit::Problem;
use sagaline_store::Store;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A service's records of orders, as its queries read them: the participant's state, and nothing of inbox and outbox.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
    collection: &'static str,
    one: &'static str,
    many: &'static str,
}

#[derive(Deserialize)]
struct Document<S> {
    state: S,
}

impl Records {
    /// The records in `collection`. Each is called `one` to callers, and found below `/many/`.
    pub fn new(
        store: Arc<dyn Store>,
        collection: &'static str,
        one: &'static str,
        many: &'static str,
    ) -> Self {
        Self {
            store,
            collection,
            one,
            many,
        }
    }

    /// What the service remembers of an order; a problem for the caller when that is nothing, or cannot be read.
    pub async fn state<S: DeserializeOwned>(&self, order_id: &OrderId) -> Result<S, Problem> {
        let Self { one, many, .. } = self;
        let loaded = self.store.load(self.collection, &[order_id.as_str()]).await;
        let found = loaded.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%order_id, error, "{one} could not be read");
            Problem::unavailable(format!("{many} cannot be read just now; try again"), 1)
        })?;
        let Some(stored) = found.into_iter().flatten().next() else {
            let detail = format!("no {one} of order {order_id} is known here");
            return Err(Problem::not_found(detail).instance(format!("/{many}/{order_id}")));
        };
        let document: Document<S> = serde_json::from_slice(&stored.body).map_err(|error| {
            tracing::error!(%order_id, %error, "the order's record is not what this service writes");
            Problem::internal()
        })?;
        Ok(document.state)
    }
}
