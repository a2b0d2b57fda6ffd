//! One process of the service, as the runtime would run it: load, decide, carry out, save, then fold; and a sweep beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use inventory_service::ORDERS;
use inventory_service::domain::{Inventory, Outcome};
use inventory_service::stock::{Ledger, Limits, Restock, Sightings};
use sagaline_contracts::{Event, OrderId, Sku};
use sagaline_runtime::EffectRequest;
use sagaline_saga::{Clock, Decision, Participant, Transition};
use sagaline_store::{Index, SaveResult, Store, StoreError, Write};

use super::dice::Dice;
use super::store::HostileStore;
use super::world::{Record, TOPICS, Told, World};

/// A process of the service.
pub(crate) struct Instance {
    pub(crate) store: Arc<HostileStore>,
    pub(crate) world: Arc<World>,
    pub(crate) dice: Arc<Dice>,
    ledger: Ledger,
    /// Units that operators add, whoever gets to it: the same key adds once.
    pub(crate) restocks: Vec<(Sku, u32)>,
}

/// An order in a batch.
struct Work {
    order_id: OrderId,
    version: u64,
    record: Record,
    events: Vec<Event>,
    next: usize,
}

/// The store is down: the batch is tried again.
struct Down;

impl From<StoreError> for Down {
    fn from(_: StoreError) -> Self {
        Self
    }
}

impl Instance {
    pub(crate) fn new(
        store: Arc<HostileStore>,
        world: Arc<World>,
        dice: Arc<Dice>,
        restocks: Vec<(Sku, u32)>,
    ) -> Self {
        let port: Arc<dyn Store> = Arc::clone(&store) as _;
        let clock: Arc<dyn Clock> = Arc::clone(&world) as _;
        Self {
            store,
            world,
            dice,
            ledger: Ledger::new(port, clock, Limits::default()),
            restocks,
        }
    }

    /// Consumes until the topics are at their end; meanwhile keeps the stock settled.
    pub(crate) async fn run(self) {
        let consume = Box::pin(self.consume());
        let maintain = Box::pin(async {
            let mut sightings = Sightings::default();
            loop {
                let sweeps = self.dice.per_mille(500);
                self.maintain(&mut sightings, sweeps).await;
            }
        });
        futures::future::select(consume, maintain).await;
    }

    /// Settles until nothing is left to settle.
    pub(crate) async fn settle_all(&self) {
        let mut sightings = Sightings::default();
        for _ in 0..6 {
            self.world.pass(2_000_000);
            self.maintain(&mut sightings, true).await;
        }
    }

    async fn maintain(&self, sightings: &mut Sightings, sweeps: bool) {
        futures::pending!();
        // Whatever fails here is made good by a later sweep.
        drop(self.ledger.settle_idle(false).await);
        if sweeps {
            self.world.pass(1_000_000);
            drop(self.ledger.sweep(sightings).await);
        }
    }

    async fn consume(&self) {
        let mut positions = self.world.committed();
        for (n, (sku, qty)) in self.restocks.iter().enumerate() {
            let restock = Restock {
                key: format!("restock-{n}"),
                qty: *qty,
                by: "ana".to_owned(),
                at: self.world.now(),
            };
            while self.ledger.restock(sku, &restock).await.is_err() {}
        }
        loop {
            let mut batch = Vec::new();
            let first = self.dice.below(TOPICS);
            for topic in (0..TOPICS).map(|n| (first + n) % TOPICS) {
                let count = 1 + self.dice.below(4);
                let events = self.world.after(topic, positions[topic], count);
                positions[topic] += events.len();
                batch.extend(events);
            }
            if batch.is_empty() {
                return;
            }
            while self.handle(&batch).await.is_err() {}
            self.world.commit(positions);
        }
    }

    async fn handle(&self, batch: &[Event]) -> Result<(), Down> {
        let mut groups: BTreeMap<OrderId, Vec<Event>> = BTreeMap::new();
        for event in batch {
            let order_id = event.order_id.clone().unwrap();
            groups.entry(order_id).or_default().push(event.clone());
        }
        let mut done: Vec<Work> = Vec::new();
        while !groups.is_empty() {
            let mut works = self.load(&groups).await?;
            self.work(&mut works).await?;
            let lost = self.save(&works).await?;
            groups.retain(|order_id, _| lost.contains(order_id));
            works.retain(|work| !lost.contains(&work.order_id));
            done.append(&mut works);
        }
        let saved = done.iter().map(|work| (&work.order_id, &work.record.state));
        self.ledger.learn(saved);
        Ok(())
    }

