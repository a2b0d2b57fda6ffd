use proptest::prelude::*;
use sagaline_saga::given::event;
use sagaline_saga::{Delivery, OrderRecord, RetryPolicy, Session, Source};

use super::*;

/// What this service can meet in one attempt, told as the others would tell it.
fn stories() -> Vec<Vec<Payload>> {
    let one = Some(1);
    let ruling = wish(one, Some(Authority::Shipping));
    vec![
        vec![shipped(one)],
        vec![shipped(one), wish(one, None), ruling.clone(), refunded(one)],
        vec![inventory_failed(one)],
        vec![
            payment_failed("card_declined", one),
            ruling.clone(),
            released("card_declined", one),
        ],
        vec![
            shipping_failed("carrier_error", one),
            ruling.clone(),
            refunded(one),
            released("carrier_error", one),
        ],
        vec![
            wish(one, None),
            shipping_failed("cancelled", one),
            payment_failed("cancelled", one),
            released("cancelled", one),
        ],
        vec![
            wish(one, None),
            shipping_failed("timeout", one),
            payment_failed("cancelled", one),
            released("timeout", one),
        ],
        vec![
            wish(one, None),
            shipping_failed("timeout", one),
            refunded(one),
            released("timeout", one),
        ],
        vec![
            payment_failed("card_declined", one),
            shipping_failed("timeout", one),
            released("timeout", one),
        ],
        vec![
            inventory_failed(one),
            shipping_failed("timeout", one),
            payment_failed("cancelled", one),
        ],
    ]
}

/// Works events off as the runtime does, and tells the final state and the outcomes that were told.
fn play(events: &[(usize, Payload)]) -> (Order, Vec<EventType>) {
    let mut record = OrderRecord::unknown(id());
    record.state = pending();
    let mut session = Session::<OrderSaga>::new(record, RetryPolicy::default());
    for (offset, (number, payload)) in events.iter().enumerate() {
        let source = Source {
            topic: payload.event_type().as_str().into(),
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
        };
        let event = event(&format!("e-{number}"), payload.clone());
        session.offer(Delivery::Event { source, event });
    }
    let effect = session.advance(&SAGA, Timestamp::EPOCH);
    assert_eq!(effect, None);
    assert!(
        session.record().parked.is_empty(),
        "nothing that can occur is poison"
    );
    let told = session
        .record()
        .applied
        .iter()
        .flat_map(|applied| &applied.emitted)
        .filter_map(|emission| EventType::parse(&emission.topic))
        .collect();
    (session.record().state.clone(), told)
}

proptest! {
    #[test]
    fn any_order_and_duplication_of_an_attempts_events_ends_in_the_same_state(
        (story, arrival) in (0..stories().len()).prop_flat_map(|story| {
            let count = stories()[story].len();
            let twice: Vec<usize> = (0..count).chain(0..count).collect();
            (Just(story), Just(twice).prop_shuffle())
        })
    ) {
        let story = &stories()[story];
        let in_order: Vec<_> = story.iter().cloned().enumerate().collect();
        let shuffled: Vec<_> = arrival.iter().map(|number| (*number, story[*number].clone())).collect();
        let (expected, told) = play(&in_order);
        prop_assert_eq!(told.len(), 1, "one outcome: {:?}", told);
        prop_assert!(expected.phase != Phase::Pending);
        let (state, told_shuffled) = play(&shuffled);
        prop_assert_eq!(state, expected);
        prop_assert_eq!(told_shuffled, told);
    }
}

/// Somebody wished the second attempt undone before an operator asked for it, so shipping barred it: whatever is told of it before
/// and after its beginning, the attempt ends as soon as all of it is heard, and nothing waits for an operator.
fn barred_ahead() -> impl Strategy<Value = Vec<Payload>> {
    let two = Some(2);
    let told = vec![
        shipping_failed("cancelled", two),
        payment_failed("cancelled", two),
        released("cancelled", two),
    ];
    let all = [told.clone(), told].concat();
    (Just(all).prop_shuffle(), 0..7_usize).prop_map(|(mut events, before)| {
        events.insert(before, retry(Some(1)));
        events.insert(0, inventory_failed(Some(1)));
        events
    })
}

proptest! {
    #[test]
    fn an_attempt_that_was_undone_before_it_began_ends_when_it_begins(events in barred_ahead()) {
        let mut numbers: Vec<Payload> = Vec::new();
        let numbered: Vec<(usize, Payload)> = events
            .into_iter()
            .map(|payload| {
                let known = numbers.iter().position(|known| *known == payload);
                let number = known.unwrap_or_else(|| {
                    numbers.push(payload.clone());
                    numbers.len() - 1
                });
                (number, payload)
            })
            .collect();
        let (order, told) = play(&numbered);
        prop_assert_eq!((order.phase, order.attempt), (Phase::Cancelled, 2));
        prop_assert_eq!(order.reason.as_deref(), Some("cancelled"));
        let ended_twice = [
            EventType::OrderCancelled,
            EventType::OrderRetried,
            EventType::OrderCancelled,
        ];
        prop_assert_eq!(told, ended_twice);
    }
}
