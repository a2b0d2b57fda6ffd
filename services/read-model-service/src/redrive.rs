//! What an operator decides about a dead letter, as an event.

use std::collections::BTreeMap;

use sagaline_contracts::payload::{RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventId, EventType, OrderId, Timestamp};
use sagaline_saga::{command_id, derived_event_id};
use serde_json::{Value, json};

use crate::projection::{Entry, LetterState, Order, OrphanDiscard, PROJECTOR, PostMortem};

/// What an operator asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    /// Handle it again, or drop it.
    pub(crate) action: RedriveAction,
    /// The payload to handle in place of the one that could not be.
    pub(crate) payload: Option<Value>,
    /// Who asks.
    pub(crate) requested_by: String,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// To be published, and acknowledged before the caller is told.
    Publish(Box<Event>),
    /// Nobody but the read model has to know.
    Keep(OrphanDiscard),
    /// It was decided so before: the answer is the same.
    Before(EventId),
}

/// Why it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It was decided otherwise before.
    #[error("this dead letter is {} already: what was decided cannot be decided again", .0.as_str())]
    Decided(LetterState),
    /// The payload, or what there is without one, is no event.
    #[error("{field}: {what}")]
    Invalid {
        /// The field.
        field: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Refusal {
    fn invalid(field: &str, what: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.to_owned(),
            what: what.into(),
        }
    }
}

/// Decides what is to be done about an operator's wish. `order` is the letter's order, as far as it is known: a decision
/// is later than all that it answers to.
pub(crate) fn plan(
    letter: &PostMortem,
    order: Option<&Order>,
    wish: Wish,
    now: Timestamp,
) -> Result<Plan, Refusal> {
    let order_id = target(letter, &wish)?;
    let id = decision_id(letter, order_id.as_ref(), &wish);
    if letter.decisions().any(|(decided, _)| *decided == id) {
        return Ok(Plan::Before(id));
    }
    if letter.state() != LetterState::Waiting {
        return Err(Refusal::Decided(letter.state()));
    }
    let at = now
        .max(letter.updated_at().next())
        .max(order.map_or(now, |order| order.updated_at().next()));
    let Some(order_id) = order_id else {
        return Ok(Plan::Keep(OrphanDiscard {
            dead_letter_id: letter.id().to_owned(),
            command_id: id,
            requested_by: wish.requested_by,
            at,
        }));
    };
    let consumers = waiting(letter);
    let event = match &wish.payload {
        Some(payload) => Some(envelope(letter, order, &order_id, payload)?),
        // The others hold the message themselves; the read model does not.
        None if wish.action == RedriveAction::Redrive && consumers == [PROJECTOR] => {
            Some(as_it_was(letter, order, &order_id)?)
        }
        None => None,
    };
    Ok(Plan::Publish(Box::new(Event {
        id,
        timestamp: at,
        correlation_id: order_id.to_string(),
        causation_id: letter.latest_deaths().first().map(|id| (*id).clone()),
        order_id: Some(order_id.clone()),
        payload: RedriveRequested {
            order_id,
            dead_letter_id: letter.id().to_owned(),
            action: wish.action,
            event,
            consumers,
            requested_by: wish.requested_by,
        }
        .into(),
        headers: BTreeMap::new(),
    })))
}

/// The order that the decision goes to: the letter's, or the one that the payload names. Only a discard does without.
fn target(letter: &PostMortem, wish: &Wish) -> Result<Option<OrderId>, Refusal> {
    const FIELD: &str = "payload.orderId";
    let named = match wish.payload.as_ref().map(|payload| payload.get("orderId")) {
        None => None,
        Some(Some(Value::String(id))) => {
            Some(OrderId::new(id).map_err(|error| Refusal::invalid(FIELD, error.to_string()))?)
        }
        Some(_) => return Err(Refusal::invalid(FIELD, "is missing, or not a string")),
    };
    match (letter.order_id(), named) {
        (Some(known), Some(named)) if *known != named => {
            let what = format!("must be {known}, the order that this message belongs to");
            Err(Refusal::invalid(FIELD, what))
        }
        (Some(known), _) => Ok(Some(known.clone())),
        (None, None) if wish.action == RedriveAction::Redrive => Err(Refusal::invalid(
            "payload",
            "this dead letter belongs to no order that could be made out: send a payload with its orderId",
        )),
        (None, named) => Ok(named),
    }
}

