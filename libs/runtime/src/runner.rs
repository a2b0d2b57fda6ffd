//! Runs one participant: decode, group by order, load, decide, carry out, save, publish.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sagaline_contracts::{Event, EventId, EventType, OrderId, Timestamp};
use sagaline_saga::{
    Delivery, EffectFailure, Emission, OrderRecord, OutboxEntry, Participant, RetryPolicy, Session,
    Source, Status,
};
use sagaline_store::{Index, SaveResult, StoreError, Stored, Write};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::EventMetrics;
use crate::outbox::{AckedSet, OutboxRelay, RelayFaults};
use crate::{
    BatchHandler, ConsumerLoop, EffectRequest, Effects, Inbound, LoopOptions, Outage, Outbound,
    Ports, Producer, RuntimeError, dead_letter,
};

/// Beyond so many lost races for the same orders, the batch backs off as in an outage.
const CONFLICTS_MAX: usize = 32;
/// The most due records that one tick looks after.
const DUE_MAX: usize = 500;

/// How a participant runs.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// The collection of its records.
    pub collection: &'static str,
    /// When an event is tried again whose effect failed for its order alone.
    pub retry: RetryPolicy,
    /// How its consumer runs.
    pub consumer: LoopOptions,
}

impl RunnerOptions {
    /// The usual, with records in `collection`.
    pub fn new(collection: &'static str) -> Self {
        Self {
            collection,
            retry: RetryPolicy::default(),
            consumer: LoopOptions::default(),
        }
    }
}

/// Runs one participant on the ports.
pub struct Runner<P, E> {
    participant: Arc<P>,
    effects: Arc<E>,
    ports: Ports,
    options: RunnerOptions,
    acked: AckedSet,
    faults: RelayFaults,
}

impl<P: Participant, E: Effects<P>> Runner<P, E> {
    /// A runner that is not running yet.
    pub fn new(participant: Arc<P>, effects: Arc<E>, ports: Ports, options: RunnerOptions) -> Self {
        Self {
            participant,
            effects,
            ports,
            options,
            acked: AckedSet::default(),
            faults: RelayFaults::default(),
        }
    }

    /// Shares what is known to be acknowledged with the relay that publishes HTTP-caused events.
    #[must_use]
    pub fn with_acked(mut self, acked: AckedSet) -> Self {
        self.acked = acked;
        self
    }

    /// Lets the sweep's publishes fail on purpose.
    #[must_use]
    pub fn with_faults(mut self, faults: RelayFaults) -> Self {
        self.faults = faults;
        self
    }

    /// Runs until `shutdown`, then finishes what is in hand.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RuntimeError> {
        let service = self.participant.name();
        let mut topics: Vec<&'static str> = self
            .participant
            .subscriptions()
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        topics.push(EventType::RedriveRequested.as_str());
        let (ports, consumer) = (self.ports.clone(), self.options.consumer.clone());
        let handler = ParticipantHandler {
            participant: self.participant,
            effects: self.effects,
            ports: self.ports,
            options: self.options,
            relay: OnceCell::new(),
            acked: self.acked,
            faults: parking_lot::Mutex::new(Some(self.faults)),
            metrics: EventMetrics::new(service),
        };
        ConsumerLoop::new(service, topics, Arc::new(handler), ports, consumer)
            .run(shutdown)
            .await
    }
}

struct ParticipantHandler<P, E> {
    participant: Arc<P>,
    effects: Arc<E>,
    ports: Ports,
    options: RunnerOptions,
    relay: OnceCell<(Arc<dyn Producer>, OutboxRelay)>,
    acked: AckedSet,
    faults: parking_lot::Mutex<Option<RelayFaults>>,
    metrics: EventMetrics,
}

/// The messages of one order in a batch, and the session that works them off.
struct OrderWork<P: Participant> {
    order_id: OrderId,
    /// Positions in the batch.
    messages: Vec<usize>,
    version: u64,
    session: Session<P>,
}

