//! The broker that all processes share, and what one process sees of it.

mod consumer;
mod group;
mod log;
mod producer;
mod replay;
mod tail;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use parking_lot::Mutex;
use sagaline_runtime::{Broker, BrokerError, Consumer, Inbound, Producer, Replay, Tail};
use sagaline_store::{MemoryStore, Store};
use tokio::sync::Notify;

use crate::coverage::state_of;
use crate::env::Env;
use crate::life::Life;
use crate::plan::Service;
use crate::weather::Dependency;
use consumer::SimConsumer;
use group::Group;
use producer::SimProducer;
use replay::SimReplay;
use tail::SimTail;
use trouble::{Causes, Withheld};

pub(crate) use log::Topics;

/// How long a client waits for a broker that is down.
const PATIENCE_MS: u64 = 3_000;

fn is_service(group: &str) -> bool {
    Service::ALL.iter().any(|service| service.name() == group)
}

/// The broker itself.
pub(crate) struct Cluster {
    pub(crate) env: Arc<Env>,
    /// Where documents are, to see in which state an event comes.
    shelf: Arc<MemoryStore>,
    pub(crate) state: Mutex<State>,
    /// Told of every message.
    appended: Notify,
}

pub(crate) struct State {
    pub(crate) topics: Topics,
    pub(crate) groups: BTreeMap<String, Group>,
    next_member: u64,
    /// What some group does not get.
    withheld: Withheld,
    /// What was published, by id.
    causes: Causes,
}

impl Cluster {
    /// A broker whose topics may get `most` partitions.
    pub(crate) fn new(env: Arc<Env>, shelf: Arc<MemoryStore>, most: usize) -> Arc<Self> {
        let partitions = env.weather.read(|climate| climate.partitions);
        Arc::new(Self {
            state: Mutex::new(State {
                topics: Topics::new(partitions, most),
                groups: BTreeMap::new(),
                next_member: 0,
                withheld: Withheld::default(),
                causes: Causes::default(),
            }),
            shelf,
            env,
            appended: Notify::new(),
        })
    }

    /// Writes a message, whoever it comes from, and tells those who wait for it; gives its partition and offset.
    pub(crate) fn append(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        by: u64,
    ) -> Option<(usize, usize)> {
        let mut state = self.state.lock();
        let State {
            topics,
            groups,
            causes,
            ..
        } = &mut *state;
        if by != 0
            && let Some(complaint) = causes.publish(topic, value.unwrap_or_default())
        {
            self.env.broken(complaint);
        }
        let Some((slot, offset)) = topics.append(topic, key, value, by) else {
            drop(state);
            self.env.broken(format!(
                "contract: a message for {topic}, which is no topic"
            ));
            return None;
        };
        let partition = topics.partition_of(slot);
        for group in groups.values() {
            if group.reads(topics.topic_of(slot)) {
                group.changed.notify_waiters();
            }
        }
        drop(state);
        self.appended.notify_waiters();
        self.env
            .trace
            .note((2_u8, topic, slot, offset, key, value), || {
                let text = |bytes: Option<&[u8]>| match bytes {
                    Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    None => "nothing".to_owned(),
                };
                format!(
                    "#{by} publishes {topic}@{offset} [{}] {}",
                    text(key),
                    text(value)
                )
            });
        Some((partition, offset))
    }

    /// The group goes on without this process, if it is still silent.
    pub(crate) fn expel(&self, life: &Life) {
        if life.is_running() {
            return;
        }
        self.remove(life);
    }

    /// The process has left its groups.
    fn remove(&self, life: &Life) {
        let mut state = self.state.lock();
        let State { topics, groups, .. } = &mut *state;
        for (name, group) in groups.iter_mut() {
            if group.leave(life.id) {
                group.rebalance(&self.env, topics.partitions());
                self.env.trace.note((3_u8, &**name, life.id), || {
                    format!("#{} is out of the group {name}", life.id)
                });
            }
        }
    }

