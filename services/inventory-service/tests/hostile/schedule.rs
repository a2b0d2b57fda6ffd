//! Runs instances against each other, one store call at a time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use inventory_service::domain::Hold;
use inventory_service::stock::StockDocument;
use inventory_service::{ORDERS, STOCK};
use sagaline_contracts::payload::OrderItem;
use sagaline_contracts::{Money, OrderId, Sku};
use sagaline_store::{Index, MemoryStore, Store, Write};

use super::dice::Dice;
use super::instance::Instance;
use super::store::HostileStore;
use super::world::{Record, Tally, World};

/// How hostile a schedule is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) orders: usize,
    pub(crate) skus: usize,
    /// Units that each SKU starts with, at most.
    pub(crate) units: usize,
    pub(crate) instances: usize,
    pub(crate) steps: usize,
    /// Per mille of steps.
    pub(crate) crashes: usize,
    /// Per mille of store calls.
    pub(crate) faults: usize,
}

impl Rules {
    pub(crate) fn hostile() -> Self {
        Self {
            orders: 14,
            skus: 4,
            units: 25,
            instances: 3,
            steps: 1_500,
            crashes: 15,
            faults: 20,
        }
    }
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

struct Schedule {
    rules: Rules,
    dice: Arc<Dice>,
    store: Arc<MemoryStore>,
    world: Arc<World>,
    restocks: Vec<(Sku, u32)>,
}

/// Runs the schedule of this seed, and checks what it leaves.
pub(crate) fn run(seed: u64, rules: Rules) -> Tally {
    let schedule = Schedule {
        rules,
        dice: Arc::new(Dice::new(seed)),
        store: Arc::new(MemoryStore::default()),
        world: Arc::new(World::new(seed ^ 0x5eed)),
        restocks: vec![(sku(0), 2), (sku(1), 1)],
    };
    schedule.set_up();
    schedule.race();
    schedule.finish();
    schedule.check()
}

fn sku(n: usize) -> Sku {
    Sku::new(format!("SKU-{n}")).unwrap()
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

impl Schedule {
    fn set_up(&self) {
        for n in 0..self.rules.skus {
            let units = self.dice.below(self.rules.units) as u64;
            let document = StockDocument::new(sku(n), "x", Money::ZERO, units);
            let body = Bytes::from(document.encode());
            self.world.stock_is_saved(&body);
            let write = Write {
                id: sku(n).to_string(),
                expected: 0,
                body,
                index: Index::default(),
            };
            at_once(self.store.save(STOCK, vec![write])).unwrap();
        }
        for n in 0..self.rules.orders {
            let lines = (0..=self.dice.below(3)).map(|_| OrderItem {
                // SKU-0 is hot; now and then one is asked for that nobody has heard of.
                sku: sku(self.dice.below(2) * self.dice.below(self.rules.skus + 1)),
                qty: 1 + u32::try_from(self.dice.below(3)).unwrap(),
                price: None,
            });
            let lines = lines.collect();
            let order_id = OrderId::new(format!("o-{n}")).unwrap();
            self.world.place_order(&order_id, lines);
        }
    }

    fn instance(&self, faults: usize) -> Instance {
        let store = HostileStore {
            inner: Arc::clone(&self.store),
            world: Arc::clone(&self.world),
            dice: Arc::clone(&self.dice),
            faults,
        };
        let (world, dice) = (Arc::clone(&self.world), Arc::clone(&self.dice));
        Instance::new(Arc::new(store), world, dice, self.restocks.clone())
    }

    fn start(&self) -> Running {
        Box::pin(self.instance(self.rules.faults).run())
    }

    /// Polls one instance after the other, a store call at a time, in bursts: one that waits long wakes up as a zombie.
    fn race(&self) {
        let mut instances: Vec<Running> = Vec::new();
        instances.resize_with(self.rules.instances, || self.start());
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        let mut steps = 0;
        while steps < self.rules.steps {
            let at = self.dice.below(instances.len());
            for _ in 0..=self.dice.below(30) {
                steps += 1;
                let crashes = self.dice.per_mille(self.rules.crashes);
                if crashes {
                    self.world.tally(|tally| tally.crashes += 1);
                }
                let done = instances[at].as_mut().poll(&mut context);
                if crashes || done == Poll::Ready(()) {
                    instances[at] = self.start();
                }
            }
        }
    }

    /// One instance comes up in a world that works again, reads what is left, and settles.
    fn finish(&self) {
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        let mut last = Box::pin(async {
            self.instance(0).run().await;
            self.instance(0).settle_all().await;
        });
        for _ in 0..100_000 {
            if last.as_mut().poll(&mut context).is_ready() {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    fn check(&self) -> Tally {
        let stored = at_once(self.store.scan(ORDERS, None, 1_000)).unwrap();
        let records: BTreeMap<OrderId, Record> = stored
            .iter()
            .map(|stored| {
                let record = serde_json::from_slice(&stored.body).unwrap();
                (OrderId::new(&stored.id).unwrap(), record)
            })
            .collect();
        assert_eq!(records.len(), self.rules.orders);
        let mut shipped: BTreeMap<Sku, u64> = BTreeMap::new();
        for (order_id, record) in &records {
            assert!(record.early.is_empty(), "{order_id}: {record:?}");
            match &record.state.hold {
                Hold::Reserved(_) => panic!("{order_id} is still reserved: {record:?}"),
                Hold::Shipped(reservation) => {
                    for item in &reservation.items {
                        *shipped.entry(item.sku.clone()).or_default() += u64::from(item.qty);
                    }
                }
                Hold::None | Hold::Failed { .. } | Hold::Released(_) => {}
            }
        }
        for n in 0..self.rules.skus {
            let stored = at_once(self.store.load(STOCK, &[sku(n).as_str()])).unwrap();
            let document = StockDocument::decode(&stored[0].as_ref().unwrap().body).unwrap();
            let counters = document.counters();
            assert_eq!(document.unsettled(), 0, "{document:?}");
            assert_eq!(counters.reserved, 0, "{document:?}");
            let expected = shipped.get(&sku(n)).copied().unwrap_or_default();
            assert_eq!(counters.shipped, expected, "{document:?}");
            let added = self.restocks.iter().filter(|(of, _)| *of == sku(n));
            let added: u64 = added.map(|(_, qty)| u64::from(*qty)).sum();
            assert_eq!(counters.restocked, added, "{document:?}");
            assert_eq!(document.outlook(), counters);
        }
        self.world.tally_up(&records)
    }
}
