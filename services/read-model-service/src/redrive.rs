//! What an operator decides about a dead letter, as an event.

use std::collections::BTreeMap;

use sagaline_contracts::payload::{RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventId, EventType, OrderId, Timestamp};
use sagaline_saga::{command_id, derived_event_id, message_id};
use serde_json::{Value, json};

use crate::projection::{
    Entry, LetterState, Order, OrphanDiscard, PROJECTOR, PostMortem, redrive_name,
};

/// How deep an edited payload may be nested: it is sent within an event within a request, and has to be read there.
const PAYLOAD_DEPTH_MAX: usize = 100;

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
    let deaths = letter.undecided_deaths();
    let id = decision_id(letter, &deaths, order_id.as_ref(), &wish);
    if letter.decisions().any(|(decided, _)| *decided == id) {
        return Ok(Plan::Before(id));
    }
    if letter.state() != LetterState::Waiting {
        let is_the_same = |decided: &&EventId| {
            let deaths = letter.decided_deaths(decided);
            decision_id(letter, &deaths, order_id.as_ref(), &wish) == **decided
        };
        // The latest one, if several were: whoever asks again asks for that one.
        let mut decided = letter.decisions().rev().map(|(decided, _)| decided);
        let before = decided.find(is_the_same).cloned();
        return before
            .map(Plan::Before)
            .ok_or(Refusal::Decided(letter.state()));
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
    let is_deep = |payload: &Value| !is_shallow(payload, PAYLOAD_DEPTH_MAX);
    if wish.payload.as_ref().is_some_and(is_deep) {
        return Err(Refusal::invalid("payload", "is nested too deeply"));
    }
    let event = match &wish.payload {
        Some(payload) => Some(envelope(letter, order, &order_id, payload)?),
        // Most hold the message themselves; the read model does not, nor does who never came to trying it.
        None if wish.action == RedriveAction::Redrive
            && (consumers == [PROJECTOR] || is_unheld_somewhere(letter)) =>
        {
            Some(as_it_was(letter, order, &order_id)?)
        }
        None => None,
    };
    Ok(Plan::Publish(Box::new(Event {
        id,
        timestamp: at,
        correlation_id: order_id.to_string(),
        causation_id: deaths.first().map(|id| (*id).clone()),
        order_id: Some(order_id.clone()),
        payload: RedriveRequested {
            order_id,
            dead_letter_id: letter.told_id().to_owned(),
            action: wish.action,
            event,
            consumers,
            requested_by: wish.requested_by,
        }
        .into(),
        headers: BTreeMap::new(),
    })))
}

fn is_shallow(value: &Value, depth_left: usize) -> bool {
    let within = |value: &Value| is_shallow(value, depth_left - 1);
    match value {
        Value::Array(values) => depth_left > 0 && values.iter().all(within),
        Value::Object(fields) => depth_left > 0 && fields.values().all(within),
        _ => true,
    }
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

/// The same wish about the same deaths is the same command, whoever asks and however often. It names the services at which they died:
/// of what was decided before it knows nothing.
fn decision_id(
    letter: &PostMortem,
    deaths: &[&EventId],
    order_id: Option<&OrderId>,
    wish: &Wish,
) -> EventId {
    let deaths: Vec<&str> = deaths.iter().map(|death| death.as_str()).collect();
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

/// Clicks of one operator that are refused for the same reason while nothing else happened to the letter are one action.
pub(crate) fn refusal_id(
    letter: &PostMortem,
    action: RedriveAction,
    by: &str,
    refusal: &Refusal,
) -> EventId {
    let at = letter.updated_at().micros();
    let place = message_id(&format!("{} {by} {refusal}", letter.id()), 0, at);
    derived_event_id(&place, redrive_name(action), EventType::CommandRejected, 0)
}

fn waiting(letter: &PostMortem) -> Vec<String> {
    let copies = letter.copies().into_iter();
    copies
        .filter(|copy| copy.state == LetterState::Waiting && !copy.consumer.is_empty())
        .map(|copy| copy.consumer.to_owned())
        .collect()
}

/// A consumer that could not even open its document of the order, or had no room in it, keeps nothing.
fn is_unheld_somewhere(letter: &PostMortem) -> bool {
    let copies = letter.copies();
    let mut waiting = copies
        .iter()
        .filter(|copy| copy.state == LetterState::Waiting);
    waiting.any(|copy| copy.attempts == 0)
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
mod tests;