/// The same wish about the same deaths is the same command, whoever asks and however often.
fn decision_id(letter: &PostMortem, order_id: Option<&OrderId>, wish: &Wish) -> EventId {
    let deaths: Vec<&str> = letter
        .latest_deaths()
        .into_iter()
        .map(EventId::as_str)
        .collect();
    let payload = wish
        .payload
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default();
    let command = format!("{:?} {} {payload}", wish.action, deaths.join(" "));
    if let Some(order_id) = order_id {
        return command_id(order_id, &command, letter.id());
    }
    let cause = EventId::new(letter.id()).or_else(|_| EventId::new("dead-letter"));
    match cause {
        Ok(cause) => derived_event_id(&cause, &command, EventType::RedriveRequested, 0),
        Err(error) => unreachable!("a constant is a valid event id: {error}"),
    }
}

fn waiting(letter: &PostMortem) -> Vec<String> {
    let copies = letter.copies().into_iter();
    copies
        .filter(|copy| copy.state == LetterState::Waiting && !copy.consumer.is_empty())
        .map(|copy| copy.consumer.to_owned())
        .collect()
}

fn as_it_was(
    letter: &PostMortem,
    order: Option<&Order>,
    order_id: &OrderId,
) -> Result<Value, Refusal> {
    let payload = letter
        .first_death()
        .map_or(&Value::Null, |death| &death.payload);
    envelope(letter, order, order_id, payload).map_err(|refusal| match refusal {
        Refusal::Invalid { field, what } => {
            let what =
                format!("{what}; the message cannot be read as it is: send a corrected payload");
            Refusal::Invalid { field, what }
        }
        decided @ Refusal::Decided(_) => decided,
    })
}

/// The event to handle in the message's place: the message's own envelope as far as it is known, around `payload`.
fn envelope(
    letter: &PostMortem,
    order: Option<&Order>,
    order_id: &OrderId,
    payload: &Value,
) -> Result<Value, Refusal> {
    let death = letter.first_death();
    let name = death.map_or("", |death| {
        death
            .original_topic
            .as_deref()
            .unwrap_or(&death.original_type)
    });
    let kind = EventType::parse(name)
        .filter(|kind| *kind != EventType::DeadLetter)
        .ok_or_else(|| {
            Refusal::invalid(
                "payload",
                format!("nothing here can handle a message of {name:?}"),
            )
        })?;
    let readable = death
        .map(|death| death.original_event_id.as_str())
        .filter(|id| *id != "unknown")
        .and_then(|id| EventId::new(id).ok());
    let known = readable
        .as_ref()
        .and_then(|id| order?.entries().iter().find(|entry| entry.id() == id));
    let id = readable.map_or_else(|| synthetic_id(letter, kind), Ok)?;
    let mut event = json!({
        "eventId": id,
        "type": kind.as_str(),
        "version": sagaline_contracts::ENVELOPE_VERSION,
        "timestamp": known.map_or_else(|| letter.died_at().unwrap_or_default(), Entry::at),
        "correlationId": order_id,
        "key": order_id,
        "payload": payload,
        "headers": {},
    });
    if let Some(cause) = known.and_then(|entry| entry.cause()) {
        event["causationId"] = json!(cause);
    }
    let text = event.to_string();
    Event::from_json(kind, text.as_bytes()).map_err(|rejected| complaint(&rejected.reason))?;
    Ok(event)
}

fn synthetic_id(letter: &PostMortem, kind: EventType) -> Result<EventId, Refusal> {
    let cause = EventId::new(letter.id()).map_err(|error| {
        Refusal::invalid(
            "payload",
            format!("the dead letter's id is not usable: {error}"),
        )
    })?;
    Ok(derived_event_id(&cause, PROJECTOR, kind, 0))
}

/// The contract's complaint, `payload.items: [] has less than 1 item; …`, by its first field.
fn complaint(reason: &str) -> Refusal {
    match reason.split_once(": ") {
        Some((field, what)) if !field.contains(' ') => Refusal::invalid(field, what),
        _ => Refusal::invalid("payload", reason),
    }
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::Payload;
    use sagaline_contracts::payload::DeadLetter;

    use super::*;

    fn letter(order_id: Option<&str>, event_id: &str, consumers: &[&str]) -> PostMortem {
        let mut letter = PostMortem::new("letter-1");
        for (at, consumer) in consumers.iter().enumerate() {
            let order_id = order_id.map(|id| OrderId::new(id).unwrap());
            let payload = DeadLetter {
                original_type: "?".to_owned(),
                original_event_id: event_id.to_owned(),
                order_id: order_id.clone(),
                error: "no".to_owned(),
                payload: json!({ "orderId": "o-1", "reason": 7 }),
                original_topic: Some("payment.PaymentFailed.v1".to_owned()),
                partition: Some(1),
                offset: Some(2),
                consumer: Some((*consumer).to_owned()),
                attempts: Some(1),
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
}