    async fn load(&self, groups: &BTreeMap<OrderId, Vec<Event>>) -> Result<Vec<Work>, Down> {
        let ids: Vec<&str> = groups.keys().map(OrderId::as_str).collect();
        let stored = self.store.load(ORDERS, &ids).await?;
        let works = groups
            .iter()
            .zip(stored)
            .map(|((order_id, events), stored)| {
                let version = stored.as_ref().map_or(0, |stored| stored.version);
                let record = stored.map_or_else(Record::default, |stored| {
                    serde_json::from_slice(&stored.body).unwrap()
                });
                let applied = |event: &Event| {
                    record.applied.contains(&event.id) || record.early.contains(&event.id)
                };
                let events = events.iter().filter(|event| !applied(event)).cloned();
                Work {
                    order_id: order_id.clone(),
                    version,
                    events: events.collect(),
                    record,
                    next: 0,
                }
            });
        Ok(works.collect())
    }

    /// Advances all orders in step; what they ask of stock is carried out together.
    async fn work(&self, works: &mut [Work]) -> Result<(), Down> {
        loop {
            let mut requests = Vec::new();
            let mut waiting = Vec::new();
            for (at, work) in works.iter_mut().enumerate() {
                if let Some(request) = work.advance(&self.world) {
                    requests.push(request);
                    waiting.push(at);
                }
            }
            if requests.is_empty() {
                return Ok(());
            }
            let outcomes = self.ledger.carry_out(&requests).await.map_err(|_| Down)?;
            assert_eq!(outcomes.len(), requests.len());
            for (at, outcome) in waiting.into_iter().zip(outcomes) {
                works[at].settle(outcome.expect("nothing here fails for one order alone"));
            }
        }
    }

    async fn save(&self, works: &[Work]) -> Result<Vec<OrderId>, Down> {
        let changed: Vec<&Work> = works.iter().filter(|work| work.next > 0).collect();
        let writes = changed.iter().map(|work| Write {
            id: work.order_id.to_string(),
            expected: work.version,
            body: Bytes::from(serde_json::to_vec(&work.record).unwrap()),
            index: Index::default(),
        });
        let results = self.store.save(ORDERS, writes.collect()).await?;
        let lost = changed.iter().zip(results);
        let lost = lost.filter(|(_, result)| *result == SaveResult::Conflict);
        Ok(lost.map(|(work, _)| work.order_id.clone()).collect())
    }
}

impl Work {
    /// Decides events until one has an effect, or none is left.
    fn advance(
        &mut self,
        world: &World,
    ) -> Option<EffectRequest<<Inventory as Participant>::Effect>> {
        while let Some(event) = self.events.get(self.next).cloned() {
            match Inventory.decide(&self.record.state, &event) {
                Decision::Effect(effect) => {
                    return Some(EffectRequest {
                        order_id: self.order_id.clone(),
                        event_id: event.id,
                        effect,
                    });
                }
                Decision::Apply(next) => self.apply(&event, next, world),
                Decision::Ignore(_) => {
                    self.record.applied.insert(event.id);
                }
                Decision::Early(_) => self.record.early.push(event.id),
                Decision::Reject(why) => panic!("{why}: {event:?}"),
                Decision::Intend { .. } => panic!("nothing is intended here"),
            }
            self.next += 1;
        }
        None
    }

    fn settle(&mut self, outcome: Outcome) {
        let event = self.events[self.next].clone();
        let next = Inventory.settle(&self.record.state, &event, outcome);
        self.next += 1;
        self.record.state = next.state;
        self.note(&event, &next.emit);
    }

    fn apply(
        &mut self,
        event: &Event,
        next: Transition<<Inventory as Participant>::State>,
        world: &World,
    ) {
        self.record.state = next.state;
        self.note(event, &next.emit);
        // What was early is decided again.
        let early = std::mem::take(&mut self.record.early);
        self.events.extend(early.iter().map(|id| world.event(id)));
    }

    fn note(&mut self, event: &Event, told: &[sagaline_contracts::Payload]) {
        self.record.applied.insert(event.id.clone());
        self.record.told.extend(told.iter().map(Told::of));
    }
}
