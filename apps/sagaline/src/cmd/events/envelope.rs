//! From what was given to a message that the pipeline takes.

use sagaline_contracts::{
    DEAD_LETTER_SUFFIX, ENVELOPE_VERSION, Event, EventType, Rejected, Timestamp,
};
use serde_json::{Value, json};

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) key: Option<String>,
    pub(super) value: Vec<u8>,
}

/// What is written into an envelope that is built here.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) event_id: String,
    pub(super) now: Timestamp,
}

/// What a topic carries, if it is one of the contract.
pub(super) fn carried(topic: &str) -> Option<EventType> {
    match topic.strip_suffix(DEAD_LETTER_SUFFIX) {
        Some(of) => EventType::parse(of).map(|_| EventType::DeadLetter),
        None => EventType::parse(topic).filter(|kind| *kind != EventType::DeadLetter),
    }
}

/// Whether it is a whole event, and no payload without an envelope.
pub(super) fn is_envelope(value: &Value) -> bool {
    let has = |field: &str| value.get(field).is_some();
    has("payload") && (has("type") || has("eventId"))
}

/// A whole event as a message; it is checked as every service would.
pub(super) fn whole(
    kind: EventType,
    key: Option<&str>,
    event: &Value,
) -> Result<Outgoing, Rejected> {
    let own = event.get("key").and_then(Value::as_str);
    let key = key.or(own).filter(|key| !key.is_empty()).map(str::to_owned);
    let value = event.to_string().into_bytes();
    Event::decode(kind, key.as_deref().map(str::as_bytes), Some(&value))?;
    Ok(Outgoing { key, value })
}

/// A payload with an envelope around it.
pub(super) fn around(
    kind: EventType,
    key: Option<&str>,
    payload: &Value,
    stamp: &Stamp,
) -> Result<Outgoing, Rejected> {
    let order_id = payload.get("orderId").and_then(Value::as_str);
    let own = order_id.or(key).unwrap_or("");
    let event = json!({
        "eventId": stamp.event_id,
        "type": kind.as_str(),
        "version": ENVELOPE_VERSION,
        "timestamp": stamp.now,
        "correlationId": own,
        "key": own,
        "payload": payload,
        "headers": {},
    });
    whole(kind, key, &event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            event_id: "e-1".to_owned(),
            now: Timestamp::EPOCH,
        }
    }

    #[test]
    fn a_payload_gets_an_envelope_that_every_service_takes() {
        let payload = json!({ "orderId": "o-1", "reason": "timeout", "note": "kept" });
        let outgoing = around(EventType::OrderCancelled, None, &payload, &stamp()).unwrap();
        assert_eq!(outgoing.key.as_deref(), Some("o-1"));
        let event = Event::decode(
            EventType::OrderCancelled,
            Some(b"o-1"),
            Some(&outgoing.value),
        );
        assert_eq!(event.unwrap().correlation_id, "o-1");
        let sent: Value = serde_json::from_slice(&outgoing.value).unwrap();
        assert_eq!(sent["payload"], payload);
    }

    #[test]
    fn what_breaks_the_contract_is_refused_with_the_field() {
        let payload = json!({ "orderId": "o-1", "reason": 7 });
        let error = around(EventType::OrderCancelled, None, &payload, &stamp()).unwrap_err();
        assert!(error.reason.contains("payload.reason"), "{error}");
        let payload = json!({ "orderId": "o-1", "reason": "x" });
        let error = around(EventType::OrderCancelled, Some("o-2"), &payload, &stamp()).unwrap_err();
        assert!(error.reason.contains("o-2"), "{error}");
    }

    #[test]
    fn a_whole_event_goes_out_as_it_is() {
        let payload = json!({ "orderId": "o-1", "reason": "x" });
        let built = around(EventType::OrderCancelled, None, &payload, &stamp()).unwrap();
        let event: Value = serde_json::from_slice(&built.value).unwrap();
        assert!(is_envelope(&event) && !is_envelope(&payload));
        assert_eq!(whole(EventType::OrderCancelled, None, &event), Ok(built));
        assert!(whole(EventType::OrderConfirmed, None, &event).is_err());
    }

    #[test]
    fn a_topic_says_what_it_carries() {
        assert_eq!(
            carried("order.OrderCreated.v1"),
            Some(EventType::OrderCreated)
        );
        assert_eq!(
            carried("order.OrderCreated.v1.dlq"),
            Some(EventType::DeadLetter)
        );
        assert_eq!(carried("ops.DeadLetter.v1"), None);
        assert_eq!(carried("mine"), None);
    }
}
