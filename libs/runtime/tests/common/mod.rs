//! A small world in memory: a broker that redelivers, a store and a producer that fail on request.

pub mod world;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sagaline_contracts::{Event, EventType, Timestamp};
use sagaline_runtime::{
    Broker, BrokerError, Consumer, Inbound, Outbound, Ports, Producer, RefusedMessage, SilentHealth,
};
use sagaline_saga::Clock;
use sagaline_store::{ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};
use tokio::sync::Notify;

/// A clock that only a test moves.
#[derive(Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(
            i64::try_from(duration.as_micros()).unwrap(),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("switched off")]
pub struct SwitchedOff;

/// When the next calls fail, and how.
#[derive(Default)]
pub struct Faults {
    /// So many calls fail before they do anything.
    pub before: AtomicUsize,
    /// So many calls fail after they did it: the answer is lost.
    pub after: AtomicUsize,
}

impl Faults {
    fn strike(counter: &AtomicUsize) -> bool {
        counter
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

/// A store in memory whose saves can fail.
#[derive(Default)]
pub struct FaultyStore {
    inner: MemoryStore,
    pub saves: Faults,
    /// Somebody else writes these documents first, once.
    pub rival: Mutex<Option<Write>>,
    /// These documents can be neither read nor written.
    pub damaged: Mutex<BTreeSet<String>>,
    /// This document can be read, but not written: it has grown too large, for instance.
    pub unwritable: Mutex<Option<String>>,
}

impl FaultyStore {
    /// As the real stores do: one such document fails the call.
    fn check<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<(), StoreError> {
        let damaged = self.damaged.lock();
        match ids.into_iter().find(|id| damaged.contains(*id)) {
            None => Ok(()),
            Some(id) => Err(unusable(id)),
        }
    }
}

fn unusable(id: &str) -> StoreError {
    StoreError::Unusable {
        collection: "toys".to_owned(),
        id: id.to_owned(),
        source: "its stored bytes are damaged".into(),
    }
}

fn outage() -> StoreError {
    StoreError::Unavailable {
        operation: "save".to_owned(),
        source: SwitchedOff.into(),
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.check(ids.iter().copied())?;
        self.inner.load(collection, ids).await
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        if Faults::strike(&self.saves.before) {
            return Err(outage());
        }
        self.check(writes.iter().map(|write| write.id.as_str()))?;
        let unwritable = self.unwritable.lock().clone();
        if let Some(id) = unwritable.filter(|id| writes.iter().any(|write| write.id == *id)) {
            // A store that writes one by one may have written some of the others.
            let before = writes.into_iter().take_while(|write| write.id != id);
            self.inner.save(collection, before.collect()).await?;
            return Err(unusable(&id));
        }
        let rival = self.rival.lock().take();
        if let Some(rival) = rival {
            self.inner.save(collection, vec![rival]).await?;
        }
        let saved = self.inner.save(collection, writes).await?;
        if Faults::strike(&self.saves.after) {
            return Err(outage());
        }
        Ok(saved)
    }

    async fn due(
        &self,
        collection: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.inner.due(collection, now, limit).await
    }

    async fn list(&self, collection: &str, query: ListQuery) -> Result<Vec<Stored>, StoreError> {
        self.inner.list(collection, query).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.inner.scan(collection, after, limit).await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.inner.count(collection).await
    }

    async fn count_tagged(&self, collection: &str, tag: &str) -> Result<u64, StoreError> {
        self.inner.count_tagged(collection, tag).await
    }

    async fn remove(
        &self,
        collection: &str,
        documents: Vec<(String, u64)>,
    ) -> Result<(), StoreError> {
        self.inner.remove(collection, documents).await
    }

    async fn clear(&self, collection: &str) -> Result<(), StoreError> {
        self.inner.clear(collection).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

/// A broker with one partition: messages wait until they are done, and come again to the next consumer when they are not.
#[derive(Default)]
pub struct FakeBroker {
    log: Mutex<Vec<Inbound>>,
    committed: Mutex<usize>,
    pub published: Mutex<Vec<Outbound>>,
    pub publishes: Faults,
    /// Whether it does not answer.
    pub away: AtomicBool,
    /// So many consumers find their place taken before they get anything.
    pub replaced: Faults,
    /// Producers that were asked for.
    pub producers: AtomicUsize,
    /// So many are refused.
    pub producers_refused: AtomicUsize,
    /// The largest message that it takes; 0 for any.
    pub largest: AtomicUsize,
    changed: Notify,
}

impl FakeBroker {
    pub fn send(&self, topic: &str, key: Option<&str>, value: Option<&[u8]>) {
        let mut log = self.log.lock();
        let offset = i64::try_from(log.len()).unwrap();
        log.push(Inbound {
            topic: topic.into(),
            partition: 0,
            offset,
            key: key.map(|key| key.to_owned().into()),
            value: value.map(|value| value.to_vec().into()),
        });
        drop(log);
        self.changed.notify_waiters();
    }

    pub fn send_event(&self, event: &Event) {
        self.send(
            event.event_type().as_str(),
            Some(event.key()),
            Some(&event.encode()),
        );
    }

    pub fn lag(&self) -> usize {
        self.log.lock().len() - *self.committed.lock()
    }

    /// Everything that was ever published, as events.
    pub fn events(&self) -> Vec<Event> {
        let published = self.published.lock();
        published
            .iter()
            .map(|message| {
                let kind = EventType::parse(&message.topic).unwrap_or(EventType::DeadLetter);
                Event::from_json(kind, &message.value).unwrap()
            })
            .collect()
    }

    /// The types of the distinct events that were published, in the order of their first publication.
    pub fn distinct(&self) -> Vec<EventType> {
        let mut seen = std::collections::HashSet::new();
        self.events()
            .iter()
            .filter(|event| seen.insert(event.id.clone()))
            .map(Event::event_type)
            .collect()
    }
}

pub struct Shared<T>(pub Arc<T>);

#[async_trait]
impl Broker for Shared<FakeBroker> {
    async fn producer(&self, _: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        self.0.producers.fetch_add(1, Ordering::SeqCst);
        if Faults::strike(&self.0.producers_refused) {
            return Err(BrokerError::unavailable("connect", SwitchedOff));
        }
        Ok(Arc::new(Shared(Arc::clone(&self.0))))
    }

    async fn consumer(&self, _: &str, _: &[&str]) -> Result<Box<dyn Consumer>, BrokerError> {
        let at = *self.0.committed.lock();
        Ok(Box::new(FakeConsumer {
            broker: Arc::clone(&self.0),
            at,
            queue: VecDeque::new(),
        }))
    }

    async fn ensure_topics(&self, _: &[&str], _: i32) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        if self.0.away.load(Ordering::SeqCst) {
            return Err(BrokerError::unavailable("answer", SwitchedOff));
        }
        Ok(())
    }
}

#[async_trait]
impl Producer for Shared<FakeBroker> {
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BrokerError> {
        if Faults::strike(&self.0.publishes.before) {
            return Err(BrokerError::unavailable("publish", SwitchedOff));
        }
        let largest = self.0.largest.load(Ordering::SeqCst);
        let mut refused = Vec::new();
        for (at, message) in messages.into_iter().enumerate() {
            if largest > 0 && message.value.len() > largest {
                let reason = "too large".to_owned();
                refused.push(RefusedMessage { at, reason });
            } else {
                self.0.published.lock().push(message);
            }
        }
        if Faults::strike(&self.0.publishes.after) {
            return Err(BrokerError::unavailable("publish", SwitchedOff));
        }
        if !refused.is_empty() {
            return Err(BrokerError::Refused { refused });
        }
        Ok(())
    }
}

struct FakeConsumer {
    broker: Arc<FakeBroker>,
    at: usize,
    queue: VecDeque<Inbound>,
}

#[async_trait]
impl Consumer for FakeConsumer {
    async fn next(&mut self) -> Result<Option<Vec<Inbound>>, BrokerError> {
        if Faults::strike(&self.broker.replaced.before) {
            let reason = "fenced".to_owned();
            return Err(BrokerError::Replaced { reason });
        }
        loop {
            let changed = self.broker.changed.notified();
            let fresh: Vec<Inbound> = self
                .broker
                .log
                .lock()
                .iter()
                .skip(self.at)
                .cloned()
                .collect();
            if !fresh.is_empty() {
                self.at += fresh.len();
                self.queue.extend(fresh.iter().cloned());
                return Ok(Some(fresh));
            }
            changed.await;
        }
    }

    async fn done(&mut self, _: &[Inbound]) {
        self.queue.clear();
        *self.broker.committed.lock() = self.at;
    }

    fn retain_assigned(&self, _: &mut Vec<Inbound>) {}

    async fn close(self: Box<Self>, _: Duration) {}
}

/// The ports on this world.
pub fn ports(
    store: &Arc<FaultyStore>,
    broker: &Arc<FakeBroker>,
    clock: &Arc<ManualClock>,
) -> Ports {
    Ports {
        store: Arc::clone(store) as Arc<dyn Store>,
        broker: Arc::new(Shared(Arc::clone(broker))),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        health: Arc::new(SilentHealth),
    }
}
