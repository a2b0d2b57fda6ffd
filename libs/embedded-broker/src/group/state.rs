//! The state of one group, and what is common to all transitions.

use super::member::{JoinResult, Member, SyncResult};
use super::offsets::Offsets;
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// No members; perhaps offsets.
    #[default]
    Empty,
    /// Waits for all members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Everyone knows its assignment.
    Stable,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Why a group refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupError {
    UnknownMember,
    IllegalGeneration,
    RebalanceInProgress,
    InconsistentProtocol,
    /// Join again with the id in the answer.
    MemberIdRequired,
    /// Another process has taken over this instance id.
    FencedInstance,
    GroupFull,
    InvalidSessionTimeout,
    InvalidGroupId,
}

/// An answer now, or one that comes when the group is ready.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

/// A consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) state: State,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Member ids by instance id.
    pub(super) instances: HashMap<String, String>,
    /// Ids that were given out and not joined with yet, and when they lapse.
    pub(super) pending: HashMap<String, Instant>,
    /// When a rebalance goes on without those who have not joined.
    pub(super) rebalance_deadline: Option<Instant>,
    pub(crate) offsets: Offsets,
    /// When it was first seen without members, unless it has been used since.
    pub(super) idle_since: Option<Instant>,
    /// Set when the group has been deleted while someone held it.
    pub(super) deleted: bool,
}

impl Group {
    pub(crate) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Checks that a request comes from a member, under its present identity.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id) {
                None => return Err(GroupError::UnknownMember),
                Some(current) if current != member_id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMember)
        }
    }

    /// A request to sync: the leader brings the assignments, everyone gets its own.
    pub(crate) fn sync(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        protocol: (Option<&str>, Option<&str>),
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Outcome<SyncResult> {
        if let Err(error) = self.check_sync(member_id, instance_id, generation, protocol) {
            return Outcome::Now(SyncResult::refused(error));
        }
        let is_leader = self.leader.as_deref() == Some(member_id);
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard(now);
        }
        if self.state == State::Stable {
            return Outcome::Now(self.sync_result(member_id));
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(member) = self.members.get_mut(member_id) {
            member.waiting_sync = Some(sender);
        }
        if is_leader {
            for member in self.members.values_mut() {
                member.assignment.clear();
            }
            for (member_id, assignment) in assignments {
                if let Some(member) = self.members.get_mut(&member_id) {
                    member.assignment = assignment;
                }
            }
            self.state = State::Stable;
            self.answer_syncs(now);
        }
        Outcome::Later(receiver)
    }

    fn check_sync(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        (protocol_type, protocol): (Option<&str>, Option<&str>),
    ) -> Result<(), GroupError> {
        self.check_member(member_id, instance_id)?;
        let differs =
            |said: Option<&str>, is: Option<&str>| said.is_some_and(|said| Some(said) != is);
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if differs(protocol_type, self.protocol_type.as_deref())
            || differs(protocol, self.protocol.as_deref())
        {
            return Err(GroupError::InconsistentProtocol);
        }
        match self.state {
            State::Empty => Err(GroupError::UnknownMember),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    fn sync_result(&self, member_id: &str) -> SyncResult {
        let member = self.members.get(member_id);
        SyncResult {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: member
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    fn answer_syncs(&mut self, now: Instant) {
        let waiting = self
            .members
            .values()
            .filter(|member| member.waiting_sync.is_some());
        let waiting: Vec<String> = waiting.map(|member| member.id.clone()).collect();
        for id in waiting {
            let result = self.sync_result(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.heard(now);
                member.answer_sync(result);
            }
        }
    }

    /// A sign of life.
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard(now);
        }
        match self.state {
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::Empty | State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Whether offsets may be committed by this member, or by nobody in particular (generation -1) in a group
    /// without members.
    pub(crate) fn check_commit(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        self.idle_since = None;
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard(now);
        }
        Ok(())
    }

    /// The present generation, as told to a member that joins without need.
    pub(super) fn present_generation(&self, member_id: &str) -> JoinResult {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == member_id {
            self.leader_view()
        } else {
            Vec::new()
        };
        JoinResult {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            member_id: member_id.to_owned(),
            members,
            skip_assignment: false,
        }
    }

    /// Whether any member consumes this topic. A member whose subscription cannot be read counts as doing so.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members.values().any(|member| {
            let metadata = member.metadata(protocol);
            subscribed_topics(&metadata).is_none_or(|topics| topics.contains(&topic.as_bytes()))
        })
    }

    pub(super) fn leader_view(&self) -> Vec<(String, Option<String>, Bytes)> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .values()
            .map(|member| {
                (
                    member.id.clone(),
                    member.instance_id.clone(),
                    member.metadata(protocol),
                )
            })
            .collect()
    }
}

/// The topics at the start of a consumer's subscription: a version, then an array of strings.
fn subscribed_topics(mut metadata: &[u8]) -> Option<Vec<&[u8]>> {
    metadata.try_get_i16().ok()?;
    let count = metadata.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        topics.push(metadata.split_off(..length)?);
    }
    Some(topics)
}