#[async_trait]
impl<P: Participant, E: Effects<P>> BatchHandler for ParticipantHandler<P, E> {
    async fn handle(&self, batch: &[Inbound]) -> Result<(), Outage> {
        let started = Instant::now();
        let mut publish = Vec::with_capacity(batch.len());
        let (groups, decoded) = self.group(batch, &mut publish);
        let mut done: Vec<OrderWork<P>> = Vec::with_capacity(groups.len());
        let mut open = self.load(groups, batch, decoded).await?;
        for _ in 0..CONFLICTS_MAX {
            self.work(&mut open).await?;
            let lost = self.save(&mut open).await?;
            done.append(&mut open);
            if lost.is_empty() {
                break;
            }
            // Somebody else saved first: from the record as it is now, with the same messages.
            open = self.load(lost, batch, HashMap::new()).await?;
        }
        if !open.is_empty() {
            return Err(Outage::new(
                "store",
                "too many instances write the same orders",
            ));
        }
        self.publish(&done, publish).await?;
        let orders: Vec<OrderId> = done.iter().map(|work| work.order_id.clone()).collect();
        self.effects.saved(&orders);
        self.measure(batch, &done, started);
        Ok(())
    }

    async fn tick(&self, now: Timestamp) -> Result<(), Outage> {
        let due = self
            .ports
            .store
            .due(self.options.collection, now.micros(), DUE_MAX)
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut open = Vec::with_capacity(due.len());
        for stored in due {
            let mut work = self.open(&stored)?;
            work.session.expire(&*self.participant, now);
            open.push(work);
        }
        self.sweep(&mut open, now).await?;
        self.work(&mut open).await?;
        // Who lost a race has nothing to do: the winner's record is looked after at the next tick.
        self.save(&mut open).await?;
        self.publish(&open, Vec::new()).await
    }
}

