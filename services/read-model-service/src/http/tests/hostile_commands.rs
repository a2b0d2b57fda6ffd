//! Whatever an operator's request says: it is a command or a decision, word for word, or it is refused and nothing has happened.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use sagaline_contracts::payload::{Action, DeadLetter, RedriveAction};
use sagaline_contracts::{Event, EventType, Payload, generate};
use sagaline_service_kit::openapi::testing::{agreed, complaints};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::testing::World;
use crate::testing::given::*;

/// What a request did.
struct Done {
    status: StatusCode,
    answer: Value,
    published: Vec<Event>,
    /// Documents that were written.
    writes: usize,
}

/// A cancelled order, `o-1`, and a dead letter of it that waits.
struct Desk {
    runtime: Runtime,
    world: World,
    description: Value,
    asked: Cell<u32>,
}

/// Requests that one operator may make at once.
const ASKED_BY_ONE: u32 = 500;

fn letter() -> Event {
    let payload = json!({ "orderId": "o-1", "reason": 7 });
    let letter = DeadLetter {
        dead_letter_id: Some("letter-1".to_owned()),
        original_topic: Some(EventType::PaymentAuthorized.as_str().to_owned()),
        ..dead_letter("shipping-service", payload)
    };
    event("death-1", 9, None, letter)
}

impl Desk {
    fn new(events: &[Event]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let world = World::new();
        let description = runtime.block_on(async {
            world.project(events).await;
            world.project(&[letter()]).await;
            agreed(World::new().app).await
        });
        Self {
            runtime,
            world,
            description,
            asked: Cell::default(),
        }
    }

