use serde_json::{Value, json};

use super::*;

fn sku() -> Sku {
    Sku::new("A").unwrap()
}

fn document(units: u64) -> StockDocument {
    StockDocument::new(sku(), "An item", Money::from_cents(1_999).unwrap(), units)
}

fn operation(order: &str, op: StockOp, qty: u32) -> Operation {
    Operation {
        order_id: OrderId::new(order).unwrap(),
        attempt: 1,
        op,
        qty,
    }
}

fn judge(document: &mut StockDocument, order: &str, verdict: Verdict) {
    let order_id = OrderId::new(order).unwrap();
    document.judge(&order_id, |_, _, _| verdict);
}

/// Available, reserved, shipped.
fn units(counters: Counters) -> [u64; 3] {
    assert!(counters.are_conserved(), "{counters:?}");
    [counters.available, counters.reserved, counters.shipped]
}

fn restock(key: &str, qty: u32) -> Restock {
    Restock {
        key: key.to_owned(),
        qty,
        by: "ana".to_owned(),
        at: Timestamp::EPOCH,
    }
}

#[test]
fn a_document_is_plain_json_in_which_a_mark_is_one_short_text() {
    let mut document = document(10);
    assert!(document.apply(operation("o-1", StockOp::Reserve, 3), 2));
    assert_eq!(document.restock(restock("k", 5)), Restocked::Now);
    let json: Value = serde_json::from_slice(&document.encode()).unwrap();
    let expected = json!({
        "sku": "A", "name": "An item", "price": 19.99,
        "initial": 10, "restocked": 5, "available": 12, "reserved": 3, "shipped": 0,
        "marks": ["reserve/1/3/2/o-1"],
        "restocks": [{ "key": "k", "qty": 5, "by": "ana", "at": "1970-01-01T00:00:00.000000Z" }],
    });
    assert_eq!(json, expected);
    assert_eq!(StockDocument::decode(&document.encode()).unwrap(), document);
}

#[test]
fn a_document_whose_units_do_not_add_up_is_refused() {
    let mut json: Value = serde_json::from_slice(&document(10).encode()).unwrap();
    for (field, value) in [
        ("available", json!(9)),
        ("shipped", json!(1)),
        ("reserved", json!(u64::MAX)),
        ("available", json!(-1)),
        ("marks", json!(["reserve/1/3/2"])),
        ("marks", json!(["grab/1/3/2/o-1"])),
        ("marks", json!(["reserve/1/x/2/o-1"])),
        ("marks", json!(["reserve/1/3/2/o-1", "reserve/1/3/4/o-1"])),
    ] {
        let before = json[field].clone();
        json[field] = value;
        let text = json.to_string();
        assert!(StockDocument::decode(text.as_bytes()).is_err(), "{text}");
        json[field] = before;
        if json[field].is_null() {
            json.as_object_mut().unwrap().remove(field);
        }
    }
    assert!(StockDocument::decode(json.to_string().as_bytes()).is_ok());
}

#[test]
fn units_are_taken_at_once_and_given_when_the_order_s_document_says_so() {
    let mut document = document(10);
    for (op, qty, now, later) in [
        (StockOp::Reserve, 3, [7, 3, 0], [7, 3, 0]),
        (StockOp::Release, 1, [7, 3, 0], [8, 2, 0]),
        (StockOp::Ship, 2, [8, 2, 0], [8, 0, 2]),
    ] {
        assert!(document.apply(operation("o-1", op, qty), 2));
        assert_eq!(units(document.counters()), now, "{op:?} applied");
        judge(&mut document, "o-1", Verdict::Open);
        assert!(document.settle().is_empty());
        assert_eq!(units(document.counters()), now, "{op:?} open");
        judge(&mut document, "o-1", Verdict::Counts);
        assert_eq!(document.settle().len(), 1);
        assert_eq!(units(document.counters()), later, "{op:?} settled");
        assert_eq!(document.unsettled(), 0);
    }
}

#[test]
fn what_is_void_leaves_no_trace() {
    for op in [StockOp::Reserve, StockOp::Release, StockOp::Ship] {
        let mut document = document(10);
        assert!(document.apply(operation("o-0", StockOp::Reserve, 2), 2));
        judge(&mut document, "o-0", Verdict::Counts);
        document.settle();
        let before = document.clone();
        assert!(document.apply(operation("o-1", op, 2), 3));
        judge(&mut document, "o-1", Verdict::Void);
        document.settle();
        assert_eq!(document, before, "{op:?}");
    }
}

