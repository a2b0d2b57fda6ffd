//! A store that counts, fails and waits on demand, and orders in short.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use inventory_service::domain::{Effect, HeldItem, Hold, InventoryState, Outcome, Reservation};
use inventory_service::stock::{Counters, Ledger, Limits, Restock, StockDocument};
use inventory_service::{ORDERS, STOCK};
use sagaline_contracts::payload::ReservedItem;
use sagaline_contracts::{EventId, Money, OrderId, Sku, Timestamp};
use sagaline_runtime::EffectRequest;
use sagaline_saga::Clock;
use sagaline_store::{Index, ListQuery, MemoryStore, SaveResult, Store, StoreError, Stored, Write};
use serde_json::{Value, json};

/// What happens to the next saves.
pub(crate) const FINE: usize = 0;
/// Nothing is saved, and that is said.
pub(crate) const DOWN: usize = 1;
/// Everything is saved, and the answer is lost.
pub(crate) const MUTE: usize = 2;
/// The answer never comes.
pub(crate) const STUCK: usize = 3;

#[derive(Default)]
pub(crate) struct TestStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) mood: AtomicUsize,
    pub(crate) loads: AtomicUsize,
    pub(crate) saves: AtomicUsize,
    pub(crate) documents_saved: AtomicUsize,
}

impl TestStore {
    /// Another instance's connection to the same documents.
    pub(crate) fn shared(&self) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(&self.inner),
            ..Self::default()
        })
    }

    pub(crate) fn mood(&self, mood: usize) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    /// Loads, saves and documents saved since the last call.
    pub(crate) fn calls(&self) -> [usize; 3] {
        [&self.loads, &self.saves, &self.documents_saved]
            .map(|count| count.swap(0, Ordering::SeqCst))
    }
}

fn down() -> StoreError {
    StoreError::Unavailable {
        operation: "work".to_owned(),
        source: "down on purpose".into(),
    }
}

#[async_trait]
impl Store for TestStore {
    async fn load(
        &self,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.mood.load(Ordering::SeqCst) == DOWN {
            return Err(down());
        }
        tokio::task::yield_now().await;
        self.inner.load(collection, ids).await
    }

    async fn save(
        &self,
        collection: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<SaveResult>, StoreError> {
        self.saves.fetch_add(1, Ordering::SeqCst);
        self.documents_saved
            .fetch_add(writes.len(), Ordering::SeqCst);
        if collection == STOCK {
            for write in &writes {
                StockDocument::decode(&write.body).expect("every saved version adds up");
            }
        }
        let mood = self.mood.load(Ordering::SeqCst);
        if mood == DOWN {
            return Err(down());
        }
        tokio::task::yield_now().await;
        let saved = self.inner.save(collection, writes).await;
        match mood {
            MUTE => Err(down()),
            STUCK => std::future::pending().await,
            _ => saved,
        }
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
        if self.mood.load(Ordering::SeqCst) == DOWN {
            return Err(down());
        }
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
        Ok(())
    }
}

/// A clock that a test moves.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn pass_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A warehouse: a store, a clock, and what tests want to know.
pub(crate) struct Warehouse {
    pub(crate) store: Arc<TestStore>,
    pub(crate) clock: Arc<TestClock>,
}

impl Warehouse {
    /// Has so many units of each of these.
    pub(crate) async fn with(stock: &[(&str, u64)]) -> Self {
        let store = Arc::new(TestStore::default());
        let writes = stock.iter().map(|(text, units)| Write {
            id: (*text).to_owned(),
            expected: 0,
            body: Bytes::from(StockDocument::new(sku(text), "x", Money::ZERO, *units).encode()),
            index: Index::default(),
        });
        store.inner.save(STOCK, writes.collect()).await.unwrap();
        Self {
            store,
            clock: Arc::default(),
        }
    }

    /// The ledger of an instance, with this connection.
    pub(crate) fn ledger_on(&self, store: &Arc<TestStore>, limits: Limits) -> Ledger {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let store: Arc<dyn Store> = Arc::clone(store) as _;
        Ledger::new(store, clock, limits)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger_on(&self.store, Limits::default())
    }

