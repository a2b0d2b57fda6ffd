//! A consumer group: who reads what, and how far it is.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Topics;
use crate::env::Env;
use crate::life::Life;

/// No member.
const NOBODY: u64 = 0;

/// A consumer group.
pub(crate) struct Group {
    /// Which topics it reads.
    subscribed: Vec<bool>,
    members: Vec<Member>,
    /// Who owns each slot.
    owners: Vec<u64>,
    committed: Vec<usize>,
    /// Partitions of each topic that it has heard of.
    known: usize,
    /// Told of messages and of rebalances.
    pub(super) changed: Arc<Notify>,
}

/// A member of a group.
pub(super) struct Member {
    pub(super) id: u64,
    life: Arc<Life>,
    /// The next message of each slot that is its own.
    pub(super) positions: Vec<usize>,
    /// What is done of each slot, where that is not committed.
    pub(super) done: Vec<Option<usize>>,
}

impl Group {
    pub(super) fn new(topics: &Topics, changed: Arc<Notify>) -> Self {
        let slots = topics.slots();
        Self {
            subscribed: vec![false; slots / topics.partitions()],
            members: Vec::new(),
            owners: vec![NOBODY; slots],
            committed: vec![0; slots],
            known: topics.open(),
            changed,
        }
    }

    pub(super) fn subscribe(&mut self, topics: &Topics, names: &[&str]) {
        for name in names {
            if let Some(topic) = topics.topic(name) {
                self.subscribed[topic] = true;
            }
        }
    }

    pub(super) fn reads(&self, topic: usize) -> bool {
        self.subscribed[topic]
    }

    /// How far the group has committed a slot.
    pub(super) fn committed(&self, slot: usize) -> usize {
        self.committed[slot]
    }

    /// It hears of the partitions that there are.
    pub(super) fn learn(&mut self, topics: &Topics) {
        self.known = topics.open();
    }

    pub(super) fn has(&self, member: u64) -> bool {
        self.members.iter().any(|known| known.id == member)
    }

    pub(super) fn owns(&self, member: u64, slot: usize) -> bool {
        self.owners.get(slot) == Some(&member)
    }

    pub(super) fn join(&mut self, member: u64, life: Arc<Life>) {
        self.members.push(Member {
            id: member,
            life,
            positions: self.committed.clone(),
            done: vec![None; self.committed.len()],
        });
    }

    /// Removes the members of a process; whether there was one.
    pub(super) fn leave(&mut self, life: u64) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.life.id != life);
        self.members.len() != before
    }

    pub(super) fn leave_member(&mut self, member: u64) {
        self.members.retain(|known| known.id != member);
    }

    pub(super) fn member(&mut self, id: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// Gives the slots out anew among the members that there are.
    pub(super) fn rebalance(&mut self, env: &Env, partitions: usize) {
        let (eager, scattered, commit_lost) = env
            .weather
            .read(|now| (now.eager, now.scattered, now.commit_lost));
        let dice = &env.broker_dice;
        let turn = dice.index(self.members.len());
        for slot in 0..self.owners.len() {
            if !self.subscribed[slot / partitions] {
                continue;
            }
            let place = if scattered { slot } else { slot % partitions };
            let next = match self.members.len() {
                _ if slot % partitions >= self.known => NOBODY,
                0 => NOBODY,
                count => self.members[(place + turn) % count].id,
            };
            let before = self.owners[slot];
            if before == next && !eager {
                continue;
            }
            let is_lost = dice.chance(commit_lost);
            if let Some(member) = self.members.iter_mut().find(|member| member.id == before) {
                let done = member.done[slot].take();
                match done {
                    // The next owner begins where this one has ended, if that one was not told in time.
                    Some(done) if !is_lost => {
                        self.committed[slot] = self.committed[slot].max(done);
                    }
                    Some(_) => env.fault("commit lost in a rebalance"),
                    None => {}
                }
            }
            self.owners[slot] = next;
            let start = self.committed[slot];
            if let Some(member) = self.members.iter_mut().find(|member| member.id == next) {
                member.positions[slot] = start;
                member.done[slot] = None;
            }
        }
        self.changed.notify_waiters();
    }

    /// What a member has done of a slot. One that was taken away meanwhile is the next owner's to commit.
    pub(super) fn done(&mut self, member: u64, slot: usize, next: usize) {
        if self.owners.get(slot) != Some(&member) {
            return;
        }
        if let Some(member) = self.member(member) {
            member.done[slot] = Some(next);
        }
    }

    /// Commits what a member has done; whether there was anything.
    pub(super) fn commit(&mut self, member: u64) {
        let Some(at) = self.members.iter().position(|known| known.id == member) else {
            return;
        };
        for slot in 0..self.committed.len() {
            if let Some(done) = self.members[at].done[slot].take() {
                // A batch from before a rebalance may be done after a later one: a client commits nothing that is behind.
                self.committed[slot] = self.committed[slot].max(done);
            }
        }
    }

    pub(super) fn lag(&self, topics: &Topics) -> u64 {
        let slots = self.committed.iter().enumerate();
        let lags = slots
            .filter(|(slot, _)| self.subscribed[topics.topic_of(*slot)])
            .map(|(slot, committed)| topics.log(slot).len().saturating_sub(*committed));
        lags.map(|lag| lag as u64).sum()
    }
}
