//! From a change of membership to the next generation, and what the passing of time does.

use super::member::SyncResult;
use super::state::{Group, GroupError, State};
use std::time::Duration;
use tokio::time::Instant;

impl Group {
    /// Begins a rebalance, or goes on with the one that has begun.
    pub(super) fn prepare_rebalance(&mut self, now: Instant) {
        if self.state != State::PreparingRebalance {
            for member in self.members.values_mut() {
                member.answer_sync(SyncResult::refused(GroupError::RebalanceInProgress));
            }
            self.state = State::PreparingRebalance;
            let longest = self
                .members
                .values()
                .map(|member| member.rebalance_timeout)
                .max();
            self.rebalance_deadline = Some(now + longest.unwrap_or(Duration::ZERO));
        }
        self.complete_rebalance_if_ready(now);
    }

    pub(super) fn complete_rebalance_if_ready(&mut self, now: Instant) {
        let everyone_joined = self.members.values().all(super::member::Member::has_joined);
        if self.state == State::PreparingRebalance && everyone_joined && self.pending.is_empty() {
            self.complete_rebalance(now);
        }
    }

    /// Starts the next generation with those who have joined.
    fn complete_rebalance(&mut self, now: Instant) {
        let absent = self.members.values().filter(|member| !member.has_joined());
        let absent: Vec<String> = absent.map(|member| member.id.clone()).collect();
        for id in absent {
            self.remove_member(&id);
        }
        self.rebalance_deadline = None;
        self.generation = self.generation.wrapping_add(1).max(1);
        if self.members.is_empty() {
            self.state = State::Empty;
            self.protocol = None;
            self.leader = None;
            return;
        }
        self.protocol = self.elect_protocol();
        if self.leader.is_none() {
            self.leader = self.members.keys().next().cloned();
        }
        self.state = State::CompletingRebalance;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let result = self.present_generation(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.heard(now);
                member.answer_join(result);
            }
        }
    }

    /// Of the protocols that everyone speaks, the one that most members prefer.
    fn elect_protocol(&self) -> Option<String> {
        let speaks = |name: &str| {
            self.members
                .values()
                .all(|member| member.protocols.iter().any(|(other, _)| other == name))
        };
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in self.members.values() {
            let Some((name, _)) = member.protocols.iter().find(|(name, _)| speaks(name)) else {
                continue;
            };
            match votes.iter_mut().find(|(other, _)| other == name) {
                Some((_, count)) => *count += 1,
                None => votes.push((name, 1)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        let winner = votes.iter().find(|(_, count)| *count == most);
        winner.map(|(name, _)| (*name).to_owned())
    }

    /// Drops what has lapsed by `now`; says when to look again.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let before = self.pending.len();
        self.pending.retain(|_, lapses| *lapses > now);
        let mut changed = self.pending.len() != before;
        if self
            .rebalance_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            self.pending.clear();
            self.complete_rebalance(now);
        }
        let gone = self
            .members
            .values()
            .filter(|member| member.expires <= now && !member.is_waiting());
        let gone: Vec<String> = gone.map(|member| member.id.clone()).collect();
        for id in &gone {
            tracing::info!(
                member = id,
                "group member has not been heard of in its session timeout"
            );
            self.remove_member(id);
        }
        if !gone.is_empty() {
            self.prepare_rebalance(now);
            changed = false;
        }
        if changed {
            self.complete_rebalance_if_ready(now);
        }
        self.next_expiry(now)
    }

    fn next_expiry(&self, now: Instant) -> Option<Instant> {
        // One that waits does not expire; look again a session later.
        let members = self.members.values().map(|member| {
            if member.is_waiting() {
                member.expires.max(now + member.session_timeout)
            } else {
                member.expires
            }
        });
        members
            .chain(self.pending.values().copied())
            .chain(self.rebalance_deadline)
            .min()
    }
}
