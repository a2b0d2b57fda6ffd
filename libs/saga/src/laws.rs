//! What must hold of a participant whatever its state is and whatever comes, for its tests.

use sagaline_contracts::{Event, EventId, Payload, Timestamp};

use crate::{Decision, Participant, Transition};

/// Meets `event` in `state`, and says what law was broken, or what comes next: the next state, when there is one.
///
/// The same state and event give the same decision; a state survives its document; whatever is told is about this order,
/// and can be read by those it is told to; and nothing panics. An effect is answered with `outcome`, which may
/// well be an answer to another question. What is intended is asked for again in the state that it gives.
pub fn meet<P: Participant>(
    participant: &P,
    state: &P::State,
    event: &Event,
    outcome: Option<P::Outcome>,
) -> Result<Option<P::State>, String> {
    let decision = participant.decide(state, event);
    if decision != participant.decide(state, event) {
        return Err(format!("decided once so, once otherwise: {decision:?}"));
    }
    let transition = match (decision, outcome) {
        (Decision::Apply(transition), _) => transition,
        (Decision::Effect(_), Some(outcome)) => participant.settle(state, event, outcome),
        (
            Decision::Intend {
                state: intended,
                effect,
            },
            outcome,
        ) => {
            survives(&intended)?;
            let asked = participant.decide(&intended, event);
            if asked != Decision::Effect(effect) {
                return Err(format!("{intended:?} was intended, and then: {asked:?}"));
            }
            match outcome {
                Some(outcome) => participant.settle(&intended, event, outcome),
                None => return Ok(Some(intended)),
            }
        }
        (Decision::Reject(reason), _) if reason.is_empty() => {
            return Err("rejected without a reason".to_owned());
        }
        _ => return Ok(None),
    };
    check(participant, event, &transition)?;
    Ok(Some(transition.state))
}

fn check<P: Participant>(
    participant: &P,
    event: &Event,
    transition: &Transition<P::State>,
) -> Result<(), String> {
    survives(&transition.state)?;
    for payload in &transition.emit {
        is_readable(event, payload)?;
    }
    let _ = participant.standing(&transition.state);
    let (Some(deadline), Some(order_id)) = (
        participant.deadline(&transition.state),
        event.payload.order_id(),
    ) else {
        return Ok(());
    };
    // As late as it can be: sums of times must not run over.
    let late = Timestamp::from_micros(i64::MAX);
    for now in [deadline, late] {
        let expired = participant.expire(order_id, &transition.state, now);
        survives(&expired.state)?;
        for payload in &expired.emit {
            is_readable(event, payload)?;
        }
    }
    Ok(())
}

fn survives<S>(state: &S) -> Result<(), String>
where
    S: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let document = serde_json::to_vec(state).map_err(|error| format!("{state:?}: {error}"))?;
    match serde_json::from_slice::<S>(&document) {
        Ok(read) if read == *state => Ok(()),
        read => Err(format!("{state:?} was saved, and read as {read:?}")),
    }
}

fn is_readable(cause: &Event, payload: &Payload) -> Result<(), String> {
    if payload.order_id() != cause.payload.order_id() {
        return Err(format!("told of another order: {payload:?}"));
    }
    let told = Event {
        id: EventId::new("told").map_err(|error| error.to_string())?,
        order_id: payload.order_id().cloned(),
        payload: payload.clone(),
        ..cause.clone()
    };
    match Event::decode(
        payload.event_type(),
        Some(told.key().as_bytes()),
        Some(&told.encode()),
    ) {
        Ok(read) if read == told => Ok(()),
        read => Err(format!("{told:?} was told, and read as {read:?}")),
    }
}
