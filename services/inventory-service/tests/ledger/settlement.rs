use inventory_service::domain::Hold;
use inventory_service::stock::{Restocked, Sightings};

use crate::warehouse::*;

#[tokio::test]
async fn goods_go_the_whole_way_and_every_mark_is_settled() {
    let warehouse = Warehouse::with(&[("A", 5), ("B", 5)]).await;
    let ledger = warehouse.ledger();
    let items = items_of(one(&ledger, reserve("o-1", &[("A", 2), ("B", 1)])).await);
    warehouse
        .save_order("o-1", Hold::Reserved(reservation(items.clone())))
        .await;
    warehouse.tell(&ledger, "o-1").await;
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
    warehouse.tell(&ledger, "o-1").await;
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
    warehouse.tell(&ledger, "o-1").await;
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
    warehouse.tell(&successor, "o-1").await;
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
    warehouse.tell(&successor, "o-1").await;
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
