//! Streams that end when the process shuts down, so that a drain is not held up by who listens.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream that ends at shutdown. Event streams that a handler returns end by themselves; this is for anything else.
pub fn until_shutdown<S: Stream + Send>(
    stream: S,
    shutdown: CancellationToken,
) -> impl Stream<Item = S::Item> + Send
where
    S::Item: Send,
{
    stream.take_until(shutdown.cancelled_owned())
}

/// A body that ends at shutdown.
pub(super) struct UntilShutdown {
    body: Body,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl UntilShutdown {
    pub(super) fn new(body: Body, shutdown: CancellationToken) -> Self {
        Self {
            body,
            shutdown: Box::pin(shutdown.cancelled_owned()),
        }
    }
}

impl HttpBody for UntilShutdown {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // What is there is sent first: a reader gets all that was meant for it.
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.shutdown.as_mut().poll(cx).map(|()| None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
