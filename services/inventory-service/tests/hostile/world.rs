//! What the instances share besides the store: the topics, and what the other services make of inventory's events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use inventory_service::domain::{Hold, InventoryState};
use inventory_service::stock::StockDocument;
use sagaline_contracts::payload::{
    Action, Authority, CompensationRequested, OrderCreated, OrderItem, OrderRetried, OrderShipped,
    Step,
};
use sagaline_contracts::{Event, EventId, Money, OrderId, Payload, Sku, Timestamp};
use sagaline_saga::Clock;
use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// Beginnings, shipments, rulings.
pub(crate) const TOPICS: usize = 3;
/// Nobody retries more often than this.
const ATTEMPTS_MAX: u32 = 3;

/// An order's document, as the runtime would keep it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) state: InventoryState,
    pub(crate) applied: BTreeSet<EventId>,
    pub(crate) early: Vec<EventId>,
    pub(crate) told: BTreeSet<Told>,
}

/// An event of inventory's, as far as others react to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Told {
    Reserved(u32),
    Failed(u32),
    Released(u32),
}

impl Told {
    pub(crate) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::InventoryReserved(told) => Self::Reserved(told.attempt.unwrap()),
            Payload::InventoryFailed(told) => Self::Failed(told.attempt.unwrap()),
            Payload::InventoryReleased(told) => Self::Released(told.attempt.unwrap()),
            other => panic!("this is never told here: {other:?}"),
        }
    }
}

/// How often what happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) orders_shipped: usize,
    pub(crate) orders_undone: usize,
    pub(crate) shortages: usize,
    pub(crate) stock_conflicts: usize,
    pub(crate) order_conflicts: usize,
    pub(crate) crashes: usize,
    pub(crate) faults: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.orders_shipped += other.orders_shipped;
        self.orders_undone += other.orders_undone;
        self.shortages += other.shortages;
        self.stock_conflicts += other.stock_conflicts;
        self.order_conflicts += other.order_conflicts;
        self.crashes += other.crashes;
        self.faults += other.faults;
    }
}

#[derive(Default)]
struct Inner {
    topics: [Vec<Event>; TOPICS],
    committed: [usize; TOPICS],
    /// Which attempts ship; the others are undone.
    fates: BTreeMap<(OrderId, u32), bool>,
    reactions: BTreeSet<(OrderId, Told)>,
    items: BTreeMap<OrderId, Vec<OrderItem>>,
    /// What each order's saved document has of each SKU.
    promised: BTreeMap<OrderId, BTreeMap<Sku, u64>>,
    /// Units that each SKU ever had.
    units: BTreeMap<Sku, u64>,
    tally: Tally,
}

