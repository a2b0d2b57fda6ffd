//! What became of a batch, for metrics.

use std::collections::HashMap;
use std::sync::Arc;

use sagaline_saga::{Participant, Status};
use tokio::time::Instant;

use super::handler::ParticipantHandler;
use super::work::OrderWork;
use crate::{Effects, Inbound};

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    pub(super) fn measure(&self, batch: &[Inbound], done: &[OrderWork<P>], started: Instant) {
        let elapsed = started.elapsed();
        let mut topics: Vec<(&Arc<str>, usize)> = Vec::new();
        for message in batch {
            match topics
                .iter_mut()
                .find(|(topic, _)| **topic == message.topic)
            {
                Some((_, count)) => *count += 1,
                None => topics.push((&message.topic, 1)),
            }
        }
        let mut counts: HashMap<(&str, Status), u64> = HashMap::new();
        for handled in done.iter().flat_map(|work| work.session.handled()) {
            *counts
                .entry((handled.topic.as_str(), handled.status))
                .or_default() += 1;
        }
        for (topic, count) in topics {
            self.metrics.duration(topic, elapsed, count);
            for status in [Status::Ok, Status::Duplicate, Status::Parked, Status::Dead] {
                if let Some(count) = counts.get(&(&**topic, status)) {
                    self.metrics.processed(topic, status, *count);
                }
            }
        }
    }
}
