//! Server-sent events as bytes.

use std::time::Duration;

use bytes::Bytes;

/// How often a silent stream says that it is still there.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// A comment, which clients ignore.
pub const HEARTBEAT: &[u8] = b": still here\n\n";

/// How long a client waits before it connects again, in milliseconds.
pub const RETRY: &str = "retry: 1000\n";

/// One message. An id without data is taken by a client without a message to its reader: it resumes from there.
pub fn frame(into: &mut Vec<u8>, id: Option<&str>, data: Option<&[u8]>) {
    if let Some(id) = id {
        into.extend_from_slice(b"id: ");
        into.extend_from_slice(id.as_bytes());
        into.push(b'\n');
    }
    if let Some(data) = data {
        into.extend_from_slice(b"data: ");
        into.extend_from_slice(data);
        into.push(b'\n');
    }
    into.push(b'\n');
}

/// A heartbeat.
pub fn comment() -> Bytes {
    Bytes::from_static(HEARTBEAT)
}
