use sagaline_contracts::Payload;
use sagaline_contracts::payload::DeadLetter;

use super::*;

fn letter(order_id: Option<&str>, event_id: &str, consumers: &[&str]) -> PostMortem {
    tried(order_id, event_id, consumers, 1)
}

fn tried(order_id: Option<&str>, event_id: &str, consumers: &[&str], attempts: u32) -> PostMortem {
    let mut letter = PostMortem::new("letter-1");
    for (at, consumer) in consumers.iter().enumerate() {
        let order_id = order_id.map(|id| OrderId::new(id).unwrap());
        let payload = DeadLetter {
            original_type: "?".to_owned(),
            original_event_id: event_id.to_owned(),
            order_id: order_id.clone(),
            error: "no".to_owned(),
            payload: json!({ "orderId": "o-1", "reason": if attempts == 0 { json!("x") } else { json!(7) } }),
            original_topic: Some("payment.PaymentFailed.v1".to_owned()),
            partition: Some(1),
            offset: Some(2),
            consumer: Some((*consumer).to_owned()),
            attempts: Some(attempts),
            raw: None,
            dead_letter_id: Some("letter-1".to_owned()),
        };
        let event = Event {
            id: EventId::new(format!("death-{at}")).unwrap(),
            timestamp: Timestamp::from_micros(1_000),
            correlation_id: String::new(),
            causation_id: None,
            order_id,
            payload: payload.into(),
            headers: BTreeMap::new(),
        };
        letter.merge(PostMortem::of(&event).unwrap());
    }
    letter
}

fn wish(action: RedriveAction, payload: Option<Value>) -> Wish {
    Wish {
        action,
        payload,
        requested_by: "ann".to_owned(),
    }
}

const REDRIVE: RedriveAction = RedriveAction::Redrive;
const NOW: Timestamp = Timestamp::EPOCH;

fn event(plan: Result<Plan, Refusal>) -> Event {
    match plan {
        Ok(Plan::Publish(event)) => *event,
        other => panic!("not to be published: {other:?}"),
    }
}

fn request(event: &Event) -> &RedriveRequested {
    match &event.payload {
        Payload::RedriveRequested(request) => request,
        other => panic!("not a request: {other:?}"),
    }
}

#[test]
fn an_edit_becomes_a_whole_event_with_the_id_of_the_original() {
    let payload = json!({ "orderId": "o-1", "reason": "declined" });
    let letter = letter(Some("o-1"), "e-1", &["order-service", "shipping-service"]);
    let event = event(plan(
        &letter,
        None,
        wish(REDRIVE, Some(payload.clone())),
        NOW,
    ));
    assert_eq!(event.causation_id, Some(EventId::new("death-0").unwrap()));
    assert!(event.timestamp > letter.updated_at());
    let request = request(&event);
    assert_eq!(request.consumers, ["order-service", "shipping-service"]);
    let edited = request.event.as_ref().unwrap();
    assert_eq!(
        (&edited["eventId"], &edited["payload"]),
        (&json!("e-1"), &payload)
    );
    let text = edited.to_string();
    assert!(Event::from_json(EventType::PaymentFailed, text.as_bytes()).is_ok());
}

#[test]
fn a_message_that_its_consumer_never_tried_goes_along_with_its_redrive() {
    let redriven = |attempts| {
        let letter = tried(Some("o-1"), "e-1", &["order-service"], attempts);
        let event = event(plan(&letter, None, wish(REDRIVE, None), NOW));
        request(&event).event.clone()
    };
    assert_eq!(redriven(1), None, "the consumer holds it");
    let along = redriven(0).unwrap();
    assert_eq!(
        (&along["eventId"], &along["payload"]["reason"]),
        (&json!("e-1"), &json!("x"))
    );
}

#[test]
fn an_event_without_a_readable_id_gets_one_that_follows_from_the_letter() {
    let payload = json!({ "orderId": "o-1", "reason": "declined" });
    let id = |event_id| {
        let letter = letter(Some("o-1"), event_id, &["order-service"]);
        let event = event(plan(
            &letter,
            None,
            wish(REDRIVE, Some(payload.clone())),
            NOW,
        ));
        request(&event).event.as_ref().unwrap()["eventId"].clone()
    };
    assert_eq!(id("unknown"), id(""));
    assert_ne!(id("unknown"), json!("unknown"));
}

