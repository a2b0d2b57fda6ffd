//! Clients that look at consumer groups and take no part in them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::ClientConfig;

use super::lag::observer;
use super::metadata::drain;
use super::{PingClient, Quiet, settings};
use crate::BrokerError;

/// Clients that are kept, one for each group, because making one costs connections and sign-ins.
pub(super) struct Observers {
    config: ClientConfig,
    clients: Mutex<HashMap<String, Arc<PingClient>>>,
}

impl Observers {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            clients: Mutex::default(),
        }
    }

    /// The client that looks at `group`.
    pub(super) fn of(&self, group: &str) -> Result<Arc<PingClient>, BrokerError> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(group) {
            // Nobody else takes its events, and they are kept until somebody does.
            drain(client);
            return Ok(Arc::clone(client));
        }
        let config = observer(self.config.clone(), group);
        let made: Arc<PingClient> = Arc::new(config.create_with_context(Quiet).map_err(settings)?);
        clients.insert(group.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// Makes a new client for `group` when one is asked for next: this one may be what is wrong.
    pub(super) fn forget(&self, group: &str) {
        let client = self.clients.lock().remove(group);
        end(client);
    }
}

/// Lets go of a client without waiting for it: its threads end when the broker lets them, and those of one that stands still may never.
pub(super) fn end<T: Send + 'static>(client: T) {
    let thread = std::thread::Builder::new().name("kafka-end".to_owned());
    if let Err(error) = thread.spawn(move || drop(client)) {
        tracing::warn!(error = %error, "there was no thread to let go of a Kafka client in");
    }
}
