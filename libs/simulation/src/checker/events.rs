//! Invariant 4: one effect however often, the same cause gives the same events, and none before its cause.

use std::collections::BTreeMap;

use sagaline_contracts::payload::CompensationRequested;
use sagaline_contracts::{Event, EventType, Payload, Timestamp};

use super::Evidence;

/// Whether two messages are the same event. Two clicks are one command, but each has its own time and names the attempt that its reader
/// knew of: the first one on the topic counts, for everybody. Of a message that belongs to no order, each death has its own time.
pub(super) fn is_same(first: &Event, second: &Event) -> bool {
    let is_timeless = first.causation_id.is_none()
        || matches!(
            first.event_type(),
            EventType::DeadLetter | EventType::RedriveRequested
        );
    let mut second = second.clone();
    if is_timeless {
        second.timestamp = first.timestamp;
    }
    match (&first.payload, &mut second.payload) {
        (Payload::RetryRequested(first), Payload::RetryRequested(second)) => {
            second.attempt = first.attempt;
        }
        (Payload::CompensationRequested(first), Payload::CompensationRequested(second))
            if is_timeless =>
        {
            second.attempt = first.attempt;
        }
        _ => {}
    }
    *first == second
}

pub(super) fn check(evidence: &mut Evidence) {
    let mut complaints = Vec::new();
    for (order, events) in &evidence.orders {
        let mut of_cause: BTreeMap<(String, EventType, String), &str> = BTreeMap::new();
        for (id, published) in events {
            let event = &published.event;
            let Some(cause) = &event.causation_id else {
                continue;
            };
            match evidence.cause_of(event) {
                None => complaints.push(format!(
                    "causes: {} {id} of {order} was caused by {cause}, which nobody published",
                    event.event_type()
                )),
                Some((_, caused)) if caused >= published.earliest => {
                    let times: (Timestamp, Timestamp) = (caused, published.earliest);
                    complaints.push(format!(
                        "causes: {} {id} of {order} is of {}, its cause of {}",
                        event.event_type(),
                        times.1,
                        times.0
                    ));
                }
                Some(_) => {}
            }
            if matches!(
                event.event_type(),
                EventType::DeadLetter | EventType::RedriveRequested
            ) {
                continue;
            }
            let key = (cause.to_string(), event.event_type(), flavour(event));
            if let Some(other) = of_cause.insert(key, id) {
                complaints.push(format!(
                    "same ids: {cause} caused {} twice for {order}: {other} and {id}",
                    event.event_type()
                ));
            }
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
}

/// What tells two events of one type and one cause apart.
fn flavour(event: &Event) -> String {
    match &event.payload {
        Payload::CompensationRequested(CompensationRequested {
            action, decided_by, ..
        }) => format!("{action:?} {decided_by:?}"),
        Payload::CommandRejected(rejected) => rejected.command.clone(),
        _ => String::new(),
    }
}