type Group = (OrderId, Vec<usize>);

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Decodes a batch and groups it by order, in the order of arrival; messages of no order become dead letters.
    fn group(
        &self,
        batch: &[Inbound],
        publish: &mut Vec<Outbound>,
    ) -> (Vec<Group>, HashMap<usize, Delivery>) {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_order: HashMap<OrderId, usize> = HashMap::with_capacity(batch.len());
        let mut decoded = HashMap::with_capacity(batch.len());
        for (at, message) in batch.iter().enumerate() {
            match delivery(message) {
                Ok((order_id, delivery)) => {
                    decoded.insert(at, delivery);
                    let group = *by_order.entry(order_id).or_insert_with_key(|order_id| {
                        groups.push((order_id.clone(), Vec::new()));
                        groups.len() - 1
                    });
                    if let Some((_, messages)) = groups.get_mut(group) {
                        messages.push(at);
                    }
                }
                Err(rejected) => {
                    publish.push(dead_letter::orphan(
                        self.participant.name(),
                        message,
                        &rejected,
                        self.ports.clock.now(),
                    ));
                    self.metrics.processed(&message.topic, Status::Dead, 1);
                }
            }
        }
        (groups, decoded)
    }

    async fn load(
        &self,
        groups: Vec<Group>,
        batch: &[Inbound],
        mut decoded: HashMap<usize, Delivery>,
    ) -> Result<Vec<OrderWork<P>>, Outage> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = groups
            .iter()
            .map(|(order_id, _)| order_id.as_str())
            .collect();
        let stored = self.ports.store.load(self.options.collection, &ids).await?;
        let mut works = Vec::with_capacity(groups.len());
        for ((order_id, messages), stored) in groups.into_iter().zip(stored) {
            let mut work = match stored {
                Some(stored) => self.open(&stored)?,
                None => OrderWork {
                    order_id: order_id.clone(),
                    messages: Vec::new(),
                    version: 0,
                    session: Session::new(
                        OrderRecord::unknown(order_id),
                        self.options.retry.clone(),
                    ),
                },
            };
            for at in &messages {
                let again = || {
                    batch
                        .get(*at)
                        .and_then(|message| delivery(message).ok())
                        .map(|(_, delivery)| delivery)
                };
                if let Some(delivery) = decoded.remove(at).or_else(again) {
                    work.session.offer(delivery);
                }
            }
            work.messages = messages;
            works.push(work);
        }
        Ok(works)
    }

    fn open(&self, stored: &Stored) -> Result<OrderWork<P>, Outage> {
        let record: OrderRecord<P::State> =
            serde_json::from_slice(&stored.body).map_err(|source| {
                Outage::from(StoreError::Unusable {
                    collection: self.options.collection.to_owned(),
                    id: stored.id.clone(),
                    source: source.into(),
                })
            })?;
        Ok(OrderWork {
            order_id: record.order_id.clone(),
            messages: Vec::new(),
            version: stored.version,
            session: Session::new(record, self.options.retry.clone()),
        })
    }

    /// Advances every order until all are idle; effects of many orders are carried out together.
    async fn work(&self, open: &mut [OrderWork<P>]) -> Result<(), Outage> {
        loop {
            let now = self.ports.clock.now();
            let mut waiting = Vec::new();
            let mut requests = Vec::new();
            for (at, work) in open.iter_mut().enumerate() {
                if let Some((event_id, effect)) = work.session.advance(&*self.participant, now) {
                    waiting.push(at);
                    requests.push(EffectRequest {
                        order_id: work.order_id.clone(),
                        event_id,
                        effect,
                    });
                }
            }
            if requests.is_empty() {
                return Ok(());
            }
            let outcomes = self.effects.carry_out(&requests).await?;
            let now = self.ports.clock.now();
            let mut outcomes = outcomes.into_iter();
            for at in waiting {
                // A short answer is a bug of the effects; the order is tried again later, the others go on.
                let outcome = outcomes.next().unwrap_or_else(|| {
                    Err(EffectFailure::Transient(
                        "the effect gave no answer".to_owned(),
                    ))
                });
                if let Some(work) = open.get_mut(at) {
                    work.session.settle(&*self.participant, outcome, now);
                }
            }
        }
    }

    /// Saves what changed. Takes out the orders that somebody else saved first, and gives their messages back.
    async fn save(&self, open: &mut Vec<OrderWork<P>>) -> Result<Vec<Group>, Outage> {
        let mut writes = Vec::with_capacity(open.len());
        let mut written = Vec::with_capacity(open.len());
        for (at, work) in open.iter_mut().enumerate() {
            work.session
                .forget_acknowledged(|id| self.acked.contains(id));
            if work.session.changed() {
                writes.push(self.write(work)?);
                written.push(at);
            }
        }
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let results = self
            .ports
            .store
            .save(self.options.collection, writes)
            .await?;
        let mut lost = Vec::new();
        for (at, result) in written.into_iter().zip(results).rev() {
            if result == SaveResult::Conflict {
                let work = open.swap_remove(at);
                lost.push((work.order_id, work.messages));
            }
        }
        Ok(lost)
    }

    fn write(&self, work: &OrderWork<P>) -> Result<Write, Outage> {
        let record = work.session.record();
        let body = serde_json::to_vec(record).map_err(|source| {
            Outage::from(StoreError::Unusable {
                collection: self.options.collection.to_owned(),
                id: work.order_id.to_string(),
                source: source.into(),
            })
        })?;
        let standing = self.participant.standing(&record.state);
        let due = work.session.due(&*self.participant).map(Timestamp::micros);
        Ok(Write {
            id: work.order_id.to_string(),
            expected: work.version,
            body: Bytes::from(body),
            index: Index {
                due,
                tag: standing.tag.map(str::to_owned),
                rank: standing.rank,
                settled: standing.settled && due.is_none() && record.parked.is_empty(),
            },
        })
    }

    /// Publishes what the sessions caused, and waits for the acknowledgements.
    async fn publish(
        &self,
        works: &[OrderWork<P>],
        mut messages: Vec<Outbound>,
    ) -> Result<(), Outage> {
        for work in works {
            let key = work.order_id.as_str();
            messages.extend(
                work.session
                    .publish()
                    .iter()
                    .map(|emission| Outbound::emission(key, emission)),
            );
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.relay().await?.0.publish(messages).await?;
        for work in works
            .iter()
            .filter(|work| !work.session.record().outbox.is_empty())
        {
            let published = |id: &EventId| {
                work.session
                    .publish()
                    .iter()
                    .any(|emission| emission.id == *id)
            };
            let entries = work.session.record().outbox.iter();
            self.acked.insert(
                entries
                    .map(|entry| entry.emission.id.clone())
                    .filter(published),
            );
        }
        Ok(())
    }

    /// Publishes outbox entries whose time has come, all at once: one by one they would keep the consumer waiting.
    async fn sweep(&self, open: &mut [OrderWork<P>], now: Timestamp) -> Result<(), Outage> {
        let is_due = |entry: &OutboxEntry| {
            entry.next_attempt <= now && !self.acked.contains(&entry.emission.id)
        };
        let mut by_attempt: BTreeMap<u32, Vec<(OrderId, Emission)>> = BTreeMap::new();
        for work in open.iter() {
            for entry in work
                .session
                .record()
                .outbox
                .iter()
                .filter(|entry| is_due(entry))
            {
                // The first attempt was made when the entry was handed over.
                let attempt = entry.attempts.saturating_add(2);
                let emission = (work.order_id.clone(), entry.emission.clone());
                by_attempt.entry(attempt).or_default().push(emission);
            }
        }
        if by_attempt.is_empty() {
            return Ok(());
        }
        let (_, relay) = self.relay().await?;
        let mut failures: HashMap<EventId, String> = HashMap::new();
        for (attempt, emissions) in by_attempt {
            if let Err(error) = relay.publish(&emissions, attempt).await {
                let error = Outage::from(error).chain();
                let ids = emissions.into_iter().map(|(_, emission)| emission.id);
                failures.extend(ids.map(|id| (id, error.clone())));
            }
        }
        for work in open
            .iter_mut()
            .filter(|work| !work.session.record().outbox.is_empty())
        {
            for entry in &mut work.session.record_mut().outbox {
                if let Some(error) = failures.remove(&entry.emission.id) {
                    entry.attempts = entry.attempts.saturating_add(1);
                    let delay = self.options.retry.delay(&entry.emission.id, entry.attempts);
                    entry.next_attempt = now + delay;
                    entry.last_error = Some(error);
                }
            }
        }
        Ok(())
    }

    async fn relay(&self) -> Result<&(Arc<dyn Producer>, OutboxRelay), Outage> {
        self.relay
            .get_or_try_init(|| async {
                let producer = self.ports.broker.producer(self.participant.name()).await?;
                let faults = self.faults.lock().take().unwrap_or_default();
                let relay = OutboxRelay::new(Arc::clone(&producer), self.acked.clone(), faults);
                Ok((producer, relay))
            })
            .await
    }

    fn measure(&self, batch: &[Inbound], done: &[OrderWork<P>], started: Instant) {
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

/// Reads a message as a delivery to an order; an error when no order can be made out.
fn delivery(message: &Inbound) -> Result<(OrderId, Delivery), sagaline_contracts::Rejected> {
    let source = Source {
        topic: message.topic.to_string(),
        partition: message.partition,
        offset: message.offset,
    };
    let kind = EventType::parse(&message.topic).unwrap_or(EventType::DeadLetter);
    match Event::decode(kind, message.key.as_deref(), message.value.as_deref()) {
        Ok(event) => match event.order_id.clone() {
            Some(order_id) => Ok((order_id, Delivery::Event { source, event })),
            None => unreachable!("only dead letters have no order, and no participant reads those"),
        },
        Err(rejected) => {
            let key = message
                .key
                .as_deref()
                .and_then(|key| std::str::from_utf8(key).ok());
            match key.and_then(|key| OrderId::new(key).ok()) {
                Some(order_id) => {
                    let value = message.value.as_ref().map(|value| value.to_vec());
                    Ok((
                        order_id,
                        Delivery::Poison {
                            source,
                            value,
                            rejected,
                        },
                    ))
                }
                None => Err(rejected),
            }
        }
    }
}
