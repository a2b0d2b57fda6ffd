//! A connection to a server that can lose an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Forwards connections. Once told to, it passes the next update on to the server, and drops the connection instead of the answer.
pub(crate) struct LossyProxy {
    pub(crate) address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    loses_next_update: AtomicBool,
    /// The server has carried out the update.
    done: Notify,
    /// The client may learn that its connection is gone.
    cut: Notify,
}

impl LossyProxy {
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// Loses the answer to the next update.
    pub(crate) fn lose_next_update(&self) {
        self.state.loses_next_update.store(true, Ordering::SeqCst);
    }

    /// Waits until the server has carried out that update.
    pub(crate) async fn update_is_done(&self) {
        self.state.done.notified().await;
    }

    /// Drops the connection that waits for its answer.
    pub(crate) fn cut(&self) {
        self.state.cut.notify_one();
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let mut request = vec![0; 65_536];
    let mut answer = vec![0; 65_536];
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Some(n) = read.ok().filter(|n| *n > 0) else { return };
                if server.write_all(&request[..n]).await.is_err() { return }
                let is_update = request[..n].windows(8).any(|bytes| bytes == b"\x02update\0");
                if is_update && state.loses_next_update.swap(false, Ordering::SeqCst) {
                    let n = server.read(&mut answer).await.unwrap();
                    assert!(n > 0, "the server answered");
                    state.done.notify_one();
                    state.cut.notified().await;
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Some(n) = read.ok().filter(|n| *n > 0) else { return };
                if client.write_all(&answer[..n]).await.is_err() { return }
            }
        }
    }
}
