//! A batch of messages, decoded once and grouped by order.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sagaline_contracts::{
    DEAD_LETTER_SUFFIX, Event, EventType, OrderId, Rejected, RejectedKind, Timestamp,
};
use sagaline_runtime::{Inbound, Outbound, orphan, untried};
use sagaline_service_kit::telemetry::{self, EventMetrics};

use super::blame::Damaged;
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

    /// What the messages bring of these orders, once more: for the few that have to begin again.
    pub(super) fn brought(
        &self,
        messages: &[Inbound],
        ids: &[OrderId],
    ) -> HashMap<OrderId, Vec<Entry>, RandomState> {
        let mut brought: HashMap<OrderId, Vec<Entry>, RandomState> = HashMap::default();
        for message in messages {
            if let Some((event, id)) = self.event_of(message, ids) {
                let wire = message.value.as_deref().unwrap_or_default();
                brought.entry(id).or_default().push(Entry::new(event, wire));
            }
        }
        brought
    }

    /// The event that a message tells, with its order, if it is one of these.
    fn event_of(&self, message: &Inbound, ids: &[OrderId]) -> Option<(Event, OrderId)> {
        let kind = self.all[*self.by_name.get(&*message.topic)?].kind;
        let event = Event::decode(kind, message.key.as_deref(), message.value.as_deref()).ok()?;
        let id = event.order_id.clone().filter(|id| ids.contains(id))?;
        Some((event, id))
    }

    /// The dead letters of the messages of orders whose documents are not usable, by topic. When a document is mended they
    /// are redriven.
    pub(super) fn entomb(
        &self,
        messages: &[Inbound],
        damaged: &[Damaged],
        now: Timestamp,
    ) -> Vec<(usize, Option<Outbound>)> {
        if damaged.is_empty() {
            return Vec::new();
        }
        let ids: Vec<OrderId> = damaged.iter().map(|order| order.id.clone()).collect();
        let mut letters = Vec::new();
        for message in messages {
            let Some((_, id)) = self.event_of(message, &ids) else {
                continue;
            };
            let why = damaged.iter().find(|order| order.id == id);
            let rejected = Rejected {
                kind: RejectedKind::Schema,
                reason: format!(
                    "{}; when that is mended, redrive this message",
                    why.map_or("", |order| &order.why)
                ),
            };
            if let Some(at) = self.by_name.get(&*message.topic) {
                let letter = || untried(PROJECTOR, message, &rejected, now);
                letters.push((*at, self.may_die(*at).then(letter)));
            }
        }
        letters
    }

    /// Of a dead letter there is none: it would go round for ever.
    fn may_die(&self, topic: usize) -> bool {
        !self.all[topic].name.ends_with(DEAD_LETTER_SUFFIX)
    }

    /// The dead letter of a message that cannot be read.
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
        if !self.may_die(topic) {
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
