//! One connection, one task: requests are taken in order, worked on at once, and answered in order.
//!
//! Taking a request on does its effects (a batch is appended, a member joins), so that pipelined requests keep their
//! order; what may wait (an fsync, a rebalance, a long poll) is the answer, and answers wait in a bounded queue.

use super::frame::{FrameError, missing_bytes, take_frame};
use crate::api::{self, Peer, Reply, WireError};
use crate::broker::Broker;
use crate::clock;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Space that is made for a read, unless a frame is known to be longer.
const READ_CHUNK: usize = 16 << 10;
/// Space that is made at a time for a long frame: memory is taken as its bytes come, not as its length says.
const LARGEST_READ: usize = 1 << 20;
/// Ready answers are written together up to this size.
const WRITE_TOGETHER: usize = 256 << 10;

/// Why a connection ends early.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a wait on a connection ended with.
enum Step {
    Read(usize),
    Answer(Result<Option<Bytes>, WireError>),
    Idle,
    Shutdown,
}

/// A client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    peer: Peer,
    broker: Arc<Broker>,
    input: BytesMut,
    output: BytesMut,
    replies: VecDeque<Reply>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, address: SocketAddr, broker: Arc<Broker>) -> Self {
        Self {
            stream,
            peer: Peer::new(address),
            broker,
            input: BytesMut::new(),
            output: BytesMut::new(),
            replies: VecDeque::new(),
        }
    }

    /// Serves until the client leaves, breaks the protocol, is idle for too long, or the broker shuts down.
    pub(super) async fn run(mut self) {
        let peer = self.peer.address;
        match self.serve().await {
            Ok(()) => {}
            Err(ConnectionError::Io(error)) => tracing::debug!(%peer, %error, "connection lost"),
            Err(error) => tracing::warn!(%peer, %error, "connection closed"),
        }
    }

    async fn serve(&mut self) -> Result<(), ConnectionError> {
        self.stream.set_nodelay(true)?;
        let idle = tokio::time::sleep(self.broker.config.idle_timeout);
        tokio::pin!(idle);
        let mut last_activity = clock::now();
        let mut draining = false;
        loop {
            let mut all_taken = true;
            if !draining {
                all_taken = self.take_requests().await?;
            }
            self.write_ready().await?;
            if !all_taken && self.has_room() {
                // Requests wait in the buffer, so no read would say that there is something to do.
                continue;
            }
            if draining && self.replies.is_empty() {
                return Ok(());
            }
            let has_room = self.has_room();
            self.make_room();
            let step = tokio::select! {
                biased;
                answer = next_answer(&mut self.replies) => Step::Answer(answer),
                read = self.stream.read_buf(&mut self.input), if has_room && !draining => Step::Read(read?),
                () = self.broker.shutdown.cancelled(), if !draining => Step::Shutdown,
                () = &mut idle => Step::Idle,
            };
            match step {
                Step::Read(0) => return Ok(()),
                Step::Read(_) => last_activity = clock::now(),
                Step::Answer(answer) => {
                    self.replies.pop_front();
                    if let Some(bytes) = answer? {
                        self.replies.push_front(Reply::Ready(bytes));
                    }
                    last_activity = clock::now();
                }
                Step::Shutdown => draining = true,
                Step::Idle => {
                    let deadline = last_activity + self.broker.config.idle_timeout;
                    if deadline <= clock::now() && self.replies.is_empty() {
                        return Ok(());
                    }
                    idle.as_mut()
                        .reset(deadline.max(clock::now() + self.broker.config.idle_timeout / 10));
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.replies.len() < self.broker.config.max_in_flight
    }

    /// Works on the complete requests in the buffer, as long as there is room for their answers; whether that was all.
    async fn take_requests(&mut self) -> Result<bool, ConnectionError> {
        while self.has_room() {
            let limit = self.broker.config.request_max_bytes;
            let Some(frame) = take_frame(&mut self.input, limit)? else {
                return Ok(true);
            };
            if let Some(reply) = api::handle(&self.broker, &self.peer, frame).await? {
                self.replies.push_back(reply);
            }
        }
        Ok(false)
    }

    fn make_room(&mut self) {
        let missing = missing_bytes(&self.input).clamp(READ_CHUNK, LARGEST_READ);
        if self.input.capacity() - self.input.len() < missing.min(READ_CHUNK)
            || missing > READ_CHUNK
        {
            self.input.reserve(missing);
        }
    }

    /// Writes the answers at the head of the queue that are ready.
    async fn write_ready(&mut self) -> io::Result<()> {
        while matches!(self.replies.front(), Some(Reply::Ready(_))) {
            let Some(Reply::Ready(bytes)) = self.replies.pop_front() else {
                break;
            };
            let last = !matches!(self.replies.front(), Some(Reply::Ready(_)));
            if self.output.len() + bytes.len() > WRITE_TOGETHER || (last && self.output.is_empty())
            {
                self.flush().await?;
                self.write(&bytes).await?;
            } else {
                self.output.extend_from_slice(&bytes);
            }
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            let output = std::mem::take(&mut self.output);
            self.write(&output).await?;
            self.output = output;
            self.output.clear();
        }
        Ok(())
    }

    /// A client that does not read its answers is as good as idle.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = self.broker.config.idle_timeout;
        let written = tokio::time::timeout(limit, self.stream.write_all(bytes)).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The answer at the head of the queue; never resolves while the queue is empty.
async fn next_answer(replies: &mut VecDeque<Reply>) -> Result<Option<Bytes>, WireError> {
    match replies.front_mut() {
        Some(Reply::Later(answer)) => answer.as_mut().await,
        Some(Reply::Ready(_)) | None => std::future::pending().await,
    }
}
