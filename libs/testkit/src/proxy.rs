//! A TCP proxy between a service and what it depends on, to cut the connection, to let it hang, and to mend it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::ports::Port;

const BUFFER_BYTES: usize = 16 * 1024;

/// What a [`Proxy`] does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It passes it on.
    Open,
    /// It passes it on until a client sends something that has these bytes in it; from that on it is stalled.
    Armed(&'static [u8]),
    /// It has closed every connection and accepts none.
    Cut,
    /// It keeps every connection and passes nothing on: what was sent arrives when the line is mended.
    Stalled,
}

/// Passes TCP connections on to another port of this machine, unless it is told otherwise. Ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    mode: watch::Sender<Mode>,
    held: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Begins to pass connections on to `target` on loopback.
    pub async fn start(target: u16) -> Result<Self> {
        Self::start_at(Port::reserve()?, target).await
    }

    /// The same, on a port that was reserved before.
    pub async fn start_at(port: Port, target: u16) -> Result<Self> {
        let mode = watch::Sender::new(Mode::Open);
        let (holding, held) = watch::channel(0);
        let listener = bind(port.number()).await?;
        let line = Line {
            target,
            mode: mode.clone(),
            held: holding,
        };
        let task = tokio::spawn(serve(listener, port.number(), line));
        Ok(Self {
            port,
            mode,
            held,
            task,
        })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Closes every connection and accepts none, as when the other side's machine is gone.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Passes nothing on and closes nothing, as when packets get lost.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// The same, beginning with the next thing from a client that has these bytes in it.
    pub fn stall_at(&self, bytes: &'static [u8]) {
        self.mode.send_replace(Mode::Armed(bytes));
    }

    /// Passes on again, first what was held back.
    pub fn heal(&self) {
        self.mode.send_replace(Mode::Open);
    }

    /// Waits until something that a client has sent is held back by a [`Self::stall`].
    pub async fn holds_something(&self, limit: Duration) -> Result<()> {
        let mut held = self.held.clone();
        tokio::time::timeout(limit, held.wait_for(|bytes| *bytes > 0))
            .await
            .with_context(|| format!("nothing was sent to the stalled proxy within {limit:?}"))??;
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("the proxy cannot listen on port {port}"))
}

/// What every connection of a proxy knows.
#[derive(Debug, Clone)]
struct Line {
    target: u16,
    mode: watch::Sender<Mode>,
    held: watch::Sender<usize>,
}

impl Line {
    /// Waits while the line is stalled; whether it is open then.
    async fn is_open(&self) -> bool {
        let mut mode = self.mode.subscribe();
        mode.wait_for(|mode| *mode != Mode::Stalled)
            .await
            .is_ok_and(|mode| *mode != Mode::Cut)
    }

    /// What a client sends may be what a trap waits for.
    fn spring_trap(&self, bytes: &[u8]) {
        self.mode.send_if_modified(|mode| {
            let Mode::Armed(trap) = *mode else {
                return false;
            };
            let is_caught = bytes.windows(trap.len()).any(|part| part == trap);
            if is_caught {
                *mode = Mode::Stalled;
            }
            is_caught
        });
    }

    /// Waits until what a client has sent may be passed on; whether it may.
    async fn pass(&self, bytes: &[u8]) -> bool {
        self.spring_trap(bytes);
        if *self.mode.borrow() != Mode::Stalled {
            return self.is_open().await;
        }
        self.held.send_modify(|held| *held += bytes.len());
        let open = self.is_open().await;
        self.held.send_modify(|held| *held -= bytes.len());
        open
    }
}

