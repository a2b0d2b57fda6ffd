use std::sync::Arc;

use inventory_service::StockEffects;
use inventory_service::domain::{Outcome, ShortReason};
use inventory_service::stock::Limits;
use sagaline_runtime::Effects;
use sagaline_store::{Index, Store, Write};

use crate::warehouse::*;

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
