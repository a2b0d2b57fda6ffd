use std::sync::atomic::Ordering;

use metrics::Counter;
use sagaline_contracts::payload::{OrderItem, OrderShipped};
use sagaline_contracts::{EventType, Money, Sku};
use sagaline_runtime::{AckedSet, AnnounceLimits, Announcer, OutboxRelay, Producer, RelayFaults};
use sagaline_saga::{Applied, OrderRecord};
use sagaline_store::Store;
use tokio::sync::Semaphore;

use super::*;
use crate::domain::{Identities, NewOrder, Order, Phase};
use crate::testing::{SAGA, World};

/// A request: how many, under which order id, key and request id.
#[derive(Clone, Copy)]
struct Ask {
    qty: u32,
    order_id: Option<&'static str>,
    key: Option<&'static str>,
    client: Option<&'static str>,
}

const PLAIN: Ask = Ask {
    qty: 1,
    order_id: None,
    key: None,
    client: None,
};

fn draft(world: &World, ask: Ask) -> Draft {
    let request = NewOrder {
        order_id: ask.order_id.map(|id| OrderId::new(id).unwrap()),
        client_request_id: ask.client.map(Into::into),
        customer_id: None,
        currency: None,
        items: vec![OrderItem {
            sku: Sku::new("SKU-1").unwrap(),
            qty: ask.qty,
            price: None,
        }],
        total: Money::from_cents(1_000).unwrap(),
    };
    let identities = Identities::of(&request, ask.key, sagaline_service_kit::ids::random_uuid);
    Draft::new(request, identities, &SAGA, world.ports.clock.now())
}

async fn place(world: &World, intake: &Intake, ask: Ask) -> Result<Placed, IntakeError> {
    intake.place(draft(world, ask)).await
}

fn created(placed: Result<Placed, IntakeError>) -> OrderId {
    match placed {
        Ok(Placed::Created(id)) => id,
        other => unreachable!("expected a new order: {other:?}"),
    }
}

fn before(placed: Result<Placed, IntakeError>) -> OrderId {
    match placed {
        Ok(Placed::Before(id)) => id,
        other => unreachable!("expected an order of before: {other:?}"),
    }
}

fn conflict(placed: Result<Placed, IntakeError>) -> IdentityKind {
    match placed {
        Err(IntakeError::Conflict(kind)) => kind,
        other => unreachable!("expected a conflict: {other:?}"),
    }
}

/// How many orders the store holds, without aliases and what is no order.
async fn orders(world: &World) -> usize {
    let all = world
        .store
        .inner
        .scan("orders", None, 10_000)
        .await
        .unwrap();
    let records = all
        .iter()
        .map(|stored| serde_json::from_slice(&stored.body).unwrap());
    records
        .filter(|record: &OrderRecord<Order>| record.state.phase != Phase::Unknown)
        .count()
}

#[tokio::test]
async fn a_new_order_is_durable_before_the_answer_and_its_event_is_published_once() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let id = created(place(&world, &intake, PLAIN).await);
    let record = world.store.record(&id).await.unwrap();
    assert_eq!(record.state.phase, Phase::Pending);
    assert_eq!(record.outbox.len(), 1);
    let published = world.published_after(1).await;
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].event_type(), EventType::OrderCreated);
    assert_eq!(published[0].order_id, Some(id));
    assert_eq!(published[0].id, record.outbox[0].emission.id);
}

#[tokio::test]
async fn fifty_identical_requests_at_once_are_one_order_and_one_event() {
    for ask in [
        Ask {
            order_id: Some("o-1"),
            ..PLAIN
        },
        Ask {
            key: Some("k"),
            ..PLAIN
        },
        Ask {
            order_id: Some("o-1"),
            key: Some("k"),
            client: Some("c"),
            ..PLAIN
        },
    ] {
        let world = World::new();
        let intake = world.intake(IntakeLimits::default());
        let answers = futures::future::join_all((0..50).map(|_| place(&world, &intake, ask))).await;
        let fresh = answers
            .iter()
            .filter(|answer| matches!(answer, Ok(Placed::Created(_))));
        assert_eq!(fresh.count(), 1);
        let ids: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().unwrap().order_id())
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        // one more order behind them: by then everything that they caused is published
        created(place(&world, &intake, PLAIN).await);
        assert_eq!(world.published_after(2).await.len(), 2);
        assert_eq!(orders(&world).await, 2);
    }
}

