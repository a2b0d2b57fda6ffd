//! The ledger: what a batch costs, who gets the last unit, and what crashes, outages and other instances leave.

mod common;

use std::sync::Arc;

use common::*;
use inventory_service::StockEffects;
use inventory_service::domain::{Hold, Outcome, ShortReason};
use inventory_service::stock::{LedgerError, Limits, Restock, RestockError, Restocked, Sightings};
use sagaline_contracts::Timestamp;
use sagaline_runtime::Effects;
use sagaline_store::{Index, Store, Write};

fn restock(key: &str, qty: u32) -> Restock {
    Restock {
        key: key.to_owned(),
        qty,
        by: "ana".to_owned(),
        at: Timestamp::EPOCH,
    }
}

#[tokio::test]
async fn a_batch_on_a_hot_sku_reads_and_writes_its_document_once() {
    let warehouse = Warehouse::with(&[("HOT", 1_000)]).await;
    let ledger = warehouse.ledger();
    for (round, loads) in [(0, 1), (1, 0)] {
        let requests: Vec<_> = (0..200)
            .map(|n| reserve(&format!("o-{round}-{n}"), &[("HOT", 1)]))
            .collect();
        let outcomes = ledger.carry_out(&requests).await.unwrap();
        assert!(
            outcomes
                .iter()
                .all(|o| matches!(o, Ok(Outcome::Reserved { .. })))
        );
        assert_eq!(warehouse.store.calls(), [loads, 1, 1], "round {round}");
    }
    assert_eq!(warehouse.units("HOT").await, [600, 400, 0]);
}