    pub(crate) async fn document(&self, sku: &str) -> StockDocument {
        let stored = self.store.inner.load(STOCK, &[sku]).await.unwrap();
        StockDocument::decode(&stored[0].as_ref().unwrap().body).unwrap()
    }

    /// Available, reserved, shipped.
    pub(crate) async fn units(&self, sku: &str) -> [u64; 3] {
        let Counters {
            available,
            reserved,
            shipped,
            ..
        } = self.document(sku).await.counters();
        [available, reserved, shipped]
    }

    pub(crate) async fn unsettled(&self, sku: &str) -> usize {
        self.document(sku).await.unsettled()
    }

    /// Saves the order's document with this hold of attempt 1, as the runtime would.
    pub(crate) async fn save_order(&self, order: &str, hold: Hold) {
        let state = InventoryState {
            attempt: 1,
            hold,
            ..InventoryState::default()
        };
        let stored = self.store.inner.load(ORDERS, &[order]).await.unwrap();
        let expected = stored[0].as_ref().map_or(0, |stored| stored.version);
        let body = json!({ "orderId": order, "state": state, "applied": [{ "id": "e" }] });
        let write = Write {
            id: order.to_owned(),
            expected,
            body: Bytes::from(body.to_string()),
            index: Index::default(),
        };
        let saved = self.store.inner.save(ORDERS, vec![write]).await.unwrap();
        assert_eq!(saved, [SaveResult::Saved]);
    }

    /// The state that the order's document has.
    pub(crate) async fn saved_state(&self, order: &str) -> InventoryState {
        let stored = self.store.inner.load(ORDERS, &[order]).await.unwrap();
        let body: Value = serde_json::from_slice(&stored[0].as_ref().unwrap().body).unwrap();
        serde_json::from_value(body["state"].clone()).unwrap()
    }

    /// Tells the ledger that this order is saved, as the runtime would.
    pub(crate) async fn tell(&self, ledger: &Ledger, order: &str) {
        let state = self.saved_state(order).await;
        ledger.learn([(&order_id(order), &state)]);
    }
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

pub(crate) fn order_id(text: &str) -> OrderId {
    OrderId::new(text).unwrap()
}

fn request(order: &str, effect: Effect) -> EffectRequest<Effect> {
    EffectRequest {
        order_id: order_id(order),
        event_id: EventId::new("e").unwrap(),
        effect,
    }
}

/// The order wants to reserve these.
pub(crate) fn reserve(order: &str, items: &[(&str, u32)]) -> EffectRequest<Effect> {
    let items = items.iter().map(|(text, qty)| ReservedItem {
        sku: sku(text),
        qty: *qty,
    });
    let items = items.collect();
    request(order, Effect::Reserve { attempt: 1, items })
}

pub(crate) fn release(order: &str, items: &[HeldItem]) -> EffectRequest<Effect> {
    let items = items.to_vec();
    request(order, Effect::Release { attempt: 1, items })
}

pub(crate) fn ship(order: &str, items: &[HeldItem]) -> EffectRequest<Effect> {
    let items = items.to_vec();
    request(order, Effect::Ship { attempt: 1, items })
}

pub(crate) fn reservation(items: Vec<HeldItem>) -> Reservation {
    Reservation {
        attempt: 1,
        taken_in: 1,
        items,
    }
}

/// Carries out one request.
pub(crate) async fn one(ledger: &Ledger, request: EffectRequest<Effect>) -> Outcome {
    let mut outcomes = ledger.carry_out(&[request]).await.unwrap();
    outcomes.remove(0).unwrap()
}

/// Whatever the outcome names.
pub(crate) fn items_of(outcome: Outcome) -> Vec<HeldItem> {
    match outcome {
        Outcome::Reserved { items } | Outcome::Released { items } | Outcome::Shipped { items } => {
            items
        }
        short @ Outcome::Short { .. } => panic!("{short:?}"),
    }
}

pub(crate) fn is_short(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Short { .. })
}

pub(crate) fn restock(key: &str, qty: u32) -> Restock {
    Restock {
        key: key.to_owned(),
        qty,
        by: "ana".to_owned(),
        at: Timestamp::EPOCH,
    }
}
