//! A member of a consumer group.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sagaline_runtime::{BrokerError, Consumer, Inbound};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Cluster, PATIENCE_MS, State};
use crate::life::Life;
use crate::weather::Dependency;

/// How long messages that are not there yet take, at most.
const HOLD_MS: u64 = 20;

/// A member of a consumer group.
pub(crate) struct SimConsumer {
    cluster: Arc<Cluster>,
    life: Arc<Life>,
    group: String,
    member: u64,
    changed: Arc<Notify>,
    /// When it last committed.
    committed: Instant,
    /// Something is done, but not committed.
    uncommitted: bool,
    /// It was taken in.
    joined: bool,
    left: bool,
}

/// What a look at the broker gave.
enum Look {
    Batch(Vec<Inbound>),
    /// Nothing, or nothing yet: look again after a while.
    Wait(Option<Duration>),
}

impl SimConsumer {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        life: Arc<Life>,
        group: String,
        member: u64,
        changed: Arc<Notify>,
    ) -> Self {
        let consumer = Self {
            cluster,
            life,
            group,
            member,
            changed,
            committed: Instant::now(),
            uncommitted: false,
            joined: true,
            left: false,
        };
        consumer.join(&mut consumer.cluster.state.lock());
        consumer
    }

    fn join(&self, state: &mut State) {
        let State { topics, groups, .. } = state;
        if let Some(group) = groups.get_mut(&self.group) {
            group.join(self.member, Arc::clone(&self.life));
            group.rebalance(&self.cluster.env, topics.partitions());
        }
        self.cluster
            .env
            .trace
            .note((5_u8, &self.group, self.life.id), || {
                format!("#{} joins the group {}", self.life.id, self.group)
            });
    }

    /// What is there for this member.
    fn look(&mut self) -> Look {
        let cluster = Arc::clone(&self.cluster);
        let env = &cluster.env;
        let mut state = cluster.state.lock();
        if !state
            .groups
            .get(&self.group)
            .is_some_and(|group| group.has(self.member))
        {
            // It was silent for too long; the group went on without it.
            self.join(&mut state);
        }
        let State {
            topics,
            groups,
            withheld,
            ..
        } = &mut *state;
        let Some(group) = groups.get_mut(&self.group) else {
            return Look::Wait(None);
        };
        let (batch_max, hold, commit_ms) = env
            .weather
            .read(|now| (now.batch_max, now.hold, now.commit_ms));
        let dice = &env.broker_dice;
        let mut batch = Vec::new();
        let mut held_back = false;
        let mut until: Option<Duration> = None;
        let slots = topics.slots();
        let first = dice.index(slots);
        let most = 1 + dice.index(batch_max.max(1));
        for slot in (first..slots).chain(0..first) {
            if batch.len() >= most {
                break;
            }
            if !group.owns(self.member, slot) {
                continue;
            }
            let log = topics.log(slot);
            let Some(member) = group.member(self.member) else {
                continue;
            };
            let position = member.positions[slot].max(topics.start(slot));
            if position >= log.len() {
                continue;
            }
            if let Some(left) = withheld.left(&self.group, topics.topic_of(slot)) {
                until = Some(until.map_or(left, |until| until.min(left)));
                continue;
            }
            if dice.chance(hold) {
                held_back = true;
                continue;
            }
            let take = (log.len() - position).min(most - batch.len());
            batch.extend(topics.inbound(slot, position, position + take));
            member.positions[slot] = position + take;
        }
        if !batch.is_empty() {
            env.trace.note((6_u8, self.life.id, batch.len()), || {
                let places: Vec<String> = batch
                    .iter()
                    .map(|message| {
                        format!("{}/{}@{}", message.topic, message.partition, message.offset)
                    })
                    .collect();
                format!("#{} receives {}", self.life.id, places.join(" "))
            });
            return Look::Batch(batch);
        }
        let mut wait = held_back.then(|| Duration::from_millis(1 + dice.up_to(HOLD_MS)));
        if let Some(until) = until {
            wait = Some(wait.map_or(until, |wait| wait.min(until)));
        }
        if self.uncommitted {
            let due = self.committed + Duration::from_millis(commit_ms);
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                group.commit(self.member);
                self.uncommitted = false;
                self.committed = Instant::now();
            } else {
                wait = Some(wait.map_or(left, |wait| wait.min(left)));
            }
        }
        Look::Wait(wait)
    }
}

#[async_trait]
impl Consumer for SimConsumer {
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        let env = Arc::clone(&self.cluster.env);
        loop {
            self.life.before().await;
            if env
                .fails_because_down(Dependency::Broker, PATIENCE_MS)
                .await
            {
                return Err(BrokerError::unavailable("hand out messages", "it is down"));
            }
            let changed = Arc::clone(&self.changed);
            let changed = changed.notified();
            match self.look() {
                Look::Batch(batch) => {
                    if env.wants_coverage() {
                        self.cluster.cover(&self.group, &batch);
                    }
                    return Ok(Some(batch));
                }
                Look::Wait(None) => changed.await,
                Look::Wait(Some(limit)) => {
                    // Whichever comes first, it looks again.
                    let _ = tokio::time::timeout(limit, changed).await;
                }
            }
            // Messages that come together are received together.
            let gather = env.weather.read(|now| now.fetch_ms);
            env.take_time(&env.broker_dice, gather).await;
        }
    }

    fn joined(&self) -> bool {
        self.joined
    }

    async fn done(&mut self, batch: &[Inbound]) {
        self.life.before().await;
        let env = &self.cluster.env;
        let mut state = self.cluster.state.lock();
        let State { topics, groups, .. } = &mut *state;
        let Some(group) = groups.get_mut(&self.group) else {
            return;
        };
        for message in batch {
            if let Some(slot) = topics.slot(&message.topic, message.partition) {
                let next = usize::try_from(message.offset).unwrap_or(0) + 1;
                group.done(self.member, slot, next);
                self.uncommitted = true;
            }
        }
        let commit_ms = env.weather.read(|now| now.commit_ms);
        let is_due = self.committed.elapsed() >= Duration::from_millis(commit_ms);
        if is_due && !env.weather.is_down(Dependency::Broker) {
            group.commit(self.member);
            self.uncommitted = false;
            self.committed = Instant::now();
        }
    }

    fn retain_assigned(&self, batch: &mut Vec<Inbound>) {
        let state = self.cluster.state.lock();
        let Some(group) = state.groups.get(&self.group) else {
            return;
        };
        batch.retain(|message| {
            state
                .topics
                .slot(&message.topic, message.partition)
                .is_some_and(|slot| group.owns(self.member, slot))
        });
    }

    async fn close(mut self: Box<Self>, _: Duration) {
        self.life.before().await;
        self.left = true;
        let mut state = self.cluster.state.lock();
        let State { topics, groups, .. } = &mut *state;
        if let Some(group) = groups.get_mut(&self.group) {
            group.commit(self.member);
            group.leave_member(self.member);
            group.rebalance(&self.cluster.env, topics.partitions());
        }
    }
}

impl Drop for SimConsumer {
    fn drop(&mut self) {
        // A process that dies tells nobody: its group finds out when it has been silent for too long. One that drops
        // its consumer and lives, leaves.
        if self.left || self.life.is_dead() {
            return;
        }
        let mut state = self.cluster.state.lock();
        let State { topics, groups, .. } = &mut *state;
        if let Some(group) = groups.get_mut(&self.group) {
            group.leave_member(self.member);
            group.rebalance(&self.cluster.env, topics.partitions());
        }
    }
}
