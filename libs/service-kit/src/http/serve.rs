//! Accepting connections, and draining them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::HttpOptions;
use super::refuse::Doorman;

/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Connections that the system keeps for us until we take them: a burst of clients is not told to come back in a second.
const PENDING_CONNECTIONS: u32 = 1_024;

/// Headers and pipelined requests that one connection may have waiting.
const READ_BUFFER: usize = 64 * 1_024;

/// The server could not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: is another process using the port? Choose another one with --port"
)]
pub struct ServeError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Opens the port that a server shall listen on.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    listen(address).map_err(|source| ServeError { address, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A successor may open the port while connections of its predecessor are still fading away.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(PENDING_CONNECTIONS)
}

/// Serves until `shutdown` is cancelled, then lets connections finish, [`HttpOptions::drain_limit`] at most.
///
/// HTTP/1.1 alone: the clients of these services are on the same network or behind a proxy, which speaks whatever the
/// world wants.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    options: HttpOptions,
) -> Result<(), Infallible> {
    let server = Server {
        router,
        shutdown: shutdown.clone(),
        abandon: CancellationToken::new(),
        slots: Arc::new(Semaphore::new(options.max_connections)),
        doorman: Doorman::new(),
        tasks: TaskTracker::new(),
        options,
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => server.take(stream, peer),
                Err(error) => pause_unless_harmless(&error).await,
            },
            () = shutdown.cancelled() => break,
        }
    }
    // Closes the port, so that a successor may open it while this process still drains.
    drop(listener);
    server.drain().await;
    Ok(())
}

/// A client that has asked and does not read would hold its connection for ever, as one that has lost its power would: the
/// system is told to give up on it.
#[cfg(target_os = "linux")]
fn limit_unread(stream: &TcpStream, limit: Duration) {
    let limit_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, limit_ms) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
}

/// Elsewhere the system's own patience has to do.
#[cfg(not(target_os = "linux"))]
fn limit_unread(_: &TcpStream, _: Duration) {}

async fn pause_unless_harmless(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    // These say that one client has gone, not that something is wrong here.
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections: raise the limit of open files (ulimit -n)");
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}

struct Server {
    router: Router,
    shutdown: CancellationToken,
    abandon: CancellationToken,
    slots: Arc<Semaphore>,
    doorman: Doorman,
    tasks: TaskTracker,
    options: HttpOptions,
}

impl Server {
    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.doorman.turn_away(stream);
            return;
        };
        // Answers are small and complete: waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        limit_unread(&stream, self.options.unread_limit);
        let connection = connection(
            stream,
            peer,
            self.router.clone(),
            self.options,
            self.shutdown.clone(),
            self.abandon.clone(),
        );
        self.tasks.spawn(async move {
            connection.await;
            drop(slot);
        });
    }

    async fn drain(&self) {
        self.tasks.close();
        if tokio::time::timeout(self.options.drain_limit, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.tasks.len(),
                "connections cut at the drain limit"
            );
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    options: HttpOptions,
    shutdown: CancellationToken,
    abandon: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = abandon.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        // A client that went away, was too slow or spoke no HTTP: its doing, and nothing for the operator.
        tracing::debug!(%error, %peer, "connection ended with an error");
    }
}
