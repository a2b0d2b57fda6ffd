use super::*;

fn operation(attempt: u32, op: StockOp, qty: u32) -> Operation {
    Operation {
        order_id: order_id(),
        attempt,
        op,
        qty,
    }
}

#[test]
fn an_application_counts_only_in_the_version_that_the_order_names() {
    use StockOp::{Release, Reserve, Ship};
    use Verdict::{Counts, Open, Void};
    let states = states();
    let verdict = |name: &str, operation: &Operation, at| {
        let (_, state) = states.iter().find(|(known, _)| *known == name).unwrap();
        state.verdict(operation, &sku("A"), at)
    };
    for (name, op, at, expected) in [
        ("fresh", Reserve, 7, Open),
        ("barred 1", Reserve, 7, Void),
        ("barred 1", Release, 7, Void),
        ("failed", Reserve, 7, Void),
        ("reserved", Reserve, 7, Counts),
        ("reserved", Reserve, 8, Void),
        ("reserved", Release, 9, Open),
        ("reserved", Ship, 9, Open),
        ("re-affirmed", Reserve, 7, Counts),
        ("released", Reserve, 7, Counts),
        ("released", Release, 9, Counts),
        ("released", Release, 10, Void),
        ("released", Ship, 9, Void),
        ("shipped", Reserve, 7, Counts),
        ("shipped", Ship, 9, Counts),
        ("shipped", Ship, 10, Void),
        ("shipped", Release, 9, Void),
    ] {
        let operation = operation(1, op, 3);
        assert_eq!(
            verdict(name, &operation, at),
            expected,
            "{op:?}@{at} when {name}"
        );
    }
    assert_eq!(
        verdict("reserved", &operation(1, Reserve, 4), 7),
        Void,
        "another quantity"
    );
    assert_eq!(
        verdict("reserved", &operation(2, Reserve, 3), 7),
        Open,
        "the next attempt"
    );
    assert_eq!(
        verdict("re-affirmed", &operation(2, Reserve, 3), 7),
        Void,
        "it reserved nothing"
    );
}

#[test]
fn a_reservation_of_an_earlier_attempt_is_still_known_after_a_retry() {
    let (_, released) = states().swap_remove(6);
    let taken_again = HeldItem {
        sku: sku("A"),
        qty: 3,
        taken_at: 20,
        ended_at: None,
    };
    let outcome = Outcome::Reserved {
        items: vec![taken_again],
    };
    let next = SERVICE.settle(&released, &retried(2), outcome).state;
    let verdict = |attempt, op, at| next.verdict(&operation(attempt, op, 3), &sku("A"), at);
    assert_eq!(verdict(1, StockOp::Reserve, 7), Verdict::Counts);
    assert_eq!(verdict(1, StockOp::Release, 9), Verdict::Counts);
    assert_eq!(verdict(1, StockOp::Release, 10), Verdict::Void);
    assert_eq!(verdict(2, StockOp::Reserve, 20), Verdict::Counts);
    assert_eq!(verdict(2, StockOp::Reserve, 7), Verdict::Void);
}
