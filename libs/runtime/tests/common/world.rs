//! A participant that charges and ships, and the world that it runs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use metrics::Gauge;
use sagaline_contracts::payload::{
    InventoryReserved, OrderConfirmed, OrderShipped, PaymentAuthorized, PaymentFailed,
};
use sagaline_contracts::{Event, EventType, Money, OrderId, Payload};
use sagaline_runtime::{EffectRequest, Effects, LoopOptions, Outage, Runner, RunnerOptions, Saved};
use sagaline_saga::{
    Decision, EffectFailure, OrderRecord, Participant, RetryPolicy, Transition, given,
};
use sagaline_store::Store;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{FakeBroker, FaultyStore, ManualClock, SwitchedOff, ports};

pub const COLLECTION: &str = "toys";

/// Charges what is reserved; ships what is charged; charges what failed elsewhere once that is intended.
pub struct Toy;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToyState {
    pub charges: u32,
    pub shipped: bool,
    #[serde(default)]
    pub intends: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Charge;

impl Participant for Toy {
    type State = ToyState;
    type Effect = Charge;
    type Outcome = ();

    fn name(&self) -> &'static str {
        "toy-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[
            EventType::InventoryReserved,
            EventType::OrderShipped,
            EventType::PaymentFailed,
        ]
    }

    fn decide(&self, state: &ToyState, event: &Event) -> Decision<ToyState, Charge> {
        match &event.payload {
            Payload::InventoryReserved(_) | Payload::PaymentFailed(_) if state.charges > 0 => {
                Decision::Ignore("charged")
            }
            Payload::PaymentFailed(_) if !state.intends => Decision::Intend {
                state: ToyState {
                    intends: true,
                    ..state.clone()
                },
                effect: Charge,
            },
            Payload::InventoryReserved(_) | Payload::PaymentFailed(_) => Decision::Effect(Charge),
            Payload::OrderShipped(_) if state.charges == 0 => Decision::Early("not charged"),
            Payload::OrderShipped(shipped) => Transition::to(ToyState {
                shipped: true,
                ..state.clone()
            })
            .emit(OrderConfirmed {
                order_id: shipped.order_id.clone(),
                attempt: None,
            })
            .into(),
            _ => Decision::Reject("not mine".to_owned()),
        }
    }

    fn settle(&self, state: &ToyState, event: &Event, (): ()) -> Transition<ToyState> {
        Transition::to(ToyState {
            charges: state.charges + 1,
            ..state.clone()
        })
        .emit(PaymentAuthorized {
            order_id: event.order_id.clone().unwrap(),
            amount: Money::ZERO,
            auth_id: "a".to_owned(),
            attempt: None,
        })
    }
}

/// A gateway that can be down, or fail for one order.
#[derive(Default)]
pub struct Gateway {
    pub down: AtomicBool,
    pub failing: AtomicUsize,
    pub calls: AtomicUsize,
    /// It takes calls and never answers.
    pub hangs: AtomicBool,
    /// What it was told of saved orders: which, how often charged.
    pub told: parking_lot::Mutex<Vec<(String, u32)>>,
}

#[async_trait]
impl Effects<Toy> for Gateway {
    async fn carry_out(
        &self,
        requests: &[EffectRequest<Charge>],
    ) -> Result<Vec<Result<(), EffectFailure>>, Outage> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Outage::new("gateway", SwitchedOff));
        }
        self.calls.fetch_add(requests.len(), Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let fails = self
            .failing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok();
        let answer = |_| {
            if fails {
                Err(EffectFailure::Transient("busy".to_owned()))
            } else {
                Ok(())
            }
        };
        Ok(requests.iter().map(answer).collect())
    }

    fn saved(&self, saved: &[Saved<'_, ToyState>]) {
        let told = |one: &Saved<'_, ToyState>| (one.order_id.to_string(), one.state.charges);
        self.told.lock().extend(saved.iter().map(told));
    }
}

pub struct World {
    pub store: Arc<FaultyStore>,
    pub broker: Arc<FakeBroker>,
    pub clock: Arc<ManualClock>,
    pub gateway: Arc<Gateway>,
    /// What is shown of its outbox.
    pub outbox: Arc<AtomicU64>,
    pub token: CancellationToken,
    pub running: Option<JoinHandle<()>>,
}

impl World {
    pub fn new() -> Self {
        Self::on(Arc::default())
    }

    pub fn on(broker: Arc<FakeBroker>) -> Self {
        let mut world = Self {
            store: Arc::default(),
            broker,
            clock: Arc::default(),
            gateway: Arc::default(),
            outbox: Arc::default(),
            token: CancellationToken::new(),
            running: None,
        };
        world.start();
        world
    }

    pub fn start(&mut self) {
        let mut options = RunnerOptions::new(COLLECTION);
        options.retry = RetryPolicy {
            delays: vec![Duration::from_secs(10)],
            attempts_max: 3,
        };
        options.consumer = LoopOptions {
            tick_interval: Duration::from_millis(10),
            ..LoopOptions::default()
        };
        let ports = ports(&self.store, &self.broker, &self.clock);
        let runner = Runner::new(Arc::new(Toy), Arc::clone(&self.gateway), ports, options)
            .with_outbox_gauge(Gauge::from_arc(Arc::clone(&self.outbox)));
        self.token = CancellationToken::new();
        let running = runner.run(self.token.clone());
        self.running = Some(tokio::spawn(async move { running.await.unwrap() }));
    }

    /// As a crash: dropped at whatever it waits for.
    pub async fn crash(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }

    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "never: {what}; published {:?}",
            self.broker.distinct()
        );
    }

    pub async fn gateway_was_called(&self, times: usize) {
        self.until("the gateway was called", || {
            self.gateway.calls.load(Ordering::SeqCst) == times
        })
        .await;
    }

    pub async fn caught_up(&self) {
        self.until("the consumer has caught up", || self.broker.lag() == 0)
            .await;
    }

    /// What is shown of its outbox.
    pub fn shown_outbox(&self) -> f64 {
        f64::from_bits(self.outbox.load(Ordering::SeqCst))
    }

    pub async fn record(&self, id: &str) -> Option<OrderRecord<ToyState>> {
        let stored = self
            .store
            .load(COLLECTION, &[id])
            .await
            .unwrap()
            .remove(0)?;
        Some(serde_json::from_slice(&stored.body).unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

pub fn order(id: &str) -> OrderId {
    OrderId::new(id).unwrap()
}

pub fn reserved(id: &str) -> Event {
    let payload = InventoryReserved {
        order_id: order(id),
        reserved_items: Vec::new(),
        total: None,
        attempt: None,
    };
    given::event(&format!("reserved-{id}"), payload)
}

pub fn failed(id: &str) -> Event {
    let payload = PaymentFailed {
        order_id: order(id),
        reason: "elsewhere".to_owned(),
        attempt: None,
    };
    given::event(&format!("failed-{id}"), payload)
}

pub fn shipped(id: &str) -> Event {
    let payload = OrderShipped {
        order_id: order(id),
        carrier: "c".into(),
        tracking_id: "t".into(),
        attempt: None,
    };
    given::event(&format!("shipped-{id}"), payload)
}

pub const BOTH: [EventType; 2] = [EventType::PaymentAuthorized, EventType::OrderConfirmed];
