//! Whatever comes over HTTP is answered as described, with a reason and never with a defect.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sagaline_service_kit::extract::parse_json;
use sagaline_service_kit::openapi::testing::{agreed, complaints, described};

use super::*;
use crate::http::body::{CheckoutBody, OrderBody};
use crate::testing::{Answer, World, post, send};

/// What the contract says that there is; what we add may be there as well.
const CONTRACT: [&str; 8] = [
    "POST /orders",
    "POST /api/checkout",
    "GET /orders/{id}",
    "POST /admin/retry/{id}",
    "POST /admin/compensate/{id}",
    "GET /health",
    "GET /healthz",
    "GET /metrics",
];

#[tokio::test]
async fn every_route_is_described_and_the_contract_s_are_there() {
    let description = agreed(World::new().routes()).await;
    let described = described(&description);
    for route in CONTRACT {
        assert!(described.contains(route), "{route} is not in {described:?}");
    }
}

fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/corpus")
        .join(folder);
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    assert!(files.len() > 5, "the corpus is not where it should be");
    files
}

fn as_described(description: &Value, route: &str, name: &str, answer: &Answer) {
    let status = answer.status.as_u16();
    assert!(status < 500, "{name}: {answer:?}");
    let complaints = complaints(description, route, status, &answer.body);
    assert_eq!(complaints, Vec::<String>::new(), "{name}: {answer:?}");
    if status == 400 {
        let field = answer.body["field"].as_str().unwrap_or_default();
        assert!(!field.is_empty(), "{name} names no field: {answer:?}");
    }
}

#[tokio::test]
async fn the_corpus_of_orders_and_checkouts_is_answered_as_described() {
    let world = World::new();
    let routes = world.routes();
    let description = agreed(world.routes()).await;
    for (route, path, folders) in [
        ("POST /orders", "/orders", ["orders", "checkouts"]),
        (
            "POST /api/checkout",
            "/api/checkout",
            ["checkouts", "orders"],
        ),
    ] {
        for (name, body) in folders.into_iter().flat_map(corpus) {
            // What would be taken waits for an outcome that nobody makes here: the others do not.
            if path == "/api/checkout" && accepted_checkout(&body) {
                continue;
            }
            let answer = send(&routes, "POST", path, &[], body).await;
            as_described(&description, route, &name, &answer);
        }
    }
}

fn accepted_checkout(body: &[u8]) -> bool {
    parse_json::<CheckoutBody>(body).is_ok_and(|body| body.check().is_ok())
}

#[tokio::test]
async fn the_corpus_of_commands_is_answered_as_described() {
    let world = World::new();
    let routes = world.routes();
    let description = agreed(world.routes()).await;
    send(
        &routes,
        "POST",
        "/orders",
        &[],
        with(order(), "/orderId", json!("o-1")).to_string(),
    )
    .await;
    let token = world.token("ann", "admin");
    for command in ["retry", "compensate"] {
        for (name, body) in corpus("commands") {
            let path = format!("/admin/{command}/o-1");
            let answer = send(&routes, "POST", &path, &[("authorization", &token)], body).await;
            as_described(
                &description,
                &format!("POST /admin/{command}/{{id}}"),
                &name,
                &answer,
            );
        }
    }
}

