//! What can go wrong when the broker is started or administered from inside the process.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the broker could not start or do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: choose a free port, or 0 for any")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of the log cannot be read or written.
    #[error(
        "cannot {action} {path}: check that the data directory exists, is writable and has free space"
    )]
    Storage {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A sealed part of the log is damaged; nothing was changed on disk.
    #[error(
        "{path} is damaged at byte {position}: restore it from a backup, or move it away to start without its records"
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage begins.
        position: u64,
    },
    /// Another process has this data directory open.
    #[error("{path} is in use by another broker: stop that one, or choose another data directory")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A topic cannot be created as asked.
    #[error("cannot create topic {topic}: {reason}")]
    Topic {
        /// The topic's name.
        topic: String,
        /// What to change.
        reason: &'static str,
    },
    /// The log can no longer be written; the broker serves reads only.
    #[error("the log can no longer be written: free disk space or replace the disk, then restart")]
    ReadOnly,
}
