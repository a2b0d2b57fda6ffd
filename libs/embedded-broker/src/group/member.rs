//! A member of a group, and what it asks and is told.

use super::state::GroupError;
use bytes::Bytes;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A request to join.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    /// Empty for a new member.
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: IpAddr,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    /// In the member's order of preference.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether a new member must first be given an id and join again with it (KIP-394).
    pub(crate) requires_known_id: bool,
    /// Whether the client understands that a leader may be told to skip the assignment (KIP-814).
    pub(crate) can_skip_assignment: bool,
}

/// The answer to a join.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct JoinResult {
    pub(crate) error: Option<GroupError>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// For the leader: everyone's id, instance id and metadata.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
    pub(crate) skip_assignment: bool,
}

impl JoinResult {
    pub(super) fn refused(error: GroupError, member_id: &str) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            member_id: member_id.to_owned(),
            ..Self::default()
        }
    }
}

/// The answer to a sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SyncResult {
    pub(crate) error: Option<GroupError>,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

impl SyncResult {
    pub(super) fn refused(error: GroupError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: IpAddr,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When it counts as gone unless it is heard of.
    pub(super) expires: Instant,
    pub(super) waiting_join: Option<oneshot::Sender<JoinResult>>,
    pub(super) waiting_sync: Option<oneshot::Sender<SyncResult>>,
}

impl Member {
    pub(super) fn new(id: String, request: &JoinRequest, now: Instant) -> Self {
        Self {
            id,
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            expires: now + request.session_timeout,
            waiting_join: None,
            waiting_sync: None,
        }
    }

    /// Takes over what a new join says.
    pub(super) fn update(&mut self, request: &JoinRequest) {
        self.client_id.clone_from(&request.client_id);
        self.client_host = request.client_host;
        self.session_timeout = request.session_timeout;
        self.rebalance_timeout = request.rebalance_timeout;
        self.protocols.clone_from(&request.protocols);
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.expires = now + self.session_timeout;
    }

    /// Whether a request of this member is waiting for the group; then it is alive, unless its connection is gone.
    pub(super) fn is_waiting(&self) -> bool {
        self.has_joined()
            || self
                .waiting_sync
                .as_ref()
                .is_some_and(|waiting| !waiting.is_closed())
    }

    pub(super) fn has_joined(&self) -> bool {
        self.waiting_join
            .as_ref()
            .is_some_and(|waiting| !waiting.is_closed())
    }

    /// What it said about a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub(super) fn answer_join(&mut self, result: JoinResult) {
        if let Some(waiting) = self.waiting_join.take() {
            // A client that has gone needs no answer.
            drop(waiting.send(result));
        }
    }

    pub(super) fn answer_sync(&mut self, result: SyncResult) {
        if let Some(waiting) = self.waiting_sync.take() {
            drop(waiting.send(result));
        }
    }
}