#[tokio::test]
async fn arrays_for_objects_and_objects_for_names_are_refused() {
    let world = World::new();
    let routes = world.routes();
    send(
        &routes,
        "POST",
        "/orders",
        &[],
        with(order(), "/orderId", json!("o-1")).to_string(),
    )
    .await;
    let token = world.token("ann", "admin");
    for (path, body) in [
        (
            "/orders",
            json!([null, null, null, null, [{ "sku": "SKU-1", "qty": 1 }], 10]),
        ),
        (
            "/orders",
            json!({ "items": [["SKU-1", 1, null]], "total": 10 }),
        ),
        (
            "/api/checkout",
            json!({ "userId": "u", "items": [["SKU-1", 1, 10]] }),
        ),
        ("/admin/retry/o-1", json!(["payment"])),
        ("/admin/retry/o-1", json!({ "step": { "payment": null } })),
        (
            "/admin/compensate/o-1",
            json!({ "action": { "refundPayment": null } }),
        ),
        ("/admin/compensate/o-1", json!(["refundPayment", null])),
    ] {
        let answer = post(&routes, path, &[("authorization", &token)], &body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
    }
}

#[tokio::test]
async fn identities_that_could_not_stand_in_a_log_are_refused_by_name() {
    let routes = World::new().routes();
    for hostile in [
        "a\nb",
        "\u{1b}[2J",
        "\u{9b}31m",
        "\u{2028}",
        "",
        &"x".repeat(129),
    ] {
        for field in [
            "/clientRequestId",
            "/customerId",
            "/orderId",
            "/items/0/sku",
        ] {
            let body = with(order(), field, json!(hostile)).to_string();
            let answer = send(&routes, "POST", "/orders", &[], body).await;
            assert_eq!(answer.status, 400, "{field} {hostile:?}: {answer:?}");
            let named = answer.body["field"]
                .as_str()
                .unwrap()
                .replace(['[', ']'], "/");
            let named = named.replace("//", "/").replace("/.", "/");
            assert_eq!(format!("/{named}"), field);
        }
    }
}

/// An order's body with something in it that may or may not do.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        select(vec![
            "1e999",
            "-0.0",
            "1.0",
            "19.99",
            "0.001",
            "1e10",
            "10000000000.01",
            "[]",
            "{}",
            "[[1]]",
            "{\"$ne\":1}",
            "1000000",
            "1000001",
        ])
        .prop_map(str::to_owned),
    ];
    let places = [
        "/items",
        "/items/0",
        "/items/0/sku",
        "/items/0/qty",
        "/items/0/price",
        "/total",
        "/orderId",
        "/clientRequestId",
        "/customerId",
        "/currency",
        "/unknown",
    ];
    let change = prop::option::weighted(0.9, (select(places.to_vec()), value));
    let bodies = (1..4_usize, change).prop_map(|(lines, change)| {
        let mut body = order();
        body["items"] = vec![body["items"][0].clone(); lines].into();
        body["total"] = json!(20 * lines);
        let Some((place, value)) = change else {
            return body.to_string().into_bytes();
        };
        // As text, for JSON can say what no number here holds.
        let body = with(body, place, json!("mark"));
        body.to_string().replace("\"mark\"", &value).into_bytes()
    });
    let damaged = (
        bodies,
        prop::option::weighted(0.3, (any::<Index>(), any::<u8>())),
    );
    damaged.prop_map(|(mut bytes, damage)| {
        if let Some((at, mask)) = damage {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(sagaline_contracts::generate::cases(5_000))]

    /// Below HTTP, where it is fast: read, checked, and either an order that the contract allows or complaints that name fields.
    #[test]
    fn a_body_is_an_order_that_every_service_can_read_or_its_fields_are_named(bytes in body()) {
        let checked = match parse_json::<OrderBody>(&bytes) {
            Ok(body) => body.check(),
            Err(problem) => {
                prop_assert_eq!(problem.status(), 400);
                prop_assert!(!problem.errors()[0].field.is_empty());
                return Ok(());
            }
        };
        match checked {
            Ok(order) => {
                let created = sagaline_contracts::payload::OrderCreated {
                    order_id: OrderId::new("o-1").unwrap(),
                    items: order.items,
                    total: order.total,
                    currency: order.currency,
                    customer_id: order.customer_id,
                };
                let event = sagaline_saga::given::event("e-1", created);
                let kind = event.event_type();
                let read = sagaline_contracts::Event::decode(kind, Some(b"o-1"), Some(&event.encode()));
                prop_assert_eq!(read, Ok(event));
            }
            Err(complaints) => {
                prop_assert!(!complaints.is_empty());
                prop_assert!(complaints.iter().all(|complaint| !complaint.field.is_empty()));
            }
        }
        // The other way to order reads any body as well without harm.
        if let Ok(body) = parse_json::<CheckoutBody>(&bytes) {
            let _ = body.check();
        }
    }
}
