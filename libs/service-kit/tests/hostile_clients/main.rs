//! What clients do that nobody should: a real server, raw connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bytes;
mod slow;
mod tokens;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use ::bytes::Bytes;
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use sagaline_service_kit::auth::{AdminGate, AdminLimits, JwtKeys};
use sagaline_service_kit::http::{HttpOptions, HttpStack, bind, serve};
use sagaline_service_kit::{Admin, Health, Json};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const TEST_LIMIT: Duration = Duration::from_secs(30);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A running server; it ends with this.
struct Server {
    address: SocketAddr,
    _task: AbortOnDropHandle<Result<(), Infallible>>,
}

fn keys() -> JwtKeys {
    JwtKeys::new(&SECRET.parse().unwrap())
}

/// More than any buffer holds.
async fn endless() -> Body {
    let chunk = Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 * 1_024]));
    Body::from_stream(stream::repeat(()).map(move |()| chunk.clone()))
}

impl Server {
    async fn start(options: HttpOptions) -> Self {
        Self::with_limits(options, AdminLimits::default()).await
    }

    async fn with_limits(options: HttpOptions, limits: AdminLimits) -> Self {
        let stack = HttpStack {
            health: Health::new("a-service", &[]),
            cors: "*".parse().unwrap(),
            shutdown: CancellationToken::new(),
            options,
        };
        let routes = Router::new()
            .route(
                "/orders",
                post(|Json(body): Json<Value>| async { Json(body) }),
            )
            .route("/endless", get(endless))
            .route("/admin", post(|admin: Admin| async { admin.sub }))
            .with_state(AdminGate::with_limits(keys(), limits));
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = serve(listener, stack.wrap(routes), stack.shutdown, options);
        let task = tokio::spawn(task);
        Self {
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What is answered to these bytes until the connection ends.
    async fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // Refused before it was read to its end: the rest meets a closed connection.
        let _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }

    /// A client that behaves; says how long it waited.
    async fn health(&self) -> Duration {
        let began = Instant::now();
        let answer = self.answer(HEALTH).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        began.elapsed()
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(TEST_LIMIT, stream.read_to_end(&mut text)).await;
    // A reset ends it as well.
    let _ = read.expect("the connection was not ended");
    String::from_utf8_lossy(&text).into_owned()
}
