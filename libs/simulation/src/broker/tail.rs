//! Topics from where a group has committed them, without an end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sagaline_runtime::{BrokerError, Inbound, Tail};

use super::{Cluster, PATIENCE_MS};
use crate::life::Life;
use crate::weather::Dependency;

/// How long messages that are not there yet take, at most.
const HOLD_MS: u64 = 20;

/// Everything that a group has yet to do, and what is published from now on.
pub(super) struct SimTail {
    cluster: Arc<Cluster>,
    life: Arc<Life>,
    /// By slot that is read, the next offset.
    places: Vec<(usize, usize)>,
}

impl SimTail {
    pub(super) fn new(cluster: Arc<Cluster>, life: Arc<Life>, group: &str, names: &[&str]) -> Self {
        let state = cluster.state.lock();
        let (topics, group) = (&state.topics, state.groups.get(group));
        let places = (0..topics.slots())
            .filter(|slot| names.contains(&&**topics.name_of(*slot)))
            .map(|slot| {
                let committed = group.map_or(0, |group| group.committed(slot));
                (slot, committed)
            })
            .collect();
        drop(state);
        Self {
            cluster,
            life,
            places,
        }
    }

    /// What is there: the messages, and whether some are held back.
    fn look(&mut self) -> (Vec<Inbound>, bool) {
        let env = &self.cluster.env;
        let hold = env.weather.read(|now| now.hold);
        let state = self.cluster.state.lock();
        let topics = &state.topics;
        let (mut batch, mut is_held_back) = (Vec::new(), false);
        for (slot, next) in &mut self.places {
            // What was dropped while this one stood still is gone for it.
            *next = (*next).max(topics.start(*slot));
            let log = topics.log(*slot);
            if *next >= log.len() {
                continue;
            }
            if env.broker_dice.chance(hold) {
                is_held_back = true;
                continue;
            }
            batch.extend(topics.inbound(*slot, *next, log.len()));
            *next = log.len();
        }
        (batch, is_held_back)
    }
}

#[async_trait]
impl Tail for SimTail {
    async fn next(&mut self) -> Result<Vec<Inbound>, BrokerError> {
        let env = Arc::clone(&self.cluster.env);
        loop {
            self.life.before().await;
            if env
                .fails_because_down(Dependency::Broker, PATIENCE_MS)
                .await
            {
                return Err(BrokerError::unavailable("hand out messages", "it is down"));
            }
            let cluster = Arc::clone(&self.cluster);
            let appended = cluster.appended.notified();
            let (batch, is_held_back) = self.look();
            if !batch.is_empty() {
                return Ok(batch);
            }
            if is_held_back {
                let pause = 1 + env.broker_dice.up_to(HOLD_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            } else {
                appended.await;
            }
            let gather = env.weather.read(|now| now.fetch_ms);
            env.take_time(&env.broker_dice, gather).await;
        }
    }
}
