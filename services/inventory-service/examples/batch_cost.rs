//! What a batch of orders costs in stock: `cargo run --release -p inventory-service --example batch_cost`.
//!
//! Batches of 200 orders go the whole way (reserve, save, ship, save, settle) on the store in memory, on one hot SKU and spread over
//! a hundred. The time is the ledger's own plus the store's; the orders' documents are written outside of the measurement.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use inventory_service::domain::{Effect, HeldItem, Hold, InventoryState, Outcome, Reservation};
use inventory_service::stock::{Ledger, Limits, StockDocument};
use inventory_service::{ORDERS, STOCK};
use sagaline_contracts::payload::ReservedItem;
use sagaline_contracts::{EventId, Money, OrderId, Sku};
use sagaline_runtime::EffectRequest;
use sagaline_service_host::KitClock;
use sagaline_store::{Index, MemoryStore, Store, Write};
use serde_json::json;
use tokio::time::Instant;

const BATCHES: u16 = 300;
const ORDERS_PER_BATCH: u16 = 200;

/// Time spent per step, over all batches.
#[derive(Default)]
struct Spent {
    reserve: Duration,
    ship: Duration,
    learn: Duration,
}

struct Bench {
    store: Arc<MemoryStore>,
    ledger: Ledger,
    skus: Vec<Sku>,
    items: usize,
    spent: Spent,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    for (title, skus, items) in [
        ("one hot SKU", 1, 1),
        ("100 SKUs, 2 items per order", 100, 2),
    ] {
        match run(skus, items).await {
            Ok(spent) => report(title, &spent),
            Err(error) => {
                eprintln!("{error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn report(title: &str, spent: &Spent) {
    let orders = f64::from(BATCHES) * f64::from(ORDERS_PER_BATCH);
    let per_order = |time: Duration| time.as_secs_f64() * 1e6 / orders;
    let (reserve, ship, learn) = (
        per_order(spent.reserve),
        per_order(spent.ship),
        per_order(spent.learn),
    );
    println!("{title}: batches of {ORDERS_PER_BATCH}, microseconds per order");
    println!("  reserve {reserve:.2}  ship {ship:.2}  learn what is saved (twice) {learn:.2}");
}

async fn run(skus: usize, items: usize) -> anyhow::Result<Spent> {
    let store = Arc::new(MemoryStore::default());
    let skus: Vec<Sku> = (0..skus)
        .map(|n| Sku::new(format!("SKU-{n}")))
        .collect::<Result<_, _>>()?;
    let writes = skus.iter().map(|sku| Write {
        id: sku.to_string(),
        expected: 0,
        body: Bytes::from(StockDocument::new(sku.clone(), "x", Money::ZERO, 1 << 40).encode()),
        index: Index::default(),
    });
    store.save(STOCK, writes.collect()).await?;
    let port: Arc<dyn Store> = Arc::clone(&store) as _;
    let mut bench = Bench {
        ledger: Ledger::new(port, Arc::new(KitClock), Limits::default()),
        store,
        skus,
        items,
        spent: Spent::default(),
    };
    for batch in 0..BATCHES {
        bench.batch(batch).await?;
    }
    Ok(bench.spent)
}

impl Bench {
    async fn batch(&mut self, batch: u16) -> anyhow::Result<()> {
        let orders = (0..usize::from(ORDERS_PER_BATCH)).map(|n| {
            let lines = (0..self.items).filter_map(|item| {
                let sku = self.skus.get((n * 7 + item) % self.skus.len())?;
                Some(ReservedItem {
                    sku: sku.clone(),
                    qty: 1,
                })
            });
            let items = lines.collect();
            request(batch, n, Effect::Reserve { attempt: 1, items })
        });
        let wanted: Vec<_> = orders.collect::<anyhow::Result<_>>()?;
        let started = Instant::now();
        let outcomes = self.ledger.carry_out(&wanted).await?;
        self.spent.reserve += started.elapsed();
        let held = items_of(outcomes)?;
        self.save_and_learn(&wanted, &held, Hold::Reserved, 0)
            .await?;

        let orders = held.iter().enumerate().map(|(n, items)| {
            let items = items.clone();
            request(batch, n, Effect::Ship { attempt: 1, items })
        });
        let shipped: Vec<_> = orders.collect::<anyhow::Result<_>>()?;
        let started = Instant::now();
        let outcomes = self.ledger.carry_out(&shipped).await?;
        self.spent.ship += started.elapsed();
        self.save_and_learn(&shipped, &items_of(outcomes)?, Hold::Shipped, 1)
            .await
    }

    async fn save_and_learn(
        &mut self,
        requests: &[EffectRequest<Effect>],
        held: &[Vec<HeldItem>],
        stands: fn(Reservation) -> Hold,
        expected: u64,
    ) -> anyhow::Result<()> {
        let mut saved = Vec::with_capacity(requests.len());
        let writes = requests.iter().zip(held).map(|(request, items)| {
            let reservation = Reservation {
                attempt: 1,
                taken_in: 1,
                items: items.clone(),
            };
            let state = InventoryState {
                attempt: 1,
                hold: stands(reservation),
                ..InventoryState::default()
            };
            // About as large as a record with its inbox.
            let applied =
                json!([{ "id": "e", "emitted": [{ "event": { "note": "x".repeat(600) } }] }]);
            let body = json!({ "orderId": request.order_id, "state": state, "applied": applied });
            saved.push((&request.order_id, state));
            Write {
                id: request.order_id.to_string(),
                expected,
                body: Bytes::from(body.to_string()),
                index: Index::default(),
            }
        });
        self.store.save(ORDERS, writes.collect()).await?;
        let started = Instant::now();
        self.ledger
            .learn(saved.iter().map(|(order_id, state)| (*order_id, state)));
        self.spent.learn += started.elapsed();
        Ok(())
    }
}

fn request(batch: u16, n: usize, effect: Effect) -> anyhow::Result<EffectRequest<Effect>> {
    Ok(EffectRequest {
        order_id: OrderId::new(format!("3f2504e0-4f89-11d3-9a0c-{batch:06}{n:06}"))?,
        event_id: EventId::new("e")?,
        effect,
    })
}

type Answers = Vec<Result<Outcome, sagaline_saga::EffectFailure>>;

fn items_of(outcomes: Answers) -> anyhow::Result<Vec<Vec<HeldItem>>> {
    let items = outcomes.into_iter().map(|outcome| match outcome? {
        Outcome::Reserved { items } | Outcome::Released { items } | Outcome::Shipped { items } => {
            Ok(items)
        }
        short @ Outcome::Short { .. } => anyhow::bail!("{short:?}"),
    });
    items.collect()
}
