//! What the runner guarantees when things fail between its steps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and its modules are nobody else's"
)]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{FakeBroker, FaultyStore, ManualClock, SwitchedOff, ports};
use sagaline_contracts::payload::{
    InventoryReserved, OrderConfirmed, OrderShipped, PaymentAuthorized,
};
use sagaline_contracts::{Event, EventType, Money, OrderId, Payload};
use sagaline_runtime::{EffectRequest, Effects, LoopOptions, Outage, Runner, RunnerOptions};
use sagaline_saga::{
    Decision, EffectFailure, OrderRecord, Participant, RetryPolicy, Transition, given,
};
use sagaline_store::{Index, Store, Write};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const COLLECTION: &str = "toys";

/// Charges what is reserved; ships what is charged.
struct Toy;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct ToyState {
    charges: u32,
    shipped: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Charge;

impl Participant for Toy {
    type State = ToyState;
    type Effect = Charge;
    type Outcome = ();

    fn name(&self) -> &'static str {
        "toy-service"
    }

    fn subscriptions(&self) -> &'static [EventType] {
        &[EventType::InventoryReserved, EventType::OrderShipped]
    }

    fn decide(&self, state: &ToyState, event: &Event) -> Decision<ToyState, Charge> {
        match &event.payload {
            Payload::InventoryReserved(_) if state.charges > 0 => Decision::Ignore("charged"),
            Payload::InventoryReserved(_) => Decision::Effect(Charge),
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
struct Gateway {
    down: AtomicBool,
    failing: AtomicUsize,
    calls: AtomicUsize,
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
}

struct World {
    store: Arc<FaultyStore>,
    broker: Arc<FakeBroker>,
    clock: Arc<ManualClock>,
    gateway: Arc<Gateway>,
    token: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl World {
    fn new() -> Self {
        Self::on(Arc::default())
    }

    fn on(broker: Arc<FakeBroker>) -> Self {
        let mut world = Self {
            store: Arc::default(),
            broker,
            clock: Arc::default(),
            gateway: Arc::default(),
            token: CancellationToken::new(),
            running: None,
        };
        world.start();
        world
    }

    fn start(&mut self) {
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
        let runner = Runner::new(Arc::new(Toy), Arc::clone(&self.gateway), ports, options);
        self.token = CancellationToken::new();
        let running = runner.run(self.token.clone());
        self.running = Some(tokio::spawn(async move { running.await.unwrap() }));
    }

    /// As a crash: dropped at whatever it waits for.
    async fn crash(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
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

    async fn caught_up(&self) {
        self.until("the consumer has caught up", || self.broker.lag() == 0)
            .await;
    }

    async fn record(&self, id: &str) -> Option<OrderRecord<ToyState>> {
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

fn order(id: &str) -> OrderId {
    OrderId::new(id).unwrap()
}

fn reserved(id: &str) -> Event {
    let payload = InventoryReserved {
        order_id: order(id),
        reserved_items: Vec::new(),
        total: None,
        attempt: None,
    };
    given::event(&format!("reserved-{id}"), payload)
}

fn shipped(id: &str) -> Event {
    let payload = OrderShipped {
        order_id: order(id),
        carrier: "c".into(),
        tracking_id: "t".into(),
        attempt: None,
    };
    given::event(&format!("shipped-{id}"), payload)
}

const BOTH: [EventType; 2] = [EventType::PaymentAuthorized, EventType::OrderConfirmed];

#[tokio::test(start_paused = true)]
async fn the_producer_is_connected_before_the_first_message_and_again_after_a_refusal() {
    let broker = Arc::new(FakeBroker::default());
    broker.producers_refused.store(2, Ordering::SeqCst);
    let world = World::on(broker);
    world
        .until("it is connected", || {
            world.broker.producers.load(Ordering::SeqCst) == 3
        })
        .await;
    assert!(world.broker.published.lock().is_empty());
    world.broker.send_event(&reserved("o-1"));
    world.caught_up().await;
    assert_eq!(world.broker.producers.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_batch_of_one_order_is_worked_off_in_order_and_saved_once() {
    let world = World::new();
    world.broker.send_event(&reserved("o"));
    world.broker.send_event(&shipped("o"));
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), BOTH);
    assert_eq!(
        world.record("o").await.unwrap().state,
        ToyState {
            charges: 1,
            shipped: true
        }
    );
}

#[tokio::test]
async fn a_failure_between_any_two_steps_loses_and_doubles_nothing() {
    for step in 0..4 {
        let world = World::new();
        let faults = [
            &world.store.saves.before,
            &world.store.saves.after,
            &world.broker.publishes.before,
            &world.broker.publishes.after,
        ];
        faults[step].store(2, Ordering::SeqCst);
        for id in ["a", "b", "c"] {
            world.broker.send_event(&reserved(id));
            world.broker.send_event(&shipped(id));
        }
        world.caught_up().await;
        let mut kinds = world.broker.distinct();
        kinds.sort();
        assert_eq!(kinds.len(), 6, "step {step}: {kinds:?}");
        for id in ["a", "b", "c"] {
            assert_eq!(
                world.record(id).await.unwrap().state,
                ToyState {
                    charges: 1,
                    shipped: true
                },
                "step {step}"
            );
        }
    }
}

#[tokio::test]
async fn a_crash_after_the_save_publishes_the_same_events_after_the_restart() {
    let mut world = World::new();
    world
        .broker
        .publishes
        .before
        .store(usize::MAX, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    while world.record("o").await.is_none() {
        tokio::task::yield_now().await;
    }
    world.crash().await;
    assert_eq!(world.broker.distinct(), []);
    world.broker.publishes.before.store(0, Ordering::SeqCst);
    world.start();
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
    assert_eq!(
        world.gateway.calls.load(Ordering::SeqCst),
        1,
        "the record knows that it is charged"
    );
}

#[tokio::test]
async fn a_crash_before_an_early_event_is_published_is_healed_by_the_outbox() {
    let mut world = World::new();
    world.broker.send_event(&shipped("o"));
    world.caught_up().await;
    world
        .broker
        .publishes
        .before
        .store(usize::MAX, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    while world.record("o").await.unwrap().state.charges == 0 {
        tokio::task::yield_now().await;
    }
    world.crash().await;
    world.broker.publishes.before.store(0, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(3));
    world.start();
    world
        .until("both are published", || world.broker.distinct().len() == 2)
        .await;
    world.caught_up().await;
    world.clock.advance(Duration::from_mins(1));
    for _ in 0..100 {
        if world.record("o").await.unwrap().outbox.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "the outbox is not emptied: {:?}",
        world.record("o").await.unwrap().outbox
    );
}

#[tokio::test]
async fn an_outage_of_the_gateway_is_waited_out_and_nothing_is_a_dead_letter() {
    let world = World::new();
    world.gateway.down.store(true, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((world.broker.distinct(), world.broker.lag()), (vec![], 1));
    world.gateway.down.store(false, Ordering::SeqCst);
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
}

#[tokio::test]
async fn an_effect_that_fails_for_one_order_delays_only_that_order() {
    let world = World::new();
    world.gateway.failing.store(1, Ordering::SeqCst);
    world.broker.send_event(&reserved("slow"));
    world.caught_up().await;
    world.broker.send_event(&reserved("fast"));
    world.broker.send_event(&shipped("slow"));
    world.caught_up().await;
    assert_eq!(world.broker.events().len(), 1);
    assert_eq!(world.record("slow").await.unwrap().parked.len(), 2);
    world.clock.advance(Duration::from_secs(15));
    world
        .until("the slow order goes on", || {
            world.broker.distinct().len() == 3
        })
        .await;
    assert_eq!(
        world.record("slow").await.unwrap().state,
        ToyState {
            charges: 1,
            shipped: true
        }
    );
}

#[tokio::test]
async fn a_lost_race_starts_again_from_the_winners_record() {
    let world = World::new();
    // Another instance handles the reservation while this one is about to save.
    let mut winner = OrderRecord::<ToyState>::unknown(order("o"));
    winner.state.charges = 7;
    let body = serde_json::to_vec(&winner).unwrap().into();
    *world.store.rival.lock() = Some(Write {
        id: "o".to_owned(),
        expected: 0,
        body,
        index: Index::default(),
    });
    world.broker.send_event(&reserved("o"));
    world.caught_up().await;
    assert_eq!(world.record("o").await.unwrap().state.charges, 7);
    assert_eq!(world.broker.distinct(), [], "the loser tells nothing");
}

#[tokio::test]
async fn messages_of_no_order_are_dead_letters_and_the_others_flow() {
    let world = World::new();
    let topic = EventType::InventoryReserved.as_str();
    world.broker.send(topic, None, Some(b"{}"));
    world
        .broker
        .send(topic, Some("no spaces allowed"), Some(b"{}"));
    world
        .broker
        .send(topic, Some("poisoned"), Some(&[0xff, 0x00]));
    world.broker.send(topic, Some("poisoned"), None);
    world.broker.send_event(&reserved("o"));
    world.caught_up().await;
    let kinds = world.broker.distinct();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == EventType::DeadLetter)
            .count(),
        4,
        "{kinds:?}"
    );
    assert!(kinds.contains(&EventType::PaymentAuthorized));
    let letters = world.broker.published.lock();
    assert!(
        letters
            .iter()
            .filter(|m| m.topic.ends_with(".dlq"))
            .all(|m| m.topic == "inventory.InventoryReserved.v1.dlq")
    );
}

#[tokio::test]
async fn a_shutdown_in_an_outage_leaves_the_batch_for_the_next_instance() {
    let mut world = World::new();
    world.gateway.down.store(true, Ordering::SeqCst);
    world.broker.send_event(&reserved("o"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.token.cancel();
    let drained = tokio::time::timeout(Duration::from_secs(5), world.running.take().unwrap()).await;
    drained.expect("the shutdown is bounded").unwrap();
    world.gateway.down.store(false, Ordering::SeqCst);
    world.start();
    world.caught_up().await;
    assert_eq!(world.broker.distinct(), [EventType::PaymentAuthorized]);
}
