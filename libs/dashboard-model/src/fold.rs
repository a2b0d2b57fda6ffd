//! An order's events, from the stream and from the document, each once.

use std::collections::BTreeMap;

use sagaline_views::{Entry, Order, Told};

/// An order's events. The stream tells them one by one, a document all of them; whatever comes in whichever order, each is here
/// once, and the latest that is known of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timeline {
    events: BTreeMap<String, Entry>,
}

impl Timeline {
    /// One event of the stream; says whether it was new.
    pub fn tell(&mut self, told: Told) -> bool {
        let known = self.events.get(&told.event_id);
        // What became of a dead letter is known from the document, and the stream does not tell an event twice.
        if known.is_some_and(|known| known.status.is_some()) {
            return false;
        }
        let is_new = known.is_none();
        self.events.insert(told.event_id.clone(), told.into());
        is_new
    }

    /// A document: it may be older than the stream, so it takes nothing away.
    pub fn read(&mut self, order: &Order) {
        for entry in &order.timeline {
            self.events.insert(entry.event_id.clone(), entry.clone());
        }
    }

    /// The events in the order in which they took effect; of those of one moment, causes before their effects.
    pub fn events(&self) -> Vec<Entry> {
        let mut events: Vec<Entry> = self.events.values().cloned().collect();
        events.sort_by(|a, b| (a.at, &a.event_id).cmp(&(b.at, &b.event_id)));
        for at in 0..events.len() {
            // the read model places effects after their causes, so this is about ties only
            let cause = events[at].causation_id.clone();
            if let Some(later) = cause.and_then(|cause| {
                events
                    .iter()
                    .skip(at + 1)
                    .position(|other| other.event_id == cause)
            }) {
                let cause = events.remove(at + 1 + later);
                events.insert(at, cause);
            }
        }
        events
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use sagaline_views::Moment;
    use serde_json::{Value, json};

    use super::*;

    fn told(id: &str, at: i64, cause: Option<&str>) -> Told {
        Told {
            r#type: "order.OrderCreated.v1".to_owned(),
            at: Moment(at),
            event_id: id.to_owned(),
            causation_id: cause.map(str::to_owned),
            attempt: Some(1),
            dead_letter_status: None,
            details: Value::Null,
        }
    }

    fn ids(timeline: &Timeline) -> Vec<String> {
        timeline
            .events()
            .into_iter()
            .map(|entry| entry.event_id)
            .collect()
    }

    #[test]
    fn events_come_in_any_order_and_twice_and_are_shown_once_in_theirs() {
        let mut timeline = Timeline::default();
        assert!(timeline.tell(told("c", 3, Some("b"))));
        assert!(timeline.tell(told("a", 1, None)));
        assert!(timeline.tell(told("b", 2, Some("a"))));
        assert!(!timeline.tell(told("b", 2, Some("a"))));
        assert_eq!(ids(&timeline), ["a", "b", "c"]);
    }

    #[test]
    fn of_one_moment_the_cause_comes_first() {
        let mut timeline = Timeline::default();
        timeline.tell(told("a-effect", 1, Some("z-cause")));
        timeline.tell(told("z-cause", 1, None));
        assert_eq!(ids(&timeline), ["z-cause", "a-effect"]);
    }

    #[test]
    fn a_document_tells_what_became_of_a_dead_letter_and_the_stream_does_not_undo_it() {
        let mut timeline = Timeline::default();
        timeline.tell(told("dead", 1, None));
        let order: Order = serde_json::from_value(json!({
            "orderId": "o", "currentStatus": "CREATED", "outcome": "PENDING", "attempt": 1,
            "createdAt": "2026-01-31T12:00:00.000000Z", "updatedAt": "2026-01-31T12:00:00.000000Z",
            "timeline": [{ "type": "ops.DeadLetter.v1", "at": "2026-01-31T12:00:00.000000Z", "eventId": "dead",
                "status": "redriven", "details": {} }],
        }))
        .unwrap();
        timeline.read(&order);
        timeline.tell(told("dead", 1, None));
        assert_eq!(timeline.events()[0].status.as_deref(), Some("redriven"));
    }
}
