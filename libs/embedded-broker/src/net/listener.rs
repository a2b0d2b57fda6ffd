//! Accepts connections, up to a limit.

use super::connection::Connection;
use crate::broker::Broker;
use crate::error::BrokerError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Pause after a failed accept, so that a lack of file descriptors does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, BrokerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BrokerError::Listen { address, source })
}

/// Serves until the broker shuts down.
pub(crate) async fn serve(listener: TcpListener, broker: Arc<Broker>, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(broker.config.max_connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = broker.shutdown.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::warn!(%peer, limit = broker.config.max_connections, "connection refused: too many are open");
            continue;
        };
        let connection = Connection::new(stream, peer, Arc::clone(&broker));
        let end = broker.abort.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = connection.run() => {}
                () = end.cancelled() => {}
            }
            drop(slot);
        });
    }
}