#[tokio::test]
async fn what_waits_is_saved_together() {
    let world = World::new();
    let intake = world.intake(IntakeLimits {
        workers: 1,
        ..IntakeLimits::default()
    });
    // the first save is held back, so the others gather
    world.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let placing = futures::future::join_all((0..100).map(|_| place(&world, &intake, PLAIN)));
    let releasing = async {
        tokio::task::yield_now().await;
        world.store.gate.add_permits(1_000);
    };
    let (answers, ()) = futures::join!(placing, releasing);
    assert!(answers.iter().all(Result::is_ok));
    assert!(
        world.store.saves.load(Ordering::SeqCst) <= 3,
        "a save for each would be 100"
    );
}

#[tokio::test]
async fn another_request_under_a_known_identity_is_a_conflict_that_names_it() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let first = Ask {
        order_id: Some("o-1"),
        key: Some("k"),
        client: Some("c"),
        ..PLAIN
    };
    created(place(&world, &intake, first).await);
    let other = Ask { qty: 2, ..PLAIN };
    for (ask, kind) in [
        (
            Ask {
                order_id: Some("o-1"),
                ..other
            },
            IdentityKind::OrderId,
        ),
        (
            Ask {
                key: Some("k"),
                ..other
            },
            IdentityKind::IdempotencyKey,
        ),
        (
            Ask {
                client: Some("c"),
                ..other
            },
            IdentityKind::ClientRequestId,
        ),
        // the key was used with an order id, and now without: another body
        (
            Ask {
                order_id: None,
                ..first
            },
            IdentityKind::IdempotencyKey,
        ),
        // and with another order id
        (
            Ask {
                order_id: Some("o-2"),
                ..first
            },
            IdentityKind::IdempotencyKey,
        ),
    ] {
        assert_eq!(conflict(place(&world, &intake, ask).await), kind);
    }
    assert_eq!(orders(&world).await, 1);
    assert_eq!(world.published_after(1).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_was_used_without_an_order_id_cannot_be_used_with_one() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    created(
        place(
            &world,
            &intake,
            Ask {
                key: Some("k"),
                ..PLAIN
            },
        )
        .await,
    );
    let with_id = Ask {
        order_id: Some("o-1"),
        key: Some("k"),
        ..PLAIN
    };
    assert_eq!(
        conflict(place(&world, &intake, with_id).await),
        IdentityKind::IdempotencyKey
    );
    assert_eq!(
        orders(&world).await,
        1,
        "no order is left behind under the refused id"
    );
}

#[tokio::test]
async fn a_refused_request_leaves_its_other_identities_free_for_a_better_one() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    created(
        place(
            &world,
            &intake,
            Ask {
                key: Some("taken"),
                ..PLAIN
            },
        )
        .await,
    );
    let mixed = Ask {
        qty: 2,
        key: Some("taken"),
        client: Some("c"),
        ..PLAIN
    };
    assert_eq!(
        conflict(place(&world, &intake, mixed).await),
        IdentityKind::IdempotencyKey
    );
    created(
        place(
            &world,
            &intake,
            Ask {
                qty: 3,
                client: Some("c"),
                ..PLAIN
            },
        )
        .await,
    );
}

