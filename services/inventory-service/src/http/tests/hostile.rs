//! Whatever a restock says: so many units are added once, or none.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use sagaline_contracts::generate;
use tokio::runtime::Builder;

use super::*;

/// Requests that one operator may make at once.
const ASKED_BY_ONE: u32 = 500;
const SKU: &str = "LIMITED-1";
const PATH: &str = "/admin/products/LIMITED-1/restock";
const ROUTE: &str = "POST /admin/products/{sku}/restock";

fn request(
    authorization: &str,
    body: &[u8],
    kind: Option<&str>,
    key: Option<&str>,
) -> Request<Body> {
    let mut request = Request::post(PATH).header(header::AUTHORIZATION, authorization);
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind.as_bytes());
    }
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key.as_bytes());
    }
    request.body(Body::from(body.to_vec())).unwrap()
}

#[test]
fn a_restock_adds_what_its_body_said_or_nothing_is_saved() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (app, description) = runtime.block_on(async {
        let app = app().await;
        let description = agreed(app.router.clone()).await;
        (app, description)
    });
    let asked_so_far = Cell::new(0);
    let authorization = || {
        // One operator alone would be asked to slow down.
        let sub = format!("operator-{}", asked_so_far.get() / ASKED_BY_ONE);
        asked_so_far.set(asked_so_far.get() + 1);
        let token = app.keys.mint(&sub, "admin", Duration::from_mins(1));
        format!("Bearer {}", token.unwrap())
    };
    let bodies = [1, 7, 100_000_000].map(|qty| json!({ "qty": qty }));
    let key = prop::option::weighted(0.3, select(vec!["a", "b", "größer", "", "a\tb"]));
    let asked = (
        generate::body(bodies.to_vec()),
        generate::content_type(),
        key,
    );
    let ran = TestRunner::new(generate::cases(2_000)).run(&asked, |(body, kind, key)| {
        let request = request(&authorization(), &body, kind, key);
        let (before, status, answer, after) = runtime.block_on(async {
            let before = app.document(SKU).await;
            let (status, answer) = app.send(request).await;
            (before, status, answer, app.document(SKU).await)
        });
        prop_assert!(!status.is_server_error(), "{status} {answer}");
        let wrong = complaints(&description, ROUTE, status.as_u16(), &answer);
        prop_assert!(wrong.is_empty(), "{wrong:?}: {status} {answer}");
        if status == StatusCode::OK && answer["repeated"] == false {
            let said = generate::said(&body);
            let added = after.counters().restocked - before.counters().restocked;
            prop_assert_eq!(said["qty"].as_u64(), Some(added));
            prop_assert!((1..=100_000_000).contains(&added));
            return Ok(());
        }
        prop_assert_eq!(after, before, "{} {}", status, answer);
        let says = |field: &str| answer[field].as_str().is_some_and(|text| !text.is_empty());
        prop_assert!(status == StatusCode::OK || says("error"), "{answer}");
        prop_assert!(
            status != StatusCode::BAD_REQUEST || says("field"),
            "{answer}"
        );
        Ok(())
    });
    ran.unwrap();
    let counters = runtime.block_on(app.document(SKU)).counters();
    assert!(counters.restocked > 0, "nothing was ever added");
}
