use proptest::prelude::*;

use super::*;

/// Stands in for stock: says yes.
fn granted(effect: Effect) -> Outcome {
    let ended = |items: Vec<HeldItem>| {
        items.into_iter().map(|i| HeldItem {
            ended_at: Some(9),
            ..i
        })
    };
    match effect {
        Effect::Reserve { items, .. } => Outcome::Reserved {
            items: items
                .into_iter()
                .map(|i| HeldItem {
                    sku: i.sku,
                    qty: i.qty,
                    taken_at: 7,
                    ended_at: None,
                })
                .collect(),
        },
        Effect::Release { items, .. } => Outcome::Released {
            items: ended(items).collect(),
        },
        Effect::Ship { items, .. } => Outcome::Shipped {
            items: ended(items).collect(),
        },
    }
}

/// Works events off as the runtime does: what is early is decided again after every further event.
fn run(arrivals: &[Event]) -> (InventoryState, Vec<Payload>) {
    let mut state = InventoryState::default();
    let mut told = Vec::new();
    let mut early: Vec<Event> = Vec::new();
    for arrival in arrivals {
        let mut open = vec![arrival.clone()];
        open.append(&mut early);
        for event in open {
            let next = match SERVICE.decide(&state, &event) {
                Decision::Apply(next) => next,
                Decision::Effect(effect) => SERVICE.settle(&state, &event, granted(effect)),
                Decision::Ignore(_) => continue,
                Decision::Early(_) => {
                    early.push(event);
                    continue;
                }
                Decision::Reject(why) => panic!("{why}"),
                Decision::Intend { .. } => panic!("nothing is intended here"),
            };
            state = next.state;
            told.extend(next.emit);
        }
    }
    assert!(early.is_empty(), "{early:?}");
    (state, told)
}

fn arrivals(events: Vec<Event>) -> impl Strategy<Value = Vec<Event>> {
    let repeats = proptest::collection::vec(1..3_usize, events.len());
    (Just(events), repeats)
        .prop_map(|(events, repeats)| {
            let all = events.into_iter().zip(repeats);
            all.flat_map(|(event, n)| std::iter::repeat_n(event, n))
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

proptest! {
    #[test]
    fn an_attempt_that_ships_ends_shipped_in_any_order(
        arrivals in arrivals(vec![created(), shipped_event(Some(1))])
    ) {
        let (state, told) = run(&arrivals);
        prop_assert!(matches!(state.hold, Hold::Shipped(_)), "{:?}", state);
        prop_assert!(matches!(told.as_slice(), [Payload::InventoryReserved(_)]), "{:?}", told);
    }

    #[test]
    fn an_attempt_that_is_undone_holds_nothing_and_is_answered_once_in_any_order(
        arrivals in arrivals(vec![created(), ruling_of(Some(1)), ruling_of(Some(1))])
    ) {
        let (state, told) = run(&arrivals);
        prop_assert!(!matches!(state.hold, Hold::Reserved(_)), "{:?}", state);
        prop_assert_eq!(state.barred, 1);
        let answers = told.iter().filter(|p| matches!(p, Payload::InventoryReleased(_)));
        prop_assert_eq!(answers.count(), 1, "{:?}", told);
    }

    #[test]
    fn an_attempt_that_is_barred_ahead_by_its_ruling_never_begins(
        arrivals in arrivals(vec![retried(2), ruling_of(Some(2))])
    ) {
        let mut all = vec![created()];
        all.extend(arrivals);
        let (state, told) = run(&all);
        prop_assert!(!matches!(state.hold, Hold::Reserved(_)), "{:?}", state);
        let answers = told.iter().filter(|p| matches!(p, Payload::InventoryReleased(_)));
        prop_assert_eq!(answers.count(), 1, "{:?}", told);
    }
}
