//! Requests from frames, frames from responses.

use super::shape;
use crate::journal::JournalFailed;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }
}

/// An answer that may still wait for something; `None` when the client wants none.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Option<Bytes>, WireError>> + Send>>;

/// An answer to one request.
pub(crate) enum Reply {
    /// A complete frame.
    Ready(Bytes),
    /// Resolves to a frame once an fsync, a rebalance or new data has come.
    Later(Answer),
}

/// Why a connection cannot go on: its bytes cannot be understood, or an answer cannot be put into bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("request {api} in version {version} is not supported")]
    Unsupported { api: i16, version: i16 },
    #[error("request {api:?} in version {version} is malformed")]
    Malformed { api: ApiKey, version: i16 },
    #[error("a request header is malformed")]
    Header,
    #[error("what a request did could not be made durable")]
    Storage(#[source] JournalFailed),
    #[error("what a request waited for was dropped")]
    Abandoned,
    #[error("the answer to {api:?} in version {version} cannot be encoded: {reason}")]
    Encode {
        api: ApiKey,
        version: i16,
        reason: String,
    },
}

/// A request whose header is read and whose body is not yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: StrBytes,
    body: Bytes,
}

impl Request {
    /// The API key and version at the start of a frame.
    pub(crate) fn peek(frame: &Bytes) -> Result<(i16, i16, i32), WireError> {
        let mut peek = frame.as_ref();
        if peek.len() < 8 {
            return Err(WireError::Header);
        }
        Ok((peek.get_i16(), peek.get_i16(), peek.get_i32()))
    }

    pub(crate) fn open(mut frame: Bytes, api: ApiKey, version: i16) -> Result<Self, WireError> {
        let header_version = api.request_header_version(version);
        shape::check_header(&frame, header_version).ok_or(WireError::Header)?;
        let header =
            RequestHeader::decode(&mut frame, header_version).map_err(|_| WireError::Header)?;
        Ok(Self {
            api,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.unwrap_or_default(),
            body: frame,
        })
    }

    /// A request of which only the header could be read.
    pub(crate) fn without_body(api: ApiKey, version: i16, correlation_id: i32) -> Self {
        Self {
            api,
            version,
            correlation_id,
            client_id: StrBytes::new(),
            body: Bytes::new(),
        }
    }

    /// Decodes the body, after a check that no count in it promises more than there are bytes.
    pub(crate) fn body<R: Decodable>(&self) -> Result<R, WireError> {
        let malformed = || WireError::Malformed {
            api: self.api,
            version: self.version,
        };
        shape::check_body(self.api, self.version, &self.body).ok_or_else(malformed)?;
        let mut body = self.body.clone();
        R::decode(&mut body, self.version).map_err(|_| malformed())
    }

    /// A frame with this response.
    pub(crate) fn answer<R: Encodable + HeaderVersion>(
        &self,
        response: &R,
    ) -> Result<Bytes, WireError> {
        let encode_error = |reason: String| WireError::Encode {
            api: self.api,
            version: self.version,
            reason,
        };
        let mut out = BytesMut::with_capacity(128);
        out.put_i32(0);
        ResponseHeader::default()
            .with_correlation_id(self.correlation_id)
            .encode(&mut out, R::header_version(self.version))
            .and_then(|()| response.encode(&mut out, self.version))
            .map_err(|error| encode_error(error.to_string()))?;
        finish_frame(&mut out).ok_or_else(|| encode_error("it is too long".to_owned()))?;
        Ok(out.freeze())
    }

    /// The same, as a reply.
    pub(crate) fn reply<R: Encodable + HeaderVersion>(
        &self,
        response: &R,
    ) -> Result<Reply, WireError> {
        self.answer(response).map(Reply::Ready)
    }
}

/// Writes the length at the front of a frame that was begun with four spare bytes.
pub(crate) fn finish_frame(out: &mut BytesMut) -> Option<()> {
    let length = i32::try_from(out.len().checked_sub(4)?).ok()?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// A string for a response.
pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
