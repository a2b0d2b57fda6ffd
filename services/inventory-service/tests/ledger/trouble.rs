use std::sync::Arc;

use inventory_service::StockEffects;
use inventory_service::domain::{Hold, Outcome};
use inventory_service::stock::{LedgerError, Limits, RestockError, Restocked};
use sagaline_runtime::{Effects, Saved};
use sagaline_store::{Index, Store, Write};

use crate::warehouse::*;

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
    warehouse.tell(effects.ledger(), "o-1").await;
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
    let state = warehouse.saved_state("o-2").await;
    effects.saved(&[Saved {
        order_id: &order_id("o-2"),
        state: &state,
    }]);
    shutdown.cancel();
    maintain.await.unwrap();
    assert_eq!(warehouse.unsettled("B").await, 0);
}
