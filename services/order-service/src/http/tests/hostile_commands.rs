//! Whatever an operator's request says: it is a command, word for word, or it is refused and nothing has happened.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use axum::Router;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use sagaline_contracts::{Payload, generate};
use sagaline_service_kit::openapi::testing::{agreed, complaints};
use tokio::runtime::{Builder, Runtime};

use super::admin::cancelled_order;
use super::*;
use crate::testing::{Answer, World, post, send};

/// What a request did.
struct Done {
    answer: Answer,
    published: Vec<Payload>,
    /// How often something was saved.
    saves: usize,
}

/// An order that is cancelled, `o-1`, and one that is shipped, `o-2`.
struct Desk {
    runtime: Runtime,
    world: World,
    routes: Router,
    description: Value,
    asked: Cell<u32>,
}

/// Requests that one operator may make at once.
const ASKED_BY_ONE: u32 = 500;

impl Desk {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (world, routes, description) = runtime.block_on(async {
            let world = World::new();
            let routes = world.routes();
            cancelled_order(&world, &routes).await;
            let second = with(order(), "/orderId", json!("o-2"));
            post(&routes, "/orders", &[], &second).await;
            world.published_after(3).await;
            world.deliver(shipped("o-2"));
            world.published_after(4).await;
            let description = agreed(world.routes()).await;
            (world, routes, description)
        });
        world.take_published();
        Self {
            runtime,
            world,
            routes,
            description,
            asked: Cell::default(),
        }
    }

    fn ask(&self, path: &str, kind: Option<&str>, body: Vec<u8>) -> Done {
        let token = self.world.token(&self.somebody(), "admin");
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(kind.map(|kind| ("content-type", kind)));
        let before = self.saves();
        let answer = send(&self.routes, "POST", path, &headers, body);
        let answer = self.runtime.block_on(answer);
        let published = self.world.take_published();
        Done {
            answer,
            published: published.into_iter().map(|event| event.payload).collect(),
            saves: self.saves() - before,
        }
    }

    /// One operator alone would be asked to slow down.
    fn somebody(&self) -> String {
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        format!("operator-{}", asked / ASKED_BY_ONE)
    }

    fn saves(&self) -> usize {
        self.world.store.saves.load(Ordering::SeqCst)
    }

    /// Whatever was answered is described, and a refusal says why and did nothing but say so.
    fn check(&self, route: &str, done: &Done) -> Result<(), TestCaseError> {
        let (status, body) = (done.answer.status.as_u16(), &done.answer.body);
        prop_assert!(status < 500, "{:?}", done.answer);
        let wrong = complaints(&self.description, route, status, body);
        prop_assert!(wrong.is_empty(), "{wrong:?}: {:?}", done.answer);
        prop_assert_eq!(done.saves, 0, "a command is an event, and saves nothing");
        if status == 202 {
            return Ok(());
        }
        prop_assert!(
            body["error"]
                .as_str()
                .is_some_and(|error| !error.is_empty())
        );
        if status == 400 {
            prop_assert!(
                body["field"]
                    .as_str()
                    .is_some_and(|field| !field.is_empty())
            );
        }
        let said =
            |payload: &Payload| status == 409 && matches!(payload, Payload::CommandRejected(_));
        prop_assert!(done.published.iter().all(said), "{:?}", done.published);
        Ok(())
    }

    /// Any body to this path; what is accepted is one event that says what the body said.
    fn attack(
        &self,
        route: &str,
        path: &str,
        valid: Vec<Value>,
        accepted: impl Fn(&Value, &Payload) -> Result<(), TestCaseError>,
    ) {
        let asked = (generate::body(valid), generate::content_type());
        let counts = Cell::new((0, 0));
        let ran = TestRunner::new(generate::cases(2_000)).run(&asked, |(body, kind)| {
            let done = self.ask(path, kind, body.clone());
            self.check(route, &done)?;
            let (taken, refused) = counts.get();
            if done.answer.status != 202 {
                counts.set((taken, refused + 1));
                return Ok(());
            }
            counts.set((taken + 1, refused));
            let [published] = done.published.as_slice() else {
                return Err(TestCaseError::fail(format!("{:?}", done.published)));
            };
            let said = generate::said(&body);
            accepted(&said, published)
        });
        match ran {
            Ok(()) => {}
            Err(TestError::Fail(why, (body, kind))) => {
                panic!("{why}: {:?} as {kind:?}", String::from_utf8_lossy(&body))
            }
            Err(abort) => panic!("{abort}"),
        }
        let (taken, refused) = counts.get();
        assert!(
            taken > 100 && refused > 100,
            "{taken} taken, {refused} refused"
        );
    }
}

#[test]
fn a_retry_says_what_its_body_said_or_nothing_was_published() {
    let desk = Desk::new();
    let valid = ["inventory", "payment", "shipping"].map(|step| json!({ "step": step }));
    let route = "POST /admin/retry/{id}";
    desk.attack(
        route,
        "/admin/retry/o-1",
        valid.to_vec(),
        |said, published| {
            let Payload::RetryRequested(wish) = published else {
                return Err(TestCaseError::fail(format!("{published:?}")));
            };
            prop_assert_eq!(&json!(wish.step), &said["step"]);
            let by = wish.requested_by.as_deref().unwrap_or_default();
            prop_assert!(by.starts_with("operator-"), "{by}");
            Ok(())
        },
    );
}

#[test]
fn a_wish_to_undo_says_what_its_body_said_or_nothing_was_published() {
    let desk = Desk::new();
    let valid = vec![
        json!({ "action": "refundPayment" }),
        json!({ "action": "refundPayment", "reason": "a customer called" }),
        json!({ "action": "releaseInventory", "reason": null }),
    ];
    let route = "POST /admin/compensate/{id}";
    desk.attack(route, "/admin/compensate/o-2", valid, |said, published| {
        let Payload::CompensationRequested(wish) = published else {
            return Err(TestCaseError::fail(format!("{published:?}")));
        };
        prop_assert_eq!(&json!(wish.action), &said["action"]);
        prop_assert_eq!(&json!(wish.reason), &said["reason"]);
        prop_assert_eq!(&wish.decided_by, &None);
        Ok(())
    });
}
