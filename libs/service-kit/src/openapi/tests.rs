use std::collections::BTreeSet;

use axum::Router;
use axum::routing::{delete, get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::testing::{dangling, described, description, routed};
use super::{Api, Operation};
use crate::health::Health;
use crate::http::{HttpOptions, HttpStack};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    lines: Vec<Line>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Line {
    qty: u32,
}

async fn nothing() {}

fn router() -> Router {
    let place = Operation::new("place", "Places an order")
        .idempotent()
        .body::<Order>()
        .answers::<Order>(201, "Placed")
        .refuses(409, "Another order of this key");
    let show = Operation::new("show", "Shows an order")
        .path::<String>("id", "The order")
        .answers::<Order>(200, "The order");
    let retry = Operation::new("retry", "Retries an order")
        .path::<String>("id", "The order")
        .optional_body::<Order>()
        .for_admins()
        .answers::<Order>(202, "Accepted");
    Api::new("order-service", "Takes orders")
        .post("/orders", nothing, place)
        .get("/orders/{id}", nothing, show)
        .post("/admin/retry/{id}", nothing, retry)
        .with_state(())
}

fn stack() -> HttpStack {
    HttpStack {
        health: Health::new("order-service", &[]),
        cors: "*".parse().unwrap(),
        shutdown: CancellationToken::new(),
        options: HttpOptions::default(),
    }
}

#[tokio::test]
async fn every_route_is_described_and_the_other_way_round_also_behind_everything_that_stands_around()
 {
    let wrapped = stack().wrap(router());
    let description = description(&wrapped).await;
    let expected: BTreeSet<String> = [
        "POST /orders",
        "GET /orders/{id}",
        "POST /admin/retry/{id}",
        "GET /health",
        "GET /healthz",
        "GET /metrics",
        "GET /openapi.json",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(described(&description), expected);
    assert_eq!(routed(&wrapped), expected);
}

#[test]
fn a_route_that_nobody_described_is_seen() {
    let sneaked = router()
        .route("/secret", get(nothing))
        .route("/orders", delete(nothing));
    let sneaked = routed(&stack().wrap(sneaked));
    assert!(sneaked.contains("GET /secret"), "{sneaked:?}");
    assert!(sneaked.contains("DELETE /orders"), "{sneaked:?}");
}

#[tokio::test]
async fn bodies_and_answers_are_described_by_their_types() {
    let description = description(&router()).await;
    assert_eq!(dangling(&description), Vec::<String>::new());
    let place = &description["paths"]["/orders"]["post"];
    let body = &place["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], serde_json::json!(["lines"]));
    assert_eq!(
        body["properties"]["lines"]["items"]["properties"]["qty"]["type"],
        "integer"
    );
    let answer = &place["responses"]["201"]["content"]["application/json"]["schema"];
    assert_eq!(answer["$ref"], "#/components/schemas/Order");
}

#[tokio::test]
async fn what_every_route_of_a_sort_answers_is_described_without_being_said() {
    let description = description(&router()).await;
    let statuses = |path: &str, verb: &str| -> Vec<String> {
        let responses = &description["paths"][path][verb]["responses"];
        responses.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        statuses("/orders", "post"),
        ["201", "400", "408", "409", "413", "415", "500", "503"]
    );
    assert_eq!(
        statuses("/orders/{id}", "get"),
        ["200", "400", "500", "503"]
    );
    let admin = statuses("/admin/retry/{id}", "post");
    for status in ["401", "403", "429"] {
        assert!(admin.contains(&status.to_owned()), "{admin:?}");
    }
    let retry = &description["paths"]["/admin/retry/{id}"]["post"];
    assert_eq!(retry["security"], serde_json::json!([{ "bearer": [] }]));
    assert_eq!(retry["requestBody"]["required"], false);
    let problem = &retry["responses"]["429"];
    assert!(problem["headers"]["Retry-After"].is_object(), "{problem}");
    let schema = &problem["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Problem");
}
