//! What an operator can do with an order, and what will happen then. The services decide; here it is only not offered what they
//! would refuse.

use sagaline_views::{Entry, Outcome, State};

/// Something that an operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next attempt, from this step.
    Retry(&'static str),
    /// Undo what is in flight.
    Cancel,
    /// Give the money back.
    Refund,
}

/// An action that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What.
    pub action: Action,
    /// On the button.
    pub label: String,
    /// What will happen.
    pub consequence: String,
    /// It cannot be taken back.
    pub is_grave: bool,
}

impl Action {
    /// Where it is asked for, below the order service.
    pub fn path(self, order_id: &str) -> String {
        match self {
            Self::Retry(_) => format!("/admin/retry/{order_id}"),
            Self::Cancel | Self::Refund => format!("/admin/compensate/{order_id}"),
        }
    }

    /// What is sent.
    pub fn body(self) -> serde_json::Value {
        match self {
            Self::Retry(step) => serde_json::json!({ "step": step }),
            Self::Cancel => serde_json::json!({ "action": "releaseInventory" }),
            Self::Refund => serde_json::json!({ "action": "refundPayment" }),
        }
    }
}

/// What can be done with an order in this state, with these events.
pub fn offers(state: &State, events: &[Entry]) -> Vec<Offer> {
    let of_current = |name: &str| {
        events.iter().any(|entry| {
            entry.attempt.unwrap_or(state.attempt) == state.attempt && entry.r#type.contains(name)
        })
    };
    let is_shipped = state.outcome == Outcome::Confirmed
        || events
            .iter()
            .any(|entry| entry.r#type.contains("OrderShipped"));
    let next = state.attempt + 1;
    if is_asked(state, events) {
        return Vec::new();
    }
    match state.outcome {
        Outcome::Cancelled => {
            let step = failed_step(events, state.attempt);
            vec![Offer {
                action: Action::Retry(step),
                label: format!("Retry {step}"),
                consequence: format!(
                    "Attempt {next} begins. Stock that was given back is reserved again, and money that was paid back is charged again; \
                     what still stands is kept. If a step fails again, everything is undone again."
                ),
                is_grave: false,
            }]
        }
        _ if is_shipped && of_current("PaymentRefunded") => Vec::new(),
        _ if is_shipped => vec![Offer {
            action: Action::Refund,
            label: "Refund".to_owned(),
            consequence: format!(
                "The customer gets {} back. The goods are on their way already and are not called back; the order stays confirmed. \
                 This cannot be taken back.",
                state.total.map_or_else(|| "the money".to_owned(), |total| total.to_string())
            ),
            is_grave: true,
        }],
        Outcome::Pending | Outcome::Confirmed => vec![Offer {
            action: Action::Cancel,
            label: "Cancel order".to_owned(),
            consequence: "Shipping is asked to bar this order. If it has not shipped by then, reserved stock is released, a charge is paid back, \
                          and the order ends as cancelled; it can be retried. If it ships first, this is refused."
                .to_owned(),
            is_grave: true,
        }],
    }
}

/// Whether something was asked of the current attempt that has been neither done nor refused: it is not asked twice.
fn is_asked(state: &State, events: &[Entry]) -> bool {
    let of_current = |entry: &&Entry| entry.attempt.unwrap_or(state.attempt) == state.attempt;
    let is = |entry: &Entry, name: &str| entry.r#type.contains(name);
    let asked = events.iter().filter(of_current).rfind(|entry| {
        is(entry, "RetryRequested")
            || is(entry, "CompensationRequested") && entry.details["decidedBy"].is_null()
    });
    let Some(asked) = asked else { return false };
    let is_answered = |entry: &Entry| {
        let answers = entry.causation_id.as_ref() == Some(&asked.event_id)
            || entry.details["commandId"].as_str() == Some(&asked.event_id);
        is(entry, "CommandRejected") && answers
            || is(entry, "PaymentRefunded") && asked.at <= entry.at
            || is(entry, "OrderRetried") && answers
            // It could not be handled, and nobody will.
            || is(entry, "DeadLetter")
                && entry.status.as_deref() == Some("discarded")
                && entry.details["originalEventId"].as_str() == Some(&asked.event_id)
    };
    let is_refund = asked.details["action"] == "refundPayment";
    let is_over = match state.outcome {
        Outcome::Pending => false,
        // A cancel that came too late, or one that was carried out.
        Outcome::Confirmed | Outcome::Cancelled => !is_refund && is(asked, "CompensationRequested"),
    };
    !is_over && !events.iter().any(is_answered)
}

/// The step that failed, which is the one to retry.
fn failed_step(events: &[Entry], attempt: u32) -> &'static str {
    let failed = |name: &str| {
        events.iter().any(|entry| {
            entry.attempt.is_none_or(|of| of == attempt) && entry.r#type.contains(name)
        })
    };
    if failed("InventoryFailed") {
        "inventory"
    } else if failed("ShippingFailed") {
        "shipping"
    } else {
        "payment"
    }
}