    fn ask(&self, path: &str, kind: Option<&str>, body: &[u8]) -> Done {
        let token = self.world.token_of(&self.somebody(), "admin");
        let mut request = Request::post(path).header("authorization", token);
        if let Some(kind) = kind {
            request = request.header("content-type", kind.as_bytes());
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let before = self.writes();
        let (status, answer) = self.runtime.block_on(async {
            let response = self.world.send(request).await;
            crate::testing::json(response).await
        });
        let published = std::mem::take(&mut *self.world.broker.published.lock());
        let decode = |message: &sagaline_runtime::Outbound| {
            let kind = EventType::parse(&message.topic).unwrap();
            Event::decode(kind, Some(message.key.as_bytes()), Some(&message.value)).unwrap()
        };
        Done {
            status,
            answer,
            published: published.iter().map(decode).collect(),
            writes: self.writes() - before,
        }
    }

    /// One operator alone would be asked to slow down.
    fn somebody(&self) -> String {
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        format!("operator-{}", asked / ASKED_BY_ONE)
    }

    fn writes(&self) -> usize {
        self.world.store.writes.load(Ordering::Relaxed)
    }

    /// Whatever was answered is described, and a refusal says why. What is refused for its body alone leaves no trace; what cannot be is
    /// recorded as refused.
    fn check(&self, route: &str, done: &Done) -> Result<(), TestCaseError> {
        let Done { status, answer, .. } = done;
        prop_assert!(!status.is_server_error(), "{status} {answer}");
        let wrong = complaints(&self.description, route, status.as_u16(), answer);
        prop_assert!(wrong.is_empty(), "{wrong:?}: {status} {answer}");
        if status.is_success() {
            return Ok(());
        }
        let says = |field: &str| answer[field].as_str().is_some_and(|text| !text.is_empty());
        prop_assert!(says("error"), "{answer}");
        let names_a_field = matches!(status.as_u16(), 400 | 422);
        prop_assert!(!names_a_field || says("field"), "{answer}");
        let is_refusal = |event: &Event| matches!(event.payload, Payload::CommandRejected(_));
        prop_assert!(
            done.published.iter().all(is_refusal),
            "{:?}",
            done.published
        );
        if !matches!(status.as_u16(), 409 | 422) {
            prop_assert_eq!((done.published.len(), done.writes), (0, 0), "{}", answer);
        }
        Ok(())
    }

    /// Any body to this path; gives how many were accepted, and how many refused.
    fn attack(
        &self,
        route: &str,
        path: &str,
        valid: Vec<Value>,
        accepted: impl Fn(&Value, &Done) -> Result<(), TestCaseError>,
    ) -> (usize, usize) {
        let asked = (generate::body(valid), generate::content_type());
        let counts = Cell::new((0, 0));
        let ran = TestRunner::new(generate::cases(2_000)).run(&asked, |(body, kind)| {
            let done = self.ask(path, kind, &body);
            self.check(route, &done)?;
            let (taken, refused) = counts.get();
            if done.status.is_success() {
                counts.set((taken + 1, refused));
                let said = generate::said(&body);
                accepted(&said, &done)
            } else {
                counts.set((taken, refused + 1));
                Ok(())
            }
        });
        match ran {
            Ok(()) => counts.get(),
            Err(TestError::Fail(why, (body, kind))) => {
                panic!("{why}: {:?} as {kind:?}", String::from_utf8_lossy(&body))
            }
            Err(abort) => panic!("{abort}"),
        }
    }
}

/// The one event that was published.
fn only(done: &Done) -> Result<&Event, TestCaseError> {
    match done.published.as_slice() {
        [event] => Ok(event),
        other => Err(TestCaseError::fail(format!("published: {other:?}"))),
    }
}

#[test]
fn a_retry_says_what_its_body_said_or_nothing_was_published() {
    let desk = Desk::new(&failed());
    let valid = ["inventory", "payment", "shipping"].map(|step| json!({ "step": step }));
    let route = "POST /admin/retry/{orderId}";
    let (taken, refused) = desk.attack(route, "/admin/retry/o-1", valid.to_vec(), |said, done| {
        let event = only(done)?;
        prop_assert_eq!(&json!(event.id), &done.answer["commandId"]);
        let Payload::RetryRequested(wish) = &event.payload else {
            return Err(TestCaseError::fail(format!("{event:?}")));
        };
        prop_assert_eq!(&json!(wish.step), &said["step"]);
        Ok(())
    });
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn a_wish_to_undo_says_what_its_body_said_or_nothing_was_published() {
    let desk = Desk::new(&happy());
    let valid = vec![
        json!({ "action": "refundPayment" }),
        json!({ "action": "refundPayment", "reason": "a customer called" }),
        json!({ "action": "releaseInventory", "reason": null }),
    ];
    let route = "POST /admin/compensate/{orderId}";
    let (taken, refused) = desk.attack(route, "/admin/compensate/o-1", valid, |said, done| {
        let event = only(done)?;
        let Payload::CompensationRequested(wish) = &event.payload else {
            return Err(TestCaseError::fail(format!("{event:?}")));
        };
        prop_assert_eq!(wish.action, Action::RefundPayment, "the goods are out");
        prop_assert_eq!(&json!(wish.action), &said["action"]);
        prop_assert_eq!(&json!(wish.reason), &said["reason"]);
        Ok(())
    });
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

fn edits() -> Vec<Value> {
    let payload = json!({ "orderId": "o-1", "amount": 20.5, "authId": "auth", "attempt": 1 });
    vec![
        json!({}),
        json!({ "payload": null }),
        json!({ "payload": payload }),
    ]
}

const REDRIVE: &str = "POST /admin/dead-letters/{deadLetterId}/redrive";

#[test]
fn a_redrive_carries_an_event_that_can_be_read_or_none_or_nothing_was_published() {
    let desk = Desk::new(&failed());
    let path = "/admin/dead-letters/letter-1/redrive";
    let (taken, refused) = desk.attack(REDRIVE, path, edits(), |said, done| {
        let event = only(done)?;
        let Payload::RedriveRequested(redrive) = &event.payload else {
            return Err(TestCaseError::fail(format!("{event:?}")));
        };
        prop_assert_eq!(redrive.action, RedriveAction::Redrive);
        let Some(edited) = &redrive.event else {
            prop_assert!(said["payload"].is_null(), "{said} was not sent on");
            return Ok(());
        };
        prop_assert_eq!(&edited["payload"], &said["payload"]);
        let kind = EventType::PaymentAuthorized;
        let read = Event::from_json(kind, edited.to_string().as_bytes());
        prop_assert!(read.is_ok(), "{read:?}");
        Ok(())
    });
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn whatever_is_only_tried_publishes_and_saves_nothing() {
    let desk = Desk::new(&failed());
    let path = "/admin/dead-letters/letter-1/redrive?dryRun=true";
    let before = desk.writes();
    let (taken, refused) = desk.attack(REDRIVE, path, edits(), |_, done| {
        prop_assert_eq!(&done.answer, &json!({ "dryRun": true }));
        prop_assert!(done.published.is_empty());
        Ok(())
    });
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
    assert_eq!(desk.writes(), before);
}

#[test]
fn whatever_body_a_discard_has_it_is_the_same_discard() {
    let desk = Desk::new(&failed());
    let route = "POST /admin/dead-letters/{deadLetterId}/discard";
    let first = desk.ask("/admin/dead-letters/letter-1/discard", None, b"");
    let path = "/admin/dead-letters/letter-1/discard";
    let (_, refused) = desk.attack(route, path, edits(), |_, done| {
        prop_assert_eq!(&done.answer, &first.answer);
        let event = only(done)?;
        let Payload::RedriveRequested(discard) = &event.payload else {
            return Err(TestCaseError::fail(format!("{event:?}")));
        };
        prop_assert_eq!(discard.action, RedriveAction::Discard);
        prop_assert_eq!(&discard.event, &None);
        Ok(())
    });
    assert_eq!(refused, 0, "a body is nothing to a discard");
}
