//! Topics from where they begin to where they ended.

use std::sync::Arc;

use async_trait::async_trait;
use sagaline_runtime::{BrokerError, Inbound, Replay, Span};

use super::{Cluster, PATIENCE_MS};
use crate::life::Life;
use crate::weather::Dependency;

/// A reading of topics, in no group.
pub(super) struct SimReplay {
    cluster: Arc<Cluster>,
    life: Arc<Life>,
    spans: Vec<Span>,
    /// By span, the slot and the next offset.
    places: Vec<(usize, usize)>,
}

fn offset(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(0)
}

impl SimReplay {
    pub(super) fn new(cluster: Arc<Cluster>, life: Arc<Life>, names: &[&str]) -> Self {
        let (mut spans, mut places) = (Vec::new(), Vec::new());
        let state = cluster.state.lock();
        let topics = &state.topics;
        for slot in 0..topics.slots() {
            if names.contains(&&**topics.name_of(slot)) {
                let first = topics.start(slot);
                spans.push(Span {
                    topic: Arc::clone(topics.name_of(slot)),
                    partition: i32::try_from(topics.partition_of(slot)).unwrap_or(0),
                    first: offset(first),
                    end: offset(topics.log(slot).len()),
                });
                places.push((slot, first));
            }
        }
        drop(state);
        Self {
            cluster,
            life,
            spans,
            places,
        }
    }

    /// Some messages of some partition; nothing when all are read.
    fn look(&mut self) -> Option<Vec<Inbound>> {
        let env = &self.cluster.env;
        let unread: Vec<usize> = (0..self.spans.len())
            .filter(|at| offset(self.places[*at].1) < self.spans[*at].end)
            .collect();
        let at = *unread.get(env.broker_dice.index(unread.len().max(1)))?;
        let (slot, next) = self.places[at];
        let left = usize::try_from(self.spans[at].end).unwrap_or(0) - next;
        let most = env.weather.read(|now| now.batch_max).max(1);
        let take = left.min(1 + env.broker_dice.index(most));
        self.places[at].1 = next + take;
        let state = self.cluster.state.lock();
        let batch = state.topics.inbound(slot, next, next + take).collect();
        Some(batch)
    }
}

#[async_trait]
impl Replay for SimReplay {
    fn spans(&self) -> &[Span] {
        &self.spans
    }

    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        self.life.before().await;
        let env = Arc::clone(&self.cluster.env);
        if env
            .fails_because_down(Dependency::Broker, PATIENCE_MS)
            .await
        {
            return Err(BrokerError::unavailable("hand out messages", "it is down"));
        }
        let gather = env.weather.read(|now| now.fetch_ms);
        env.take_time(&env.broker_dice, gather).await;
        Ok(self.look())
    }
}