#[tokio::test]
async fn the_same_request_is_found_by_any_of_its_identities() {
    // The client's library makes a new key for each try; the request's own id stays.
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let ask = |key| Ask {
        key,
        client: Some("c"),
        ..PLAIN
    };
    let id = created(place(&world, &intake, ask(Some("k-1"))).await);
    assert_eq!(before(place(&world, &intake, ask(Some("k-2"))).await), id);
    assert_eq!(before(place(&world, &intake, ask(None)).await), id);
    // and the second key belongs to it from now on
    let other = Ask {
        qty: 9,
        key: Some("k-2"),
        ..PLAIN
    };
    assert_eq!(
        conflict(place(&world, &intake, other).await),
        IdentityKind::IdempotencyKey
    );

    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let id = created(place(&world, &intake, ask(None)).await);
    assert_eq!(before(place(&world, &intake, ask(Some("k-1"))).await), id);
    assert_eq!(world.published_after(1).await.len(), 1);
}

#[tokio::test]
async fn one_identity_as_an_orders_own_and_as_anothers_alias_at_once_is_one_order() {
    for _ in 0..20 {
        let world = World::new();
        let intake = world.intake(IntakeLimits::default());
        let ask = |key| Ask {
            key,
            client: Some("c"),
            ..PLAIN
        };
        let keys = [None, Some("k-1"), Some("k-2"), None, Some("k-1")];
        let answers =
            futures::future::join_all(keys.map(|key| place(&world, &intake, ask(key)))).await;
        let ids: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().unwrap().order_id())
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{answers:?}");
        assert_eq!(orders(&world).await, 1);
    }
}

#[tokio::test]
async fn a_crash_between_alias_and_order_is_completed_by_the_same_request() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let ask = Ask {
        order_id: Some("o-1"),
        key: Some("k"),
        ..PLAIN
    };
    let crashed = draft(&world, ask);
    let alias = crashed.identities().further[0].id.clone();
    let mut record = OrderRecord::unknown(alias.clone());
    record.state = Order::alias(
        crashed.order_id().clone(),
        crashed.fingerprint(),
        world.ports.clock.now(),
    );
    world.store.put(alias.as_str(), &record).await;
    let other = Ask {
        qty: 2,
        key: Some("k"),
        ..PLAIN
    };
    assert_eq!(
        conflict(place(&world, &intake, other).await),
        IdentityKind::IdempotencyKey
    );
    assert_eq!(created(place(&world, &intake, ask).await).as_str(), "o-1");
}

#[tokio::test]
async fn an_order_is_placed_on_top_of_a_command_that_was_refused_before_it_came() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let ask = Ask {
        order_id: Some("o-1"),
        key: Some("k"),
        ..PLAIN
    };
    let mut record = OrderRecord::<Order>::unknown(OrderId::new("o-1").unwrap());
    let handled = sagaline_contracts::EventId::new("refused").unwrap();
    record.applied.push(Applied {
        id: handled.clone(),
        emitted: vec![],
    });
    world.store.put("o-1", &record).await;
    let id = created(place(&world, &intake, ask).await);
    let record = world.store.record(&id).await.unwrap();
    assert_eq!(record.state.phase, Phase::Pending);
    assert!(record.knows(&handled), "what was handled stays handled");
    assert_eq!(before(place(&world, &intake, ask).await), id);
}

#[tokio::test]
async fn an_order_of_another_program_is_not_taken_over() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    let mut record = OrderRecord::<Order>::unknown(OrderId::new("o-1").unwrap());
    record.state.phase = Phase::Confirmed;
    world.store.put("o-1", &record).await;
    let ask = Ask {
        order_id: Some("o-1"),
        ..PLAIN
    };
    assert_eq!(
        conflict(place(&world, &intake, ask).await),
        IdentityKind::OrderId
    );
}

#[tokio::test]
async fn an_outage_is_told_at_once_and_nothing_is_published() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    world.store.down.store(true, Ordering::SeqCst);
    for ask in [
        PLAIN,
        Ask {
            order_id: Some("o-1"),
            key: Some("k"),
            ..PLAIN
        },
    ] {
        assert_eq!(
            place(&world, &intake, ask).await,
            Err(IntakeError::Unavailable)
        );
    }
    world.store.down.store(false, Ordering::SeqCst);
    created(place(&world, &intake, PLAIN).await);
    assert_eq!(world.published_after(1).await.len(), 1);
}