#[tokio::test]
async fn a_batch_over_many_skus_is_one_read_and_one_write_of_all() {
    let skus: Vec<String> = (0..50).map(|n| format!("S-{n}")).collect();
    let mut stock: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 10)).collect();
    stock.push(("HOT", 100));
    let warehouse = Warehouse::with(&stock).await;
    let requests: Vec<_> = skus
        .iter()
        .map(|sku| reserve(&format!("o-{sku}"), &[(sku, 1), ("HOT", 1)]))
        .collect();
    warehouse.ledger().carry_out(&requests).await.unwrap();
    assert_eq!(warehouse.store.calls(), [1, 1, 51]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_concurrent_orders_at_two_instances_exactly_5_get_the_last_5_units() {
    let warehouse = Warehouse::with(&[("LIMITED-1", 5)]).await;
    let instances: Vec<Arc<StockEffects>> = (0..2)
        .map(|_| {
            let ledger = warehouse.ledger_on(&warehouse.store.shared(), Limits::default());
            Arc::new(StockEffects::new(ledger))
        })
        .collect();
    let orders = (0..200).map(|n| {
        let effects = Arc::clone(&instances[n % 2]);
        tokio::spawn(async move {
            let request = reserve(&format!("o-{n}"), &[("LIMITED-1", 1)]);
            let mut outcomes = effects.carry_out(&[request]).await.unwrap();
            outcomes.remove(0).unwrap()
        })
    });
    let mut got = 0;
    for order in orders.collect::<Vec<_>>() {
        got += usize::from(!is_short(&order.await.unwrap()));
    }
    assert_eq!(got, 5);
    assert_eq!(warehouse.units("LIMITED-1").await, [0, 5, 0]);
}

#[tokio::test]
async fn an_order_gets_all_of_its_items_or_none() {
    let warehouse = Warehouse::with(&[("A", 5), ("B", 1)]).await;
    let ledger = warehouse.ledger();
    let outcome = one(&ledger, reserve("o-1", &[("A", 2), ("B", 3)])).await;
    let Outcome::Short { reason, shortages } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(reason, ShortReason::OutOfStock);
    let told: Vec<_> = shortages
        .iter()
        .map(|s| (s.sku.as_str(), s.requested, s.available))
        .collect();
    assert_eq!(told, [("B", 3, Some(1))]);
    assert_eq!(warehouse.units("A").await, [5, 0, 0]);
    assert_eq!(warehouse.unsettled("A").await, 0);
}

#[tokio::test]
async fn an_unknown_sku_is_told_without_a_number_beside_other_shortages() {
    let warehouse = Warehouse::with(&[("A", 1)]).await;
    let outcome = one(
        &warehouse.ledger(),
        reserve("o-1", &[("A", 2), ("NONE", 3)]),
    )
    .await;
    let Outcome::Short { reason, shortages } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(reason, ShortReason::UnknownSku);
    let told: Vec<_> = shortages
        .iter()
        .map(|s| (s.sku.as_str(), s.requested, s.available))
        .collect();
    assert_eq!(told, [("A", 2, Some(1)), ("NONE", 3, None)]);
}

#[tokio::test]
async fn a_sku_that_appears_later_is_seen() {
    let warehouse = Warehouse::with(&[]).await;
    let ledger = warehouse.ledger();
    assert!(is_short(&one(&ledger, reserve("o-1", &[("A", 1)])).await));
    let other = Warehouse::with(&[("A", 1)]).await;
    let stored = other
        .store
        .inner
        .load("stock", &["A"])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let write = Write {
        id: "A".to_owned(),
        expected: 0,
        body: stored.body,
        index: Index::default(),
    };
    warehouse
        .store
        .inner
        .save("stock", vec![write])
        .await
        .unwrap();
    assert!(!is_short(&one(&ledger, reserve("o-2", &[("A", 1)])).await));
}

#[tokio::test]
async fn the_same_operation_again_is_the_same_operation() {
    let warehouse = Warehouse::with(&[("A", 5)]).await;
    let ledger = warehouse.ledger();
    let first = one(&ledger, reserve("o-1", &[("A", 2)])).await;
    warehouse.store.calls();
    assert_eq!(one(&ledger, reserve("o-1", &[("A", 2)])).await, first);
    assert_eq!(warehouse.store.calls(), [0, 0, 0]);
    // another instance, after a crash
    assert_eq!(
        one(&warehouse.ledger(), reserve("o-1", &[("A", 2)])).await,
        first
    );
    let twice = [reserve("o-2", &[("A", 1)]), reserve("o-2", &[("A", 1)])];
    let outcomes = ledger.carry_out(&twice).await.unwrap();
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(warehouse.units("A").await, [2, 3, 0]);
}

#[tokio::test]
async fn goods_go_the_whole_way_and_every_mark_is_settled() {
    let warehouse = Warehouse::with(&[("A", 5), ("B", 5)]).await;
    let ledger = warehouse.ledger();
    let items = items_of(one(&ledger, reserve("o-1", &[("A", 2), ("B", 1)])).await);
    warehouse
        .save_order("o-1", Hold::Reserved(reservation(items.clone())))
        .await;
    ledger.learn(&[order_id("o-1")]).await.unwrap();
    let items = items_of(one(&ledger, ship("o-1", &items)).await);
    assert_eq!(warehouse.units("A").await, [3, 2, 0], "it is noted only");
    assert_eq!(
        warehouse.unsettled("A").await,
        1,
        "the reservation was folded by this write"
    );
    warehouse
        .save_order("o-1", Hold::Shipped(reservation(items)))
        .await;
    ledger.learn(&[order_id("o-1")]).await.unwrap();
    ledger.settle_idle(true).await.unwrap();
    for (sku, units) in [("A", [3, 0, 2]), ("B", [4, 0, 1])] {
        assert_eq!(warehouse.units(sku).await, units);
        assert_eq!(warehouse.unsettled(sku).await, 0);
    }
}

#[tokio::test]
async fn a_quiet_sku_is_settled_at_the_second_look_and_a_busy_one_by_its_batches() {
    let warehouse = Warehouse::with(&[("A", 5)]).await;
    let ledger = warehouse.ledger();
    let items = items_of(one(&ledger, reserve("o-1", &[("A", 1)])).await);
    warehouse
        .save_order("o-1", Hold::Reserved(reservation(items)))
        .await;
    ledger.learn(&[order_id("o-1")]).await.unwrap();
    ledger.settle_idle(false).await.unwrap();
    assert_eq!(warehouse.unsettled("A").await, 1);
    ledger.settle_idle(false).await.unwrap();
    assert_eq!(warehouse.unsettled("A").await, 0);
}

#[tokio::test]
async fn nobody_is_told_of_a_shortage_from_an_old_document() {
    let warehouse = Warehouse::with(&[("A", 1)]).await;
    let (here, there) = (warehouse.ledger(), warehouse.ledger());
    assert!(!is_short(&one(&here, reserve("o-1", &[("A", 1)])).await));
    let (restocked, ..) = there.restock(&sku("A"), &restock("k", 1)).await.unwrap();
    assert_eq!(restocked, Restocked::Now);
    assert!(!is_short(&one(&here, reserve("o-2", &[("A", 1)])).await));
    assert!(is_short(&one(&here, reserve("o-3", &[("A", 1)])).await));
}

#[tokio::test]
async fn units_that_a_saved_order_gave_back_are_found_when_they_are_needed() {
    let warehouse = Warehouse::with(&[("A", 1)]).await;
    let ledger = warehouse.ledger();
    let items = items_of(one(&ledger, reserve("o-1", &[("A", 1)])).await);
    let items = items_of(one(&ledger, release("o-1", &items)).await);
    assert!(
        is_short(&one(&ledger, reserve("o-2", &[("A", 1)])).await),
        "it may still be void"
    );
    warehouse
        .save_order("o-1", Hold::Released(reservation(items)))
        .await;
    // neither instance was told, nor did a sweep run
    for (ledger, order) in [(&ledger, "o-3"), (&warehouse.ledger(), "o-4")] {
        let short = is_short(&one(ledger, reserve(order, &[("A", 1)])).await);
        assert_eq!(short, order == "o-4");
    }
    assert_eq!(warehouse.units("A").await, [0, 1, 0]);
}

#[tokio::test]
async fn a_zombie_that_releases_again_gives_no_unit_away() {
    let warehouse = Warehouse::with(&[("A", 2)]).await;
    let (successor, zombie) = (warehouse.ledger(), warehouse.ledger());
    let held = items_of(one(&successor, reserve("o-1", &[("A", 1)])).await);
    one(&successor, reserve("o-2", &[("A", 1)])).await;
    let released = items_of(one(&successor, release("o-1", &held)).await);
    warehouse
        .save_order("o-1", Hold::Released(reservation(released)))
        .await;
    successor.learn(&[order_id("o-1")]).await.unwrap();
    successor.settle_idle(true).await.unwrap();
    assert_eq!(warehouse.units("A").await, [1, 1, 0]);
    // the mark is gone, so nothing but the order's document could tell the zombie
    items_of(one(&zombie, release("o-1", &held)).await);
    assert_eq!(warehouse.units("A").await, [1, 1, 0]);
    assert!(!is_short(
        &one(&successor, reserve("o-3", &[("A", 1)])).await
    ));
    assert!(is_short(
        &one(&successor, reserve("o-4", &[("A", 1)])).await
    ));
    let mut sightings = Sightings::default();
    successor.sweep(&mut sightings).await.unwrap();
    successor.sweep(&mut sightings).await.unwrap();
    successor.settle_idle(true).await.unwrap();
    assert_eq!(warehouse.units("A").await, [0, 2, 0]);
}

#[tokio::test]
async fn a_zombie_that_reserves_again_costs_nobody_a_unit() {
    let warehouse = Warehouse::with(&[("A", 2)]).await;
    let (successor, zombie) = (warehouse.ledger(), warehouse.ledger());
    let held = items_of(one(&successor, reserve("o-1", &[("A", 1)])).await);
    warehouse
        .save_order("o-1", Hold::Reserved(reservation(held)))
        .await;
    successor.learn(&[order_id("o-1")]).await.unwrap();
    successor.settle_idle(true).await.unwrap();
    items_of(one(&zombie, reserve("o-1", &[("A", 1)])).await);
    assert_eq!(warehouse.units("A").await, [0, 2, 0]);
    // before anybody is refused, the zombie's mark is looked into
    assert!(!is_short(
        &one(&successor, reserve("o-2", &[("A", 1)])).await
    ));
    assert_eq!(warehouse.units("A").await, [0, 2, 0]);
}

#[tokio::test]
async fn what_a_failed_order_had_taken_already_is_given_back() {
    let warehouse = Warehouse::with(&[("A", 5), ("B", 1)]).await;
    let (crashed, successor) = (warehouse.ledger(), warehouse.ledger());
    // the crash came between the SKUs: A is marked, B is not
    one(&crashed, reserve("o-1", &[("A", 2)])).await;
    one(&crashed, reserve("o-2", &[("B", 1)])).await;
    assert!(is_short(
        &one(&successor, reserve("o-1", &[("A", 2), ("B", 1)])).await
    ));
    assert_eq!(
        warehouse.units("A").await,
        [3, 2, 0],
        "nobody knows yet that it failed"
    );
    warehouse
        .save_order("o-1", Hold::Failed { attempt: 1 })
        .await;
    let mut sightings = Sightings::default();
    successor.sweep(&mut sightings).await.unwrap();
    successor.sweep(&mut sightings).await.unwrap();
    successor.settle_idle(true).await.unwrap();
    assert_eq!(warehouse.units("A").await, [5, 0, 0]);
}

#[tokio::test]
async fn a_restarted_service_settles_what_the_old_one_left_and_leaves_what_is_open() {
    let warehouse = Warehouse::with(&[("A", 9)]).await;
    let old = warehouse.ledger();
    let kept = items_of(one(&old, reserve("kept", &[("A", 1)])).await);
    one(&old, reserve("void", &[("A", 2)])).await;
    one(&old, reserve("open", &[("A", 4)])).await;
    drop(old);
    warehouse
        .save_order("kept", Hold::Reserved(reservation(kept)))
        .await;
    warehouse
        .save_order("void", Hold::Failed { attempt: 1 })
        .await;
    warehouse.clock.pass_seconds(3);
    let new = warehouse.ledger();
    let mut sightings = Sightings::default();
    new.sweep(&mut sightings).await.unwrap();
    assert_eq!(sightings.len(), 3);
    new.sweep(&mut sightings).await.unwrap();
    new.settle_idle(true).await.unwrap();
    assert_eq!(warehouse.units("A").await, [4, 5, 0]);
    assert_eq!(warehouse.unsettled("A").await, 1);
}

#[tokio::test]
async fn an_outage_is_reported_and_trying_again_counts_once() {
    for mood in [DOWN, MUTE] {
        let warehouse = Warehouse::with(&[("A", 5)]).await;
        let ledger = warehouse.ledger();
        one(&ledger, reserve("o-0", &[("A", 1)])).await;
        let requests = [reserve("o-1", &[("A", 1)])];
        warehouse.store.mood(mood);
        let failed = ledger.carry_out(&requests).await;
        assert!(matches!(failed, Err(LedgerError::Store(_))), "{failed:?}");
        warehouse.store.mood(FINE);
        let outcomes = ledger.carry_out(&requests).await.unwrap();
        assert!(matches!(outcomes[0], Ok(Outcome::Reserved { .. })));
        assert_eq!(warehouse.units("A").await, [3, 2, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_leaves_nothing_half_done_in_memory() {
    let warehouse = Warehouse::with(&[("A", 5)]).await;
    let ledger = warehouse.ledger();
    one(&ledger, reserve("o-0", &[("A", 1)])).await;
    warehouse.store.mood(STUCK);
    let requests = [reserve("o-1", &[("A", 1)])];
    let second = std::time::Duration::from_secs(1);
    let given_up = tokio::time::timeout(second, ledger.carry_out(&requests)).await;
    assert!(given_up.is_err());
    warehouse.store.mood(FINE);
    one(&ledger, reserve("o-2", &[("A", 1)])).await;
    assert_eq!(warehouse.units("A").await, [2, 3, 0]);
}

#[tokio::test]
async fn marks_beyond_the_limit_wait_until_the_earlier_orders_are_saved() {
    let warehouse = Warehouse::with(&[("A", 100)]).await;
    let limits = Limits {
        marks_max: 3,
        ..Limits::default()
    };
    let ledger = warehouse.ledger_on(&warehouse.store, limits);
    let orders = ["o-1", "o-2", "o-3"];
    let requests = orders.map(|order| reserve(order, &[("A", 1)]));
    let outcomes = ledger.carry_out(&requests).await.unwrap();
    let more = [reserve("o-4", &[("A", 1)])];
    let full = ledger.carry_out(&more).await;
    assert!(matches!(full, Err(LedgerError::Full { .. })), "{full:?}");
    assert_eq!(warehouse.units("A").await, [97, 3, 0]);
    // what is marked already needs no room
    assert_eq!(ledger.carry_out(&requests).await.unwrap(), outcomes);
    let items = items_of(outcomes.into_iter().next().unwrap().unwrap());
    warehouse
        .save_order("o-1", Hold::Reserved(reservation(items)))
        .await;
    ledger.carry_out(&more).await.unwrap();
    assert_eq!(warehouse.units("A").await, [96, 4, 0]);
    assert_eq!(warehouse.unsettled("A").await, 3);
}

#[tokio::test]
async fn a_damaged_document_stops_the_orders_that_need_it_and_no_other() {
    let warehouse = Warehouse::with(&[("A", 5)]).await;
    let write = Write {
        id: "BAD".to_owned(),
        expected: 0,
        body: r#"{"sku":"BAD","name":"x","price":1,"initial":5,"restocked":0,"available":9,"reserved":0,"shipped":0}"#.into(),
        index: Index::default(),
    };
    warehouse
        .store
        .inner
        .save("stock", vec![write])
        .await
        .unwrap();
    let ledger = warehouse.ledger();
    let requests = [
        reserve("o-1", &[("A", 1), ("BAD", 1)]),
        reserve("o-2", &[("A", 1)]),
    ];
    let outcomes = ledger.carry_out(&requests).await.unwrap();
    assert!(
        outcomes[0]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("BAD")
    );
    assert!(outcomes[1].is_ok());
    assert_eq!(warehouse.units("A").await, [4, 1, 0]);
    let restocked = ledger.restock(&sku("BAD"), &restock("k", 1)).await;
    assert!(matches!(restocked, Err(RestockError::Damaged(_))));
}

#[tokio::test]
async fn goods_of_a_sku_that_is_gone_cannot_be_released_silently() {
    let warehouse = Warehouse::with(&[("A", 5)]).await;
    let ledger = warehouse.ledger();
    let items = items_of(one(&ledger, reserve("o-1", &[("A", 1)])).await);
    warehouse.store.inner.clear("stock").await.unwrap();
    let outcomes = warehouse
        .ledger()
        .carry_out(&[ship("o-1", &items)])
        .await
        .unwrap();
    assert!(outcomes[0].is_err());
}

#[tokio::test]
async fn a_restock_counts_once_whoever_else_writes() {
    let warehouse = Warehouse::with(&[("A", 5)]).await;
    let (here, there) = (warehouse.ledger(), warehouse.ledger());
    one(&there, reserve("o-0", &[("A", 1)])).await;
    let (restocked, document, version) = here.restock(&sku("A"), &restock("k", 7)).await.unwrap();
    assert_eq!(
        (restocked, document.counters().available, version),
        (Restocked::Now, 11, 3)
    );
    // `there` has an old document
    one(&there, reserve("o-1", &[("A", 1)])).await;
    let (restocked, document, _) = there.restock(&sku("A"), &restock("k", 7)).await.unwrap();
    assert_eq!(
        (restocked, document.counters().available),
        (Restocked::Before, 10)
    );
    let unknown = here.restock(&sku("NONE"), &restock("k", 7)).await;
    assert!(matches!(unknown, Err(RestockError::Unknown(_))));
}

#[tokio::test]
async fn a_small_cache_only_costs_reads() {
    let warehouse = Warehouse::with(&[("A", 5), ("B", 5), ("C", 5)]).await;
    let limits = Limits {
        cached_max: 1,
        ..Limits::default()
    };
    let ledger = warehouse.ledger_on(&warehouse.store, limits);
    for (n, sku) in ["A", "B", "C", "A", "B", "C"].into_iter().enumerate() {
        one(&ledger, reserve(&format!("o-{n}"), &[(sku, 1)])).await;
    }
    assert_eq!(warehouse.store.calls()[0], 6);
    for sku in ["A", "B", "C"] {
        assert_eq!(warehouse.units(sku).await, [3, 2, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_settles_by_itself_and_once_more_when_it_stops() {
    let warehouse = Warehouse::with(&[("A", 5), ("B", 5)]).await;
    let effects = Arc::new(StockEffects::new(warehouse.ledger()));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let maintain = tokio::spawn({
        let (effects, shutdown) = (Arc::clone(&effects), shutdown.clone());
        async move { effects.maintain(shutdown).await }
    });
    let items = items_of(one(effects.ledger(), reserve("o-1", &[("A", 1)])).await);
    warehouse
        .save_order("o-1", Hold::Reserved(reservation(items)))
        .await;
    effects.saved(&[order_id("o-1")]);
    tokio::time::timeout(std::time::Duration::from_secs(5), async {
        while warehouse.unsettled("A").await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is settled within a second or so");
    let items = items_of(one(effects.ledger(), reserve("o-2", &[("B", 1)])).await);
    warehouse
        .save_order("o-2", Hold::Reserved(reservation(items)))
        .await;
    effects.saved(&[order_id("o-2")]);
    shutdown.cancel();
    maintain.await.unwrap();
    assert_eq!(warehouse.unsettled("B").await, 0);
}
