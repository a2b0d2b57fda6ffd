//! Turning away connections beyond the limit, with an answer rather than a reset.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// How many connections are turned away politely at once. Beyond it they are just closed.
const POLITE_AT_ONCE: usize = 64;

/// How long a turned-away client may take to read the answer and go.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Doorman {
    answer: Arc<[u8]>,
    polite: Arc<Semaphore>,
}

impl Doorman {
    pub(super) fn new() -> Self {
        Self {
            answer: answer().into(),
            polite: Arc::new(Semaphore::new(POLITE_AT_ONCE)),
        }
    }

    pub(super) fn turn_away(&self, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.polite).try_acquire_owned() else {
            return;
        };
        let answer = Arc::clone(&self.answer);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL_LIMIT, farewell(stream, &answer)).await;
            drop(permit);
        });
    }
}

/// Writes, then reads until the client has gone: closing while its request is unread would reset the connection, and the
/// answer with it.
async fn farewell(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 4_096];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

fn answer() -> Vec<u8> {
    let problem = Problem::unavailable("too many connections are open", 1);
    let body = problem.to_json();
    let response = problem.into_response();
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let mut answer = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nRetry-After: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        StatusCode::SERVICE_UNAVAILABLE,
        header(header::CONTENT_TYPE),
        header(header::RETRY_AFTER),
        body.len(),
    )
    .into_bytes();
    answer.extend(body);
    answer
}