/// What the instances share besides the store.
pub(crate) struct World {
    dice: Dice,
    inner: Mutex<Inner>,
    now: AtomicI64,
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::Relaxed))
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            inner: Mutex::default(),
            now: AtomicI64::new(1_000_000_000),
        }
    }

    pub(crate) fn pass(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn tally(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.inner.lock().unwrap().tally);
    }

    pub(crate) fn place_order(&self, order_id: &OrderId, items: Vec<OrderItem>) {
        let mut inner = self.inner.lock().unwrap();
        inner.items.insert(order_id.clone(), items.clone());
        let created = OrderCreated {
            order_id: order_id.clone(),
            items,
            total: Money::ZERO,
            currency: None,
            customer_id: None,
        };
        inner.publish(0, created);
        self.decide_fate(&mut inner, order_id, 1);
    }

    /// The pivot's owner decides early whether an attempt ships; some are undone before they begin here.
    fn decide_fate(&self, inner: &mut Inner, order_id: &OrderId, attempt: u32) {
        let ships = self.dice.per_mille(550);
        inner.fates.insert((order_id.clone(), attempt), ships);
        if !ships && self.dice.per_mille(400) {
            inner.rule(order_id, attempt);
        }
    }

    /// The events of a topic that an instance has not seen.
    pub(crate) fn after(&self, topic: usize, position: usize, count: usize) -> Vec<Event> {
        let inner = self.inner.lock().unwrap();
        let unread = inner.topics[topic].iter().skip(position);
        unread.take(count).cloned().collect()
    }

    pub(crate) fn event(&self, id: &EventId) -> Event {
        let inner = self.inner.lock().unwrap();
        let mut all = inner.topics.iter().flatten();
        all.find(|event| event.id == *id).unwrap().clone()
    }

    pub(crate) fn committed(&self) -> [usize; TOPICS] {
        self.inner.lock().unwrap().committed
    }

    /// A zombie may set the group back: what comes again is a duplicate.
    pub(crate) fn commit(&self, positions: [usize; TOPICS]) {
        self.inner.lock().unwrap().committed = positions;
    }

    pub(crate) fn stock_is_saved(&self, body: &[u8]) {
        let document = StockDocument::decode(body).expect("every saved version adds up");
        let counters = document.counters();
        let units = counters.initial + counters.restocked;
        let mut inner = self.inner.lock().unwrap();
        inner.units.insert(document.sku().clone(), units);
    }

    /// Checks that nothing is promised twice, and lets the other services react.
    pub(crate) fn order_is_saved(&self, id: &str, body: &[u8]) {
        let order_id = OrderId::new(id).unwrap();
        let record: Record = serde_json::from_slice(body).unwrap();
        let mut inner = self.inner.lock().unwrap();
        let mut held = BTreeMap::new();
        if let Hold::Reserved(reservation) | Hold::Shipped(reservation) = &record.state.hold {
            for item in &reservation.items {
                *held.entry(item.sku.clone()).or_default() += u64::from(item.qty);
            }
        }
        inner.promised.insert(order_id.clone(), held);
        for (sku, units) in &inner.units {
            let promised: u64 = inner
                .promised
                .values()
                .filter_map(|held| held.get(sku))
                .sum();
            assert!(
                promised <= *units,
                "{promised} of {units} {sku} are promised"
            );
        }
        for told in record.told {
            self.react(&mut inner, &order_id, &told);
        }
    }

    fn react(&self, inner: &mut Inner, order_id: &OrderId, told: &Told) {
        if !inner.reactions.insert((order_id.clone(), told.clone())) {
            return;
        }
        match *told {
            Told::Reserved(attempt) => {
                if inner.fates[&(order_id.clone(), attempt)] {
                    let shipped = OrderShipped {
                        order_id: order_id.clone(),
                        carrier: "c".to_owned(),
                        tracking_id: "t".to_owned(),
                        attempt: Some(attempt),
                    };
                    inner.publish(1, shipped);
                } else {
                    inner.rule(order_id, attempt);
                }
            }
            Told::Failed(attempt) | Told::Released(attempt) => {
                inner.tally.shortages += usize::from(*told == Told::Failed(attempt));
                let next = attempt + 1;
                if next <= ATTEMPTS_MAX && self.dice.per_mille(600) {
                    let retried = OrderRetried {
                        order_id: order_id.clone(),
                        attempt: next,
                        step: Step::Inventory,
                        items: inner.items[order_id].clone(),
                        total: Money::ZERO,
                        requested_by: "ana".to_owned(),
                    };
                    inner.publish(0, retried);
                    self.decide_fate(inner, order_id, next);
                }
            }
        }
    }

    /// What all orders together hold and have shipped of each SKU.
    pub(crate) fn tally_up(&self, records: &BTreeMap<OrderId, Record>) -> Tally {
        let mut tally = self.inner.lock().unwrap().tally.clone();
        for record in records.values() {
            match record.state.hold {
                Hold::Shipped(_) => tally.orders_shipped += 1,
                Hold::Released(_) => tally.orders_undone += 1,
                Hold::None | Hold::Failed { .. } | Hold::Reserved(_) => {}
            }
        }
        tally
    }
}

impl Inner {
    fn publish(&mut self, topic: usize, payload: impl Into<Payload>) {
        let payload = payload.into();
        let id = format!("{topic}-{}", self.topics[topic].len());
        self.topics[topic].push(Event {
            id: EventId::new(id).unwrap(),
            timestamp: Timestamp::EPOCH,
            correlation_id: String::new(),
            causation_id: None,
            order_id: payload.order_id().cloned(),
            payload,
            headers: BTreeMap::new(),
        });
    }

    fn rule(&mut self, order_id: &OrderId, attempt: u32) {
        let ruling = CompensationRequested {
            order_id: order_id.clone(),
            action: Action::ReleaseInventory,
            requested_by: None,
            reason: None,
            attempt: Some(attempt),
            decided_by: Some(Authority::Shipping),
        };
        self.publish(2, ruling);
    }
}