async fn serve(listener: TcpListener, port: u16, line: Line) {
    let mut mode = line.mode.subscribe();
    let mut listener = Some(listener);
    loop {
        if let Some(listener) = listener.take() {
            accept_until_cut(listener, &line).await;
        }
        // Listener and connections are closed. An error means that the proxy is dropped.
        if mode.wait_for(|mode| *mode != Mode::Cut).await.is_err() {
            return;
        }
        // The port is reserved, so this fails only for a moment.
        while listener.is_none() {
            match bind(port).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

async fn accept_until_cut(listener: TcpListener, line: &Line) {
    let mut connections = JoinSet::new();
    let mut mode = line.mode.subscribe();
    let accept = async {
        loop {
            // Taking care of ended connections keeps the set small.
            while connections.try_join_next().is_some() {}
            if let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, line.clone()));
            }
        }
    };
    tokio::select! {
        () = accept => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn connection(client: TcpStream, line: Line) {
    client.set_nodelay(true).ok();
    if !line.is_open().await {
        return;
    }
    // Dropping the client's side says that the other one is not there.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, line.target)).await else {
        return;
    };
    server.set_nodelay(true).ok();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upstream = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Some(bytes) = read(&mut from_client, &mut buffer).await {
            if !line.pass(bytes).await || to_server.write_all(bytes).await.is_err() {
                break;
            }
        }
        // The other side learns that no more will come.
        to_server.shutdown().await.ok();
    };
    let downstream = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Some(bytes) = read(&mut from_server, &mut buffer).await {
            if !line.is_open().await || to_client.write_all(bytes).await.is_err() {
                break;
            }
        }
        to_client.shutdown().await.ok();
    };
    // When one direction ends the other may still have something to say, so both are waited for.
    tokio::join!(upstream, downstream);
}

async fn read<'a>(from: &mut OwnedReadHalf, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let count = from.read(buffer).await.ok().filter(|count| *count > 0)?;
    buffer.get(..count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Answers every byte with the same byte.
    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.into_split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        port
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
        tokio::time::timeout(LIMIT, connecting)
            .await
            .unwrap()
            .unwrap()
    }

    async fn says(client: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        client.write_all(&[byte]).await?;
        tokio::time::timeout(LIMIT, client.read_u8()).await?
    }

    #[tokio::test]
    async fn an_open_line_passes_everything_on_in_both_directions() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = connect(&proxy).await;
        for byte in 0..50 {
            assert_eq!(says(&mut client, byte).await.unwrap(), byte);
        }
    }

    #[tokio::test]
    async fn a_cut_line_closes_its_connections_and_refuses_others_until_it_is_mended() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = connect(&proxy).await;
        assert_eq!(says(&mut client, 1).await.unwrap(), 1);
        proxy.cut();
        let ended = tokio::time::timeout(LIMIT, client.read(&mut [0; 1]))
            .await
            .unwrap();
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await;
        assert!(refused.is_err(), "a cut line accepted a connection");
        proxy.heal();
        let mut client = loop {
            if let Ok(client) = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await {
                break client;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(says(&mut client, 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_stalled_line_holds_what_was_sent_and_delivers_it_when_it_is_mended() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = connect(&proxy).await;
        assert_eq!(says(&mut client, 1).await.unwrap(), 1);
        proxy.stall();
        client.write_all(&[7]).await.unwrap();
        proxy.holds_something(LIMIT).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(100), client.read_u8()).await;
        assert!(silence.is_err(), "a stalled line delivered something");
        proxy.heal();
        let late = tokio::time::timeout(LIMIT, client.read_u8()).await.unwrap();
        assert_eq!(late.unwrap(), 7);
        let nothing_more = proxy.holds_something(Duration::from_millis(50)).await;
        assert!(nothing_more.is_err(), "what was delivered is still counted");
    }

    #[tokio::test]
    async fn a_trap_lets_everything_pass_until_it_is_sprung() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = connect(&proxy).await;
        proxy.stall_at(b"snap");
        assert_eq!(says(&mut client, 1).await.unwrap(), 1);
        client.write_all(b"oh, snap!").await.unwrap();
        proxy.holds_something(LIMIT).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(100), client.read_u8()).await;
        assert!(silence.is_err(), "the trap let something pass");
        proxy.heal();
        let late = tokio::time::timeout(LIMIT, client.read_u8()).await.unwrap();
        assert_eq!(late.unwrap(), b'o');
    }

    #[tokio::test]
    async fn what_a_stalled_line_held_is_gone_when_it_is_cut() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = connect(&proxy).await;
        assert_eq!(says(&mut client, 1).await.unwrap(), 1);
        proxy.stall();
        client.write_all(&[7]).await.unwrap();
        proxy.holds_something(LIMIT).await.unwrap();
        proxy.cut();
        let ended = tokio::time::timeout(LIMIT, client.read(&mut [0; 1]))
            .await
            .unwrap();
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    }
}
