//! A batch of messages, decoded once and grouped by order.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sagaline_contracts::{DEAD_LETTER_SUFFIX, Event, EventType, OrderId, Rejected, Timestamp};
use sagaline_runtime::{Inbound, Outbound, orphan};
use sagaline_service_kit::telemetry::{self, EventMetrics};

use crate::projection::{Entry, PROJECTOR, PostMortem};

/// The topics, with what is counted of each.
pub(super) struct Topics {
    by_name: HashMap<&'static str, usize, RandomState>,
    all: Vec<Topic>,
}

struct Topic {
    name: &'static str,
    /// What its messages are.
    kind: EventType,
    metrics: EventMetrics,
}

/// A batch of messages, decoded.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) orders: HashMap<OrderId, Vec<Entry>, RandomState>,
    pub(super) letters: Vec<PostMortem>,
    /// What could not be read, by topic; nothing is published about what stands in a topic of dead letters.
    pub(super) poison: Vec<(usize, Option<Outbound>)>,
    /// How many messages came of each topic.
    pub(super) received: Vec<(usize, usize)>,
    /// The timestamp of the oldest event.
    pub(super) oldest: Option<Timestamp>,
}

impl Topics {
    pub(super) fn new() -> Self {
        let all: Vec<Topic> = EventType::topics()
            .map(|name| Topic {
                name,
                kind: EventType::parse(name).unwrap_or(EventType::DeadLetter),
                metrics: EventMetrics::register(PROJECTOR, name),
            })
            .collect();
        let by_name = all.iter().enumerate().map(|(at, topic)| (topic.name, at));
        Self {
            by_name: by_name.collect(),
            all,
        }
    }

    pub(super) fn metrics(&self, topic: usize) -> &EventMetrics {
        &self.all[topic].metrics
    }

    pub(super) fn is_of(&self, topic: usize, kind: EventType) -> bool {
        self.all[topic].kind == kind
    }

    pub(super) fn decode(&self, messages: &[Inbound], now: Timestamp) -> Batch {
        let mut batch = Batch::default();
        batch.orders.reserve(messages.len());
        let mut received = vec![0; self.all.len()];
        for message in messages {
            let Some(at) = self.by_name.get(&*message.topic).copied() else {
                tracing::warn!(topic = %message.topic, "a message of a topic that nobody asked for");
                continue;
            };
            received[at] += 1;
            let kind = self.all[at].kind;
            match Event::decode(kind, message.key.as_deref(), message.value.as_deref()) {
                Ok(event) => batch.take(event, message),
                Err(rejected) => batch
                    .poison
                    .push((at, self.bury(at, message, &rejected, now))),
            }
        }
        let counted = received.into_iter().enumerate();
        batch.received = counted.filter(|(_, count)| *count > 0).collect();
        batch
    }

    /// The dead letter of a message that cannot be read. There is none of a dead letter: it would go round for ever.
    fn bury(
        &self,
        topic: usize,
        message: &Inbound,
        rejected: &Rejected,
        now: Timestamp,
    ) -> Option<Outbound> {
        let Inbound {
            topic: name,
            partition,
            offset,
            ..
        } = message;
        tracing::warn!(topic = %name, partition, offset, kind = rejected.kind.as_str(), error = %rejected, "a message cannot be read");
        if self.all[topic].name.ends_with(DEAD_LETTER_SUFFIX) {
            return None;
        }
        telemetry::dead_letters(self.all[topic].name, PROJECTOR).increment(1);
        Some(orphan(PROJECTOR, message, rejected, now))
    }
}

impl Batch {
    fn take(&mut self, event: Event, message: &Inbound) {
        let at = event.timestamp;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.letters.extend(PostMortem::of(&event));
        if let Some(id) = event.order_id.clone() {
            let wire = message.value.as_deref().unwrap_or_default();
            let entry = Entry::new(event, wire);
            // Most orders have one event in a batch.
            let entries = self
                .orders
                .entry(id)
                .or_insert_with(|| Vec::with_capacity(1));
            entries.push(entry);
        }
    }
}