#[tokio::test]
async fn a_save_whose_acknowledgement_was_lost_is_found_by_the_next_try() {
    let world = World::new();
    let intake = world.intake(IntakeLimits::default());
    world.store.lose_ack.store(true, Ordering::SeqCst);
    let ask = Ask {
        key: Some("k"),
        ..PLAIN
    };
    assert_eq!(
        place(&world, &intake, ask).await,
        Err(IntakeError::Unavailable)
    );
    before(place(&world, &intake, ask).await);
    assert_eq!(orders(&world).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_and_a_slow_store_are_told_apart() {
    let world = World::new();
    let limits = IntakeLimits {
        queue: 3,
        batch: 1,
        workers: 1,
        ..IntakeLimits::default()
    };
    let intake = world.intake(limits);
    world.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let answers = futures::future::join_all((0..5).map(|_| place(&world, &intake, PLAIN))).await;
    let count = |error: &IntakeError| {
        answers
            .iter()
            .filter(|answer| answer.as_ref().err() == Some(error))
            .count()
    };
    assert_eq!(count(&IntakeError::Full), 2);
    assert_eq!(
        count(&IntakeError::Unavailable),
        1,
        "the store's time limit: {answers:?}"
    );
    assert_eq!(
        count(&IntakeError::TooSlow),
        2,
        "its own time limit: {answers:?}"
    );
    assert_eq!(orders(&world).await, 0);

    // The save in hand goes through, as its caller was told that it may; the request behind it, whose caller has stopped
    // waiting, becomes no order that nobody hears of.
    world.store.gate.add_permits(100);
    created(place(&world, &intake, PLAIN).await);
    assert_eq!(orders(&world).await, 2);
}

#[tokio::test]
async fn beyond_the_bound_of_orders_in_flight_new_ones_are_refused_until_some_have_ended() {
    let world = World::new();
    let intake = world.intake(IntakeLimits {
        in_flight: 2,
        ..IntakeLimits::default()
    });
    world.consume();
    let first = created(place(&world, &intake, PLAIN).await);
    created(place(&world, &intake, PLAIN).await);
    assert_eq!(
        place(&world, &intake, PLAIN).await,
        Err(IntakeError::Behind)
    );
    assert_eq!(orders(&world).await, 2);

    world.published_after(2).await;
    world.deliver(OrderShipped {
        order_id: first,
        carrier: "c".into(),
        tracking_id: "t".into(),
        attempt: None,
    });
    // its OrderConfirmed
    world.published_after(3).await;
    created(place(&world, &intake, PLAIN).await);
}

#[tokio::test]
async fn what_was_handed_in_is_answered_before_the_workers_end() {
    let world = World::new();
    let relay = OutboxRelay::new(
        Arc::clone(&world.broker) as Arc<dyn Producer>,
        AckedSet::default(),
        RelayFaults::default(),
    );
    let (announcer, announcers) =
        Announcer::new(relay.clone(), AnnounceLimits::default(), Counter::noop());
    let (intake, workers) = Intake::new(
        Arc::clone(&world.ports.store),
        announcer,
        Arc::clone(&world.ports.health),
        Arc::clone(&world.gauges),
        IntakeLimits::default(),
    );
    let placing = tokio::spawn({
        let draft = draft(&world, PLAIN);
        async move { intake.place(draft).await }
    });
    // the handle is gone once the request is answered, and then the workers end
    futures::join!(workers.run(), announcers.run());
    created(placing.await.unwrap());
    assert_eq!(
        world.published().len(),
        1,
        "and told, without waiting for it"
    );
    assert_eq!(world.gauges.in_flight(), 1);
}