#[cfg(test)]
mod tests {
    use sagaline_views::{Amount, Moment, Status};
    use serde_json::Value;

    use super::*;

    fn state(outcome: Outcome) -> State {
        State {
            order_id: "o".to_owned(),
            current_status: Some(Status::Created),
            outcome,
            attempt: 1,
            reason: None,
            total: Some(Amount(2_050)),
            created_at: Moment(0),
            updated_at: Moment(0),
            ended_at: None,
            stalled_since: None,
            dead_letters_waiting: 0,
        }
    }

    fn event(kind: &str) -> Entry {
        Entry {
            r#type: kind.to_owned(),
            at: Moment(0),
            event_id: kind.to_owned(),
            causation_id: None,
            attempt: Some(1),
            status: None,
            details: Value::Null,
        }
    }

    fn offered(outcome: Outcome, kinds: &[&str]) -> Vec<Action> {
        let events: Vec<Entry> = kinds.iter().map(|kind| event(kind)).collect();
        offers(&state(outcome), &events)
            .into_iter()
            .map(|offer| offer.action)
            .collect()
    }

    #[test]
    fn only_what_the_state_allows_is_offered() {
        assert_eq!(offered(Outcome::Pending, &[]), [Action::Cancel]);
        assert_eq!(
            offered(Outcome::Pending, &["shipping.OrderShipped.v1"]),
            [Action::Refund]
        );
        assert_eq!(offered(Outcome::Confirmed, &[]), [Action::Refund]);
        assert_eq!(
            offered(Outcome::Confirmed, &["payment.PaymentRefunded.v1"]),
            []
        );
        assert_eq!(
            offered(Outcome::Cancelled, &["payment.PaymentFailed.v1"]),
            [Action::Retry("payment")]
        );
        assert_eq!(
            offered(Outcome::Cancelled, &["inventory.InventoryFailed.v1"]),
            [Action::Retry("inventory")]
        );
        assert_eq!(
            offered(Outcome::Cancelled, &["shipping.ShippingFailed.v1"]),
            [Action::Retry("shipping")]
        );
    }

    #[test]
    fn what_was_asked_is_not_offered_again_until_it_is_refused() {
        let asked = |action: &str| Entry {
            details: serde_json::json!({ "action": action, "requestedBy": "ann" }),
            ..event("ops.CompensationRequested.v1")
        };
        let refused = Entry {
            causation_id: Some("ops.CompensationRequested.v1".to_owned()),
            ..event("ops.CommandRejected.v1")
        };
        let cancel = asked("releaseInventory");
        assert!(offers(&state(Outcome::Pending), std::slice::from_ref(&cancel)).is_empty());
        assert_eq!(
            offers(&state(Outcome::Pending), &[cancel.clone(), refused.clone()]).len(),
            1,
            "it was refused"
        );
        assert_eq!(
            offers(&state(Outcome::Confirmed), std::slice::from_ref(&cancel)).len(),
            1,
            "it shipped first, and can be refunded"
        );
        assert_eq!(
            offers(&state(Outcome::Cancelled), &[cancel]).len(),
            1,
            "it was undone, and can be retried"
        );
        let refund = asked("refundPayment");
        assert!(offers(&state(Outcome::Confirmed), std::slice::from_ref(&refund)).is_empty());
        assert_eq!(
            offers(&state(Outcome::Confirmed), &[refund, refused]).len(),
            1
        );
        let ruling = Entry {
            details: serde_json::json!({ "action": "releaseInventory", "decidedBy": "shipping-service" }),
            ..event("ops.CompensationRequested.v1")
        };
        assert_eq!(
            offers(&state(Outcome::Pending), &[ruling]).len(),
            1,
            "nobody asked for it here"
        );
    }

    #[test]
    fn a_refund_says_how_much() {
        assert!(
            offers(&state(Outcome::Confirmed), &[])[0]
                .consequence
                .contains("20.50")
        );
    }
}