#[test]
fn what_is_wrong_with_an_edit_names_the_field() {
    let letter = letter(Some("o-1"), "e-1", &["order-service"]);
    for (payload, field) in [
        (json!({ "orderId": "o-1", "reason": 7 }), "payload.reason"),
        (json!({ "orderId": "o-1" }), "payload"),
        (json!({ "reason": "x" }), "payload.orderId"),
        (
            json!({ "orderId": "o-2", "reason": "x" }),
            "payload.orderId",
        ),
        (
            json!({ "orderId": "a b", "reason": "x" }),
            "payload.orderId",
        ),
        (json!(7), "payload.orderId"),
    ] {
        match plan(&letter, None, wish(REDRIVE, Some(payload.clone())), NOW) {
            Err(Refusal::Invalid { field: named, .. }) => assert_eq!(named, field, "{payload}"),
            other => panic!("{payload}: {other:?}"),
        }
    }
}

#[test]
fn the_services_hold_the_message_themselves_and_the_read_model_does_not() {
    let others = letter(Some("o-1"), "e-1", &["order-service", PROJECTOR]);
    let event = event(plan(&others, None, wish(REDRIVE, None), NOW));
    assert_eq!(request(&event).event, None);
    let ours = letter(Some("o-1"), "e-1", &[PROJECTOR]);
    match plan(&ours, None, wish(REDRIVE, None), NOW) {
        Err(Refusal::Invalid { field, what }) => {
            assert_eq!(field, "payload.reason");
            assert!(what.contains("send a corrected payload"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_letter_of_no_order_needs_a_payload_to_be_redriven_and_nothing_to_be_discarded() {
    let letter = letter(None, "unknown", &[PROJECTOR]);
    assert!(matches!(
        plan(&letter, None, wish(REDRIVE, None), NOW),
        Err(Refusal::Invalid { field, .. }) if field == "payload"
    ));
    let payload = json!({ "orderId": "o-9", "reason": "x" });
    let event = event(plan(&letter, None, wish(REDRIVE, Some(payload)), NOW));
    assert_eq!(event.order_id, Some(OrderId::new("o-9").unwrap()));
    let discarded = plan(&letter, None, wish(RedriveAction::Discard, None), NOW).unwrap();
    let Plan::Keep(discard) = &discarded else {
        panic!("{discarded:?}")
    };
    assert_eq!(discard.requested_by, "ann");
    let mut after = letter.clone();
    after.merge(PostMortem::discarded(discard));
    assert_eq!(after.state(), LetterState::Discarded);
    let again = plan(&after, None, wish(RedriveAction::Discard, None), NOW);
    assert_eq!(again, Ok(Plan::Before(discard.command_id.clone())));
}

#[test]
fn two_clicks_are_one_command_and_a_second_opinion_is_too_late() {
    let letter = letter(Some("o-1"), "e-1", &["order-service"]);
    let click = |who: &str| {
        let wish = Wish {
            requested_by: who.to_owned(),
            ..wish(REDRIVE, None)
        };
        event(plan(&letter, None, wish, NOW))
    };
    let first = click("ann");
    assert_eq!(first.id, click("bob").id);
    let mut after = letter.clone();
    after.merge(PostMortem::of(&first).unwrap());
    let again = plan(&after, None, wish(REDRIVE, None), NOW);
    assert_eq!(again, Ok(Plan::Before(first.id)));
    let otherwise = plan(&after, None, wish(RedriveAction::Discard, None), NOW);
    assert_eq!(otherwise, Err(Refusal::Decided(LetterState::Redriven)));
}

#[test]
fn a_letter_that_died_again_can_be_decided_again() {
    let mut letter = letter(Some("o-1"), "e-1", &["order-service"]);
    let first = event(plan(&letter, None, wish(REDRIVE, None), NOW));
    letter.merge(PostMortem::of(&first).unwrap());
    let Some(death) = letter.first_death().cloned() else {
        panic!("no death")
    };
    let again = Event {
        id: EventId::new("death-again").unwrap(),
        timestamp: first.timestamp.next(),
        payload: death.into(),
        ..first.clone()
    };
    letter.merge(PostMortem::of(&again).unwrap());
    let second = event(plan(&letter, None, wish(REDRIVE, None), NOW));
    assert_ne!(first.id, second.id);
}

/// Two instances, of which one has not heard of an earlier decision yet.
#[test]
fn one_command_names_the_same_services_whatever_was_decided_before() {
    let alone = letter(Some("o-1"), "e-1", &["order-service"]);
    let earlier = event(plan(&alone, None, wish(REDRIVE, None), NOW));
    let behind = letter(Some("o-1"), "e-1", &["order-service", "payment-service"]);
    let mut ahead = behind.clone();
    ahead.merge(PostMortem::of(&earlier).unwrap());
    let decide = |letter: &PostMortem| event(plan(letter, None, wish(REDRIVE, None), NOW));
    let (one, other) = (decide(&behind), decide(&ahead));
    assert_eq!(
        request(&one).consumers,
        ["order-service", "payment-service"]
    );
    assert_eq!(request(&other).consumers, ["payment-service"]);
    assert_ne!(one.id, other.id);
    // Each of them is recognised when it is asked for again.
    for (letter, decided) in [(&behind, &one), (&ahead, &other)] {
        let mut after = letter.clone();
        after.merge(PostMortem::of(decided).unwrap());
        let again = plan(&after, None, wish(REDRIVE, None), NOW);
        assert_eq!(again, Ok(Plan::Before(decided.id.clone())));
    }
    // Of both, what was decided first counts, and that was the same.
    ahead.merge(PostMortem::of(&other).unwrap());
    let again = plan(&ahead, None, wish(REDRIVE, None), NOW);
    assert!(matches!(again, Ok(Plan::Before(_))), "{again:?}");
    let otherwise = plan(&ahead, None, wish(RedriveAction::Discard, None), NOW);
    assert_eq!(otherwise, Err(Refusal::Decided(LetterState::Redriven)));
}

/// JSON of any shape and depth.
fn anything() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let nested = (0..130_usize).prop_map(|depth| {
        (0..depth).fold(json!(1), |inner, at| match at % 2 {
            0 => json!([inner]),
            _ => json!({ "a": inner }),
        })
    });
    let note = prop_oneof![nested, sagaline_contracts::generate::json()];
    let fields = (note, any::<bool>(), sagaline_contracts::generate::text());
    prop_oneof![
        3 => fields.prop_map(|(note, is_ours, reason)| {
            json!({ "orderId": if is_ours { "o-1" } else { "o-2" }, "reason": reason, "note": note })
        }),
        1 => sagaline_contracts::generate::json(),
    ]
}

proptest::proptest! {
    #![proptest_config(sagaline_contracts::generate::cases(2_000))]

    /// What an operator edits is refused here, with the field, or can be read by every service that it is sent to.
    #[test]
    fn any_edit_is_refused_with_a_field_or_becomes_an_event_that_can_be_read(
        payload in anything(),
        knows_its_order in proptest::prelude::any::<bool>(),
        event_id in proptest::sample::select(vec!["e-1", "unknown", "", "a\nb"]),
    ) {
        let letter = letter(knows_its_order.then_some("o-1"), event_id, &["order-service", PROJECTOR]);
        match plan(&letter, None, wish(REDRIVE, Some(payload)), NOW) {
            Ok(Plan::Publish(event)) => {
                let kind = event.event_type();
                let read = Event::decode(kind, Some(event.key().as_bytes()), Some(&event.encode()));
                proptest::prop_assert_eq!(read, Ok(*event));
            }
            Ok(other) => proptest::prop_assert!(false, "{other:?}"),
            Err(Refusal::Invalid { field, what }) => {
                proptest::prop_assert!(!field.is_empty() && !what.is_empty());
            }
            Err(Refusal::Decided(_)) => proptest::prop_assert!(false, "nobody has decided"),
        }
    }
}