#[test]
fn only_what_there_is_can_be_reserved_and_only_once() {
    let mut document = document(5);
    assert!(!document.allows(&operation("o-1", StockOp::Reserve, 6)));
    assert!(!document.apply(operation("o-1", StockOp::Reserve, 6), 2));
    assert_eq!(document.unsettled(), 0);
    assert!(document.apply(operation("o-1", StockOp::Reserve, 5), 2));
    assert!(
        document.allows(&operation("o-1", StockOp::Reserve, 5)),
        "it is applied"
    );
    assert!(!document.allows(&operation("o-2", StockOp::Reserve, 1)));
}

#[test]
fn an_end_without_units_keeps_its_mark_and_moves_nothing() {
    let mut document = document(5);
    assert!(document.apply(operation("o-1", StockOp::Ship, 1), 2));
    judge(&mut document, "o-1", Verdict::Counts);
    assert!(document.settle().is_empty());
    assert_eq!(units(document.counters()), [5, 0, 0]);
    assert_eq!(document.unsettled(), 1);
}

#[test]
fn a_verdict_concerns_the_marks_of_its_order_alone() {
    let mut document = document(5);
    for order in ["o", "o-1", "o-2", "p"] {
        assert!(document.apply(operation(order, StockOp::Reserve, 1), 2));
    }
    judge(&mut document, "o-1", Verdict::Void);
    let settled = document.settle();
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].operation.order_id.as_str(), "o-1");
    assert_eq!(units(document.counters()), [2, 3, 0]);
}

#[test]
fn what_was_settled_in_vain_is_settled_again_if_it_is_still_the_same() {
    let mut mine = document(5);
    assert!(mine.apply(operation("o-1", StockOp::Reserve, 1), 2));
    let mut theirs = mine.clone();
    judge(&mut mine, "o-1", Verdict::Void);
    let settled = mine.settle();
    theirs.recall(&settled);
    assert_eq!(theirs.settle(), settled);
    // applied anew in another version
    assert!(theirs.apply(operation("o-1", StockOp::Reserve, 1), 4));
    theirs.recall(&settled);
    assert!(theirs.settle().is_empty());
}

#[test]
fn people_see_what_is_noted_as_if_it_were_settled() {
    let mut document = document(10);
    for order in ["o-1", "o-2", "o-3"] {
        assert!(document.apply(operation(order, StockOp::Reserve, 2), 2));
    }
    assert!(document.apply(operation("o-1", StockOp::Release, 2), 3));
    assert!(document.apply(operation("o-2", StockOp::Ship, 2), 3));
    assert_eq!(units(document.counters()), [4, 6, 0]);
    assert_eq!(units(document.outlook()), [6, 2, 2]);
    // of two ends of one reservation, one counts
    assert!(document.apply(operation("o-2", StockOp::Release, 2), 4));
    let [_, reserved, _] = units(document.outlook());
    assert_eq!(reserved, 2);
}

#[test]
fn a_command_adds_once_and_its_key_is_not_for_another() {
    let mut document = document(5);
    assert_eq!(document.restock(restock("k", 3)), Restocked::Now);
    assert_eq!(document.restock(restock("k", 3)), Restocked::Before);
    assert_eq!(document.restock(restock("k", 4)), Restocked::KeyReused);
    assert_eq!(units(document.counters()), [8, 0, 0]);
}

#[test]
fn the_audit_is_bounded_and_keeps_the_latest() {
    let mut document = document(0);
    for n in 0..RESTOCKS_MAX + 10 {
        assert_eq!(
            document.restock(restock(&format!("k-{n}"), 1)),
            Restocked::Now
        );
    }
    let kept = document.restocks();
    assert_eq!(kept.len(), RESTOCKS_MAX);
    assert_eq!(kept[0].key, "k-10");
    assert_eq!(document.counters().restocked, RESTOCKS_MAX as u64 + 10);
}

#[test]
fn more_units_than_can_be_counted_are_refused() {
    let mut document = document((1 << 53) - 1);
    assert_eq!(document.restock(restock("k", 2)), Restocked::TooMany);
    assert_eq!(document.restock(restock("k", 1)), Restocked::Now);
}
