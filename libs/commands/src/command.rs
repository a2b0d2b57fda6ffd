//! From a wish to an event.

use std::collections::BTreeMap;

use sagaline_contracts::payload::{
    Action, CommandRejected, CompensationRequested, RetryRequested, Step,
};
use sagaline_contracts::{Event, EventId, Payload, Timestamp};

use crate::{OrderView, Outcome, Refusal, action_name, step_name};

/// What an operator asks of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The order's next attempt.
    Retry(Step),
    /// Something that was done is to be undone.
    Compensate {
        /// What.
        action: Action,
        /// Why, in the operator's words.
        reason: Option<String>,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Issued {
    /// To be published, and acknowledged before the caller is told; its id is the command's. Boxed, for it is large.
    Publish(Box<Event>),
    /// The same command was accepted before: nothing is to be published, the answer is the same.
    Before(EventId),
}

impl Issued {
    /// The command's id.
    pub const fn command_id(&self) -> &EventId {
        match self {
            Self::Publish(event) => &event.id,
            Self::Before(id) => id,
        }
    }
}

impl Command {
    /// The command in a few words, as `CommandRejected` and the audit name it: `retry payment`, `releaseInventory`.
    pub fn name(&self) -> String {
        match self {
            Self::Retry(step) => format!("retry {}", step_name(*step)),
            Self::Compensate { action, .. } => action_name(*action).to_owned(),
        }
    }

    /// The command's id. Two clicks make one command. With an `Idempotency-Key` (`key`) the id follows from the key, whatever became of
    /// the order meanwhile: who decides a second click need not have heard of the first one's effect. Without one whoever
    /// asks (`sub`) is the key, for as long as the order is in this attempt.
    pub fn id(&self, view: &OrderView, sub: &str, key: Option<&str>) -> EventId {
        let attempt = match key {
            Some(_) if !sagaline_saga::planted!("a key per attempt") => "any".to_owned(),
            _ => view.attempt.to_string(),
        };
        let command = format!("{}/{attempt}", self.name());
        sagaline_saga::command_id(&view.order_id, &command, &clicks_key(sub, key))
    }

    /// Decides a command: the event to publish, or why not. `known` says whether an event of this id was seen for the
    /// order: a click repeated with the same `Idempotency-Key` after its effect gets the first one's answer, and no
    /// refusal.
    pub fn issue(
        &self,
        view: &OrderView,
        sub: &str,
        key: Option<&str>,
        now: Timestamp,
        known: impl Fn(&EventId) -> bool,
    ) -> Result<Issued, Refusal> {
        let id = self.id(view, sub, key);
        if key.is_some() && known(&id) {
            return Ok(Issued::Before(id));
        }
        self.check(view)?;
        let event = event(view, id, now, self.payload(view, sub));
        Ok(Issued::Publish(Box::new(event)))
    }

    /// The event that records a refusal, for the timeline and the audit. Clicks that are refused for the same reason in
    /// the same attempt are one event.
    pub fn rejection(
        &self,
        view: &OrderView,
        refusal: &Refusal,
        sub: &str,
        key: Option<&str>,
        now: Timestamp,
    ) -> Event {
        let refused = format!("{}/{}/{}", self.name(), view.attempt, refusal.code());
        let id = sagaline_saga::command_id(&view.order_id, &refused, &clicks_key(sub, key));
        let payload = CommandRejected {
            order_id: view.order_id.clone(),
            command: self.name(),
            reason: refusal.to_string(),
            requested_by: sub.to_owned(),
        };
        event(view, id, now, payload.into())
    }

    /// Whether the command can be, as far as this view knows.
    pub fn check(&self, view: &OrderView) -> Result<(), Refusal> {
        let order_id = || view.order_id.clone();
        match (self, view.outcome) {
            (Self::Retry(_), Outcome::Pending) => Err(Refusal::InFlight {
                order_id: order_id(),
                attempt: view.attempt,
            }),
            (Self::Retry(_), Outcome::Confirmed) => Err(Refusal::Confirmed(order_id())),
            (Self::Retry(_), Outcome::Cancelled) => Ok(()),
            (Self::Compensate { .. }, Outcome::Cancelled) => {
                Err(Refusal::AlreadyCancelled(order_id()))
            }
            (Self::Compensate { action, .. }, outcome) => {
                let shipped = view.shipped || outcome == Outcome::Confirmed;
                match action {
                    Action::ReleaseInventory if shipped => Err(Refusal::Shipped(order_id())),
                    Action::RefundPayment if shipped && view.refunded => {
                        Err(Refusal::AlreadyRefunded(order_id()))
                    }
                    Action::ReleaseInventory | Action::RefundPayment => Ok(()),
                }
            }
        }
    }

    fn payload(&self, view: &OrderView, sub: &str) -> Payload {
        match self {
            Self::Retry(step) => RetryRequested {
                order_id: view.order_id.clone(),
                step: *step,
                requested_by: Some(sub.to_owned()),
                attempt: Some(view.attempt),
            }
            .into(),
            Self::Compensate { action, reason } => CompensationRequested {
                order_id: view.order_id.clone(),
                action: *action,
                requested_by: Some(sub.to_owned()),
                reason: reason.clone(),
                attempt: Some(view.attempt),
                decided_by: None,
            }
            .into(),
        }
    }
}

/// What makes two clicks one. The kind of key is part of it: nobody's key can be taken for somebody's name.
fn clicks_key(sub: &str, key: Option<&str>) -> String {
    sagaline_saga::planted!("two clicks are two commands" => {
        return format!("drawn/{}", sagaline_saga::planted::draw());
    });
    match key {
        Some(key) => format!("key/{key}"),
        None => format!("sub/{sub}"),
    }
}

/// An event about an order, later than what it answers to.
fn event(view: &OrderView, id: EventId, now: Timestamp, payload: Payload) -> Event {
    Event {
        id,
        timestamp: now.max(view.updated_at.next()),
        correlation_id: view.order_id.to_string(),
        causation_id: None,
        order_id: Some(view.order_id.clone()),
        payload,
        headers: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use sagaline_contracts::OrderId;

    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn view(outcome: Outcome) -> OrderView {
        OrderView {
            order_id: OrderId::new("o-1").unwrap(),
            attempt: 1,
            outcome,
            shipped: outcome == Outcome::Confirmed,
            refunded: false,
            updated_at: Timestamp::from_micros(41),
        }
    }

    fn compensate(action: Action) -> Command {
        Command::Compensate {
            action,
            reason: None,
        }
    }

    const RETRY: Command = Command::Retry(Step::Payment);

    fn nothing_known(_: &EventId) -> bool {
        false
    }

    #[test]
    fn every_command_has_an_answer_in_every_standing_of_an_order() {
        let release = compensate(Action::ReleaseInventory);
        let refund = compensate(Action::RefundPayment);
        let refunded = OrderView {
            refunded: true,
            ..view(Outcome::Confirmed)
        };
        // the read model may hear of the shipment before the outcome
        let shipped = OrderView {
            shipped: true,
            ..view(Outcome::Pending)
        };
        for (command, view, refused) in [
            (&RETRY, view(Outcome::Pending), Some("in_flight")),
            (&RETRY, view(Outcome::Confirmed), Some("confirmed")),
            (&RETRY, view(Outcome::Cancelled), None),
            (&release, view(Outcome::Pending), None),
            (&release, shipped.clone(), Some("shipped")),
            (&release, view(Outcome::Confirmed), Some("shipped")),
            (&release, refunded.clone(), Some("shipped")),
            (
                &release,
                view(Outcome::Cancelled),
                Some("already_cancelled"),
            ),
            (&refund, view(Outcome::Pending), None),
            (&refund, shipped, None),
            (&refund, view(Outcome::Confirmed), None),
            (&refund, refunded, Some("already_refunded")),
            (&refund, view(Outcome::Cancelled), Some("already_cancelled")),
        ] {
            let answer = command.check(&view);
            let code = answer.as_ref().err().map(Refusal::code);
            assert_eq!(code, refused, "{command:?} on {view:?}");
            let named = answer.err().is_none_or(|e| e.to_string().contains("o-1"));
            assert!(named, "a refusal names the order");
        }
    }

    #[test]
    fn two_clicks_of_one_caller_in_one_attempt_are_one_event() {
        let view = view(Outcome::Cancelled);
        let click = |key| RETRY.issue(&view, "ann", key, NOW, nothing_known).unwrap();
        assert_eq!(click(None), click(None));
        assert_eq!(click(Some("k")), click(Some("k")));
        assert_ne!(click(Some("k")).command_id(), click(None).command_id());
        assert_ne!(click(Some("k")).command_id(), click(Some("l")).command_id());
    }

    #[test]
    fn a_key_that_looks_like_a_name_is_not_taken_for_it() {
        let view = view(Outcome::Cancelled);
        assert_ne!(
            RETRY.id(&view, "ann", Some("bob")),
            RETRY.id(&view, "bob", None)
        );
    }

    #[test]
    fn the_next_attempt_and_another_step_are_other_commands() {
        let first = view(Outcome::Cancelled);
        let second = OrderView {
            attempt: 2,
            ..first.clone()
        };
        assert_ne!(
            RETRY.id(&first, "ann", None),
            RETRY.id(&second, "ann", None)
        );
        for key in [None, Some("k")] {
            assert_ne!(
                RETRY.id(&first, "ann", key),
                Command::Retry(Step::Shipping).id(&first, "ann", key)
            );
        }
    }

    #[test]
    fn a_key_names_one_command_whatever_attempt_the_order_is_in() {
        let first = view(Outcome::Cancelled);
        let second = OrderView {
            attempt: 2,
            ..first.clone()
        };
        // The second click meets a reader that knows of the next attempt and not of the first click.
        let click = |view| RETRY.issue(view, "ann", Some("k"), NOW, nothing_known);
        let ids =
            [click(&first), click(&second)].map(|issued| issued.unwrap().command_id().clone());
        assert_eq!(ids[0], ids[1]);
    }

    #[test]
    fn a_click_repeated_after_its_effect_gets_the_first_answer() {
        let cancelled = view(Outcome::Cancelled);
        let first = RETRY
            .issue(&cancelled, "ann", Some("k"), NOW, nothing_known)
            .unwrap();
        let id = first.command_id().clone();
        let in_flight = OrderView {
            attempt: 2,
            ..view(Outcome::Pending)
        };
        let again = RETRY.issue(&in_flight, "ann", Some("k"), NOW, |known| *known == id);
        assert_eq!(again, Ok(Issued::Before(id.clone())));
        let another = RETRY.issue(&in_flight, "ann", Some("l"), NOW, |known| *known == id);
        assert_eq!(another.unwrap_err().code(), "in_flight");
    }

    #[test]
    fn the_event_says_who_asked_for_which_attempt_and_is_later_than_what_it_answers_to() {
        let Ok(Issued::Publish(event)) = compensate(Action::RefundPayment).issue(
            &view(Outcome::Confirmed),
            "ann",
            None,
            NOW,
            nothing_known,
        ) else {
            unreachable!("a refund of a confirmed order is allowed")
        };
        assert_eq!(event.timestamp, Timestamp::from_micros(42));
        let Payload::CompensationRequested(wish) = event.payload else {
            unreachable!("a wish")
        };
        assert_eq!(wish.requested_by.as_deref(), Some("ann"));
        assert_eq!((wish.attempt, wish.decided_by), (Some(1), None));
    }

    #[test]
    fn a_refusal_is_recorded_once_per_reason_and_never_under_the_commands_own_id() {
        let in_flight = view(Outcome::Pending);
        let refusal = RETRY.check(&in_flight).unwrap_err();
        let record = || RETRY.rejection(&in_flight, &refusal, "ann", None, NOW);
        assert_eq!(record(), record());
        assert_ne!(record().id, RETRY.id(&in_flight, "ann", None));
        let Payload::CommandRejected(rejected) = record().payload else {
            unreachable!("a rejection")
        };
        assert_eq!(
            (rejected.command.as_str(), rejected.requested_by.as_str()),
            ("retry payment", "ann")
        );
        assert!(rejected.reason.contains("in flight"));
    }
}