    /// A rebalance out of the blue.
    pub(crate) fn rebalance(&self, name: &str) {
        let mut state = self.state.lock();
        let State { topics, groups, .. } = &mut *state;
        if let Some(group) = groups.get_mut(name) {
            self.env.fault("rebalance");
            group.rebalance(&self.env, topics.partitions());
            self.env
                .trace
                .note((4_u8, name), || format!("the group {name} rebalances"));
        }
    }

    /// Notes in which states of their orders these messages come to a service.
    fn cover(&self, group: &str, batch: &[Inbound]) {
        let collection = match Service::ALL.iter().find(|service| service.name() == group) {
            Some(Service::Order) => order_service::domain::COLLECTION,
            Some(Service::Inventory) => inventory_service::ORDERS,
            Some(Service::Payment) => payment_service::COLLECTION,
            Some(Service::Shipping) => shipping_service::COLLECTION,
            Some(Service::ReadModel) | None => return,
        };
        for message in batch {
            let Some(order) = message
                .key
                .as_deref()
                .and_then(|key| std::str::from_utf8(key).ok())
            else {
                continue;
            };
            // A store in memory answers at once.
            let loaded = self.shelf.load(collection, &[order]).now_or_never();
            let stored = loaded
                .and_then(Result::ok)
                .into_iter()
                .flatten()
                .flatten()
                .next();
            let state = state_of(stored.as_ref().map(|stored| &stored.body[..]));
            self.env.cover(&(collection, state), &message.topic);
        }
    }

    /// Messages that a service has not committed, of all services.
    pub(crate) fn lag(&self) -> BTreeMap<String, u64> {
        let state = self.state.lock();
        // A rebuild reads with a group of its own, and for a while.
        let lags = state.groups.iter().filter(|(name, _)| is_service(name));
        lags.map(|(name, group)| (name.clone(), group.lag(&state.topics)))
            .filter(|(_, lag)| *lag > 0)
            .collect()
    }
}

/// What one process sees of the broker.
pub(crate) struct SimBroker {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Broker for SimBroker {
    async fn producer(&self, _: &str) -> Result<Arc<dyn Producer>, BrokerError> {
        self.life.before().await;
        Ok(Arc::new(SimProducer {
            cluster: Arc::clone(&self.cluster),
            life: Arc::clone(&self.life),
        }))
    }

    async fn consumer(
        &self,
        group: &str,
        topics: &[&str],
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        self.life.before().await;
        let mut state = self.cluster.state.lock();
        state.next_member += 1;
        let member = state.next_member;
        let State {
            topics: all,
            groups,
            ..
        } = &mut *state;
        let group_of = groups
            .entry(group.to_owned())
            .or_insert_with(|| Group::new(all, Arc::new(Notify::new())));
        group_of.subscribe(all, topics);
        let changed = Arc::clone(&group_of.changed);
        drop(state);
        Ok(Box::new(SimConsumer::new(
            Arc::clone(&self.cluster),
            Arc::clone(&self.life),
            group.to_owned(),
            member,
            changed,
        )))
    }

    async fn replay(&self, topics: &[&str]) -> Result<Box<dyn Replay>, BrokerError> {
        self.ping().await?;
        let (cluster, life) = (Arc::clone(&self.cluster), Arc::clone(&self.life));
        Ok(Box::new(SimReplay::new(cluster, life, topics)))
    }

    async fn tail(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Tail>, BrokerError> {
        self.ping().await?;
        let (cluster, life) = (Arc::clone(&self.cluster), Arc::clone(&self.life));
        Ok(Box::new(SimTail::new(cluster, life, group, topics)))
    }

    async fn ensure_topics(&self, _: &[&str], _: i32) -> Result<(), BrokerError> {
        self.ping().await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.life.before().await;
        if self
            .cluster
            .env
            .fails_because_down(Dependency::Broker, PATIENCE_MS)
            .await
        {
            return Err(BrokerError::unavailable("ping", "it is down"));
        }
        self.life.after().await;
        Ok(())
    }
}
